// Convolution of 3x3 by Winograd's filtering F(4x4, 3x3), 36 products for 16 outputs instead of 144.
//
// Three functions, for some tiles of 4x4 outputs after the other, so that what they hand on stays in a cache:
// `forward` transforms the inputs of tiles, `multiply` makes a matrix product at each of the 36 positions of a tile,
// and `backward` transforms the products to outputs. Points 0, A, -A, B, -B and infinity: the matrices from which the
// transforms below follow are computed in cnnrt_layers/winograd_matrices.py.
//
// LANES: floats of a vector, 1, 4, 8 or 16. `multiply`, for processors, computes ROWS tiles by VECTORS vectors at a time, in registers,
// BLOCK channels in one go, and `run` times that many tiles in a work-item.
// ADDED: if defined, a value of the output's shape is added to each result. FOLDED(v): what is applied to each then.
//
// Images lie channels last. Transformed weights come as [position][group][panel][input][VECTORS * LANES]; biases as
// [group][outputs as they lie among products], and after them as many zeros as there are channels. Transformed inputs
// and products lie so that neighbouring tiles are `tile_step` and positions `position_step` floats apart. For `multiply`
// transformed inputs lie as [position][tile][channel, filled up to vectors], products as [position][tile][group][panel]
// [VECTORS * LANES]; a position has `tiles` tiles and a cache line more, or all positions would compete for the same
// places of a cache. GPUs multiply by convolution_gemm.cl.

#ifndef LANES
#define LANES 8
#endif
#ifndef VECTORS
#define VECTORS 2
#endif
#ifndef ROWS
#define ROWS 6
#endif
#ifndef BLOCK
#define BLOCK 128
#endif
#ifndef A
#define A 0.75f
#define B 1.5f
#endif
#ifndef FOLDED
#define FOLDED(v) (v)
#endif

#if LANES == 1
#define FLOATS float
#else
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define FLOATS JOIN(float, LANES)
#endif
typedef FLOATS UNALIGNED __attribute__((aligned(4))); // images may begin at any float of a buffer
#define PANEL (VECTORS * LANES)
#define LINE 16
#define FILLED(channels) (((channels) + LANES - 1) / LANES * LANES)

// d: six values, `step` apart; they become B'd.
static void transform_inputs(FLOATS *d, const int step) {
    const FLOATS even_a = d[4 * step] - d[2 * step] * (B * B), odd_a = (d[3 * step] - d[step] * (B * B)) * A;
    const FLOATS even_b = d[4 * step] - d[2 * step] * (A * A), odd_b = (d[3 * step] - d[step] * (A * A)) * B;
    d[0] = d[0] * (A * A * B * B) - d[2 * step] * (A * A + B * B) + d[4 * step];
    d[5 * step] = d[step] * (A * A * B * B) - d[3 * step] * (A * A + B * B) + d[5 * step];
    d[step] = even_a + odd_a;
    d[2 * step] = even_a - odd_a;
    d[3 * step] = even_b + odd_b;
    d[4 * step] = even_b - odd_b;
}

// m: six values, `step` apart; the first four become A'm.
static void transform_products(FLOATS *m, const int step) {
    const FLOATS even_a = m[step] + m[2 * step], odd_a = (m[step] - m[2 * step]) * A;
    const FLOATS even_b = m[3 * step] + m[4 * step], odd_b = (m[3 * step] - m[4 * step]) * B;
    m[0] = m[0] + even_a + even_b;
    m[step] = odd_a + odd_b;
    m[2 * step] = even_a * (A * A) + even_b * (B * B);
    m[3 * step] = odd_a * (A * A) + odd_b * (B * B) + m[5 * step];
}

// Global size: vectors of channels, or fewer; tiles of the part (both rounded up).
__kernel void forward(__global const float *restrict x, __global const float *restrict biases,
                      __global float *restrict transformed, const int tile_step, const int position_step,
                      const int first_tile, const int tiles, const int channels, const int padded_outputs,
                      const int height, const int width, const int down, const int across, const int top,
                      const int left) {
    const int number = get_global_id(1), tile = first_tile + number;
    if (number >= tiles) return;
    const int image = tile / (down * across);
    const int row = tile / across % down * 4 - top, column = tile % across * 4 - left;
    __global const float *zeros = biases + padded_outputs;
    __global const float *pixels[36];
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++) {
            const int a = row + i, b = column + j;
            const bool inside = a >= 0 && a < height && b >= 0 && b < width;
            pixels[i * 6 + j] = inside ? x + ((image * height + a) * width + b) * channels : zeros;
        }
    for (int c = (int)get_global_id(0) * LANES; c < channels; c += (int)get_global_size(0) * LANES) {
        FLOATS d[36];
        if (c + LANES <= channels) {
#pragma unroll
            for (int i = 0; i < 36; i++) d[i] = *(__global const UNALIGNED *)(pixels[i] + c);
        } else {
            union {
                FLOATS vector;
                float lane[LANES];
            } last;
            for (int i = 0; i < 36; i++) {
                for (int l = 0; l < LANES; l++) last.lane[l] = c + l < channels ? pixels[i][c + l] : 0.0f;
                d[i] = last.vector;
            }
        }
#pragma unroll
        for (int j = 0; j < 6; j++) transform_inputs(d + j, 6);
#pragma unroll
        for (int i = 0; i < 6; i++) transform_inputs(d + i * 6, 1);
        __global float *target = transformed + number * tile_step + c;
#pragma unroll
        for (int i = 0; i < 36; i++) *(__global FLOATS *)(target + i * position_step) = d[i];
    }
}

// Global size: tiles of the part / (ROWS * run), groups * panels, 36 positions.
__kernel void multiply(__global const float *restrict transformed, __global const FLOATS *restrict weights,
                       __global float *restrict products, const int tiles, const int run, const int inputs,
                       const int groups, const int panels) {
    const int panel = get_global_id(1), position = get_global_id(2);
    const int channels = FILLED(groups * inputs), padded_outputs = groups * panels * PANEL;
    __global const float *rows = transformed + position * (tiles * channels + LINE) + panel / panels * inputs;
    __global const FLOATS *w = weights + (position * groups * panels + panel) * inputs * VECTORS;
    __global float *target = products + position * (tiles * padded_outputs + LINE) + panel * PANEL;
    for (int t = 0; t < run; t++) {
        const int first = ((int)get_global_id(0) * run + t) * ROWS;
        if (first >= tiles) return;
        FLOATS total[ROWS][VECTORS];
        for (int block = 0; block < inputs; block += BLOCK) {
            const int depth = inputs - block < BLOCK ? inputs - block : BLOCK;
            __global const float *p[ROWS];
            FLOATS sum[ROWS][VECTORS];
#pragma unroll
            for (int i = 0; i < ROWS; i++) {
                p[i] = rows + (first + i < tiles ? first + i : tiles - 1) * channels + block;
#pragma unroll
                for (int v = 0; v < VECTORS; v++) sum[i][v] = (FLOATS)(0.0f);
            }
            for (int k = 0; k < depth; k++) {
                FLOATS u[VECTORS];
#pragma unroll
                for (int v = 0; v < VECTORS; v++) u[v] = w[(block + k) * VECTORS + v];
#pragma unroll
                for (int i = 0; i < ROWS; i++) {
                    const FLOATS value = (FLOATS)(p[i][k]);
#pragma unroll
                    for (int v = 0; v < VECTORS; v++) sum[i][v] = value * u[v] + sum[i][v];
                }
            }
#pragma unroll
            for (int i = 0; i < ROWS; i++)
#pragma unroll
                for (int v = 0; v < VECTORS; v++) total[i][v] = block ? total[i][v] + sum[i][v] : sum[i][v];
        }
        for (int i = 0; i < ROWS && first + i < tiles; i++)
            for (int v = 0; v < VECTORS; v++)
                *(__global FLOATS *)(target + (first + i) * padded_outputs + v * LANES) = total[i][v];
    }
}

static void store(FLOATS value, __global float *y, const int count, __global const float *added) {
    union {
        FLOATS vector;
        float lane[LANES];
    } result;
#ifdef ADDED
    if (count >= LANES)
        value += *(__global const UNALIGNED *)added;
    else {
        for (int i = 0; i < LANES; i++) result.lane[i] = i < count ? added[i] : 0.0f;
        value += result.vector;
    }
#endif
    value = FOLDED(value);
    if (count >= LANES)
        *(__global UNALIGNED *)y = value;
    else {
        result.vector = value;
        for (int i = 0; i < count; i++) y[i] = result.lane[i];
    }
}

// `padded`: outputs of a group as they lie among products. Global size: their vectors in all groups, or fewer; tiles of
// the part (both rounded up).
__kernel void backward(__global const float *restrict products, __global const float *restrict biases,
                       __global float *restrict y,
#ifdef ADDED
                       __global const float *restrict added,
#endif
                       const int tile_step, const int position_step, const int first_tile, const int tiles,
                       const int outputs, const int groups, const int padded, const int out_height,
                       const int out_width, const int down, const int across) {
    const int number = get_global_id(1), tile = first_tile + number;
    if (number >= tiles) return;
    const int image = tile / (down * across), row = tile / across % down * 4, column = tile % across * 4;
    for (int o = (int)get_global_id(0) * LANES; o < groups * padded; o += (int)get_global_size(0) * LANES) {
        const int group = o / padded, output = o % padded;
        if (output >= outputs) continue;
        __global const float *source = products + number * tile_step + o;
        FLOATS m[36];
#pragma unroll
        for (int i = 0; i < 36; i++)
            m[i] = *(__global const FLOATS *)(source + i * position_step);
#pragma unroll
        for (int j = 0; j < 6; j++) transform_products(m + j, 6);
#pragma unroll
        for (int i = 0; i < 4; i++) transform_products(m + i * 6, 1);
        const FLOATS bias = *(__global const FLOATS *)(biases + o);
        for (int i = 0; i < 4 && row + i < out_height; i++)
            for (int j = 0; j < 4 && column + j < out_width; j++) {
                const int pixel = (image * out_height + row + i) * out_width + column + j;
                const int place = (pixel * groups + group) * outputs + output;
#ifdef ADDED
                store(m[i * 6 + j] + bias, y + place, outputs - output, added + place);
#else
                store(m[i * 6 + j] + bias, y + place, outputs - output, 0);
#endif
            }
    }
}
