// Convolution as a matrix product whose left side is never stored: for devices with local memory, GPUs above all.
//
// Rows of the product are pixels, counted through images; columns are outputs of a group; the depth runs through
// kernel rows, kernel columns and input channels. A work-group computes TILE_PIXELS by TILE_OUTPUTS values. Step by
// step it gathers TILE_DEPTH inputs of each pixel and as many weights of each output in local memory, and each of its
// work-items adds up WORK_PIXELS by WORK_OUTPUTS products from there. TILE_DEPTH divides the number of work-items.
// BLOCKS: 1 where sums of more than BLOCK products, a multiple of TILE_DEPTH, are made of several.
// ADDED: if defined, a value of the output's shape is added to each result. FOLDED(v): what is applied to each then.
//
// Images lie channels last. Weights come as [group][depth][outputs of the group, filled up to whole tiles], biases as
// [group][the same]. A fully connected layer is the same with images of one pixel.
// Global size: tiles of pixels * work-items of a group, groups * tiles of outputs.

#ifndef TILE_PIXELS
#define TILE_PIXELS 64
#define TILE_OUTPUTS 64
#define TILE_DEPTH 16
#define WORK_PIXELS 4
#define WORK_OUTPUTS 4
#endif
#ifndef BLOCKS
#define BLOCKS 0
#endif
#ifndef BLOCK
#define BLOCK 1024
#endif
#ifndef FOLDED
#define FOLDED(v) (v)
#endif

#define ACROSS (TILE_OUTPUTS / WORK_OUTPUTS)
#define DOWN (TILE_PIXELS / WORK_PIXELS)
#define WORKERS (ACROSS * DOWN)

__kernel __attribute__((reqd_work_group_size(WORKERS, 1, 1))) void product(
    __global const float *restrict x, __global const float *restrict weights, __global const float *restrict biases,
    __global float *restrict y,
#ifdef ADDED
    __global const float *restrict added,
#endif
    const int pixels, const int inputs, const int outputs, const int groups, const int height, const int width,
    const int out_height, const int out_width, const int kernel_rows, const int kernel_columns, const int stride_rows,
    const int stride_columns, const int dilation_rows, const int dilation_columns, const int top, const int left) {
    __local float gathered[TILE_DEPTH][TILE_PIXELS + 1]; // one more: columns are written, and would share a bank
    __local float chosen[TILE_DEPTH][TILE_OUTPUTS];
    __local int starts[TILE_PIXELS], rows[TILE_PIXELS], columns[TILE_PIXELS];

    const int worker = get_local_id(0);
    const int depth = kernel_rows * kernel_columns * inputs, channels = groups * inputs;
    const int tiles = (outputs + TILE_OUTPUTS - 1) / TILE_OUTPUTS;
    const int tile = (int)get_group_id(1) % tiles, group = (int)get_group_id(1) / tiles;
    const int first_pixel = (int)get_group_id(0) * TILE_PIXELS;
    const int across = worker % ACROSS, down = worker / ACROSS;
    __global const float *tile_weights = weights + group * (depth * tiles * TILE_OUTPUTS) + tile * TILE_OUTPUTS;

    for (int i = worker; i < TILE_PIXELS; i += WORKERS) {
        const int pixel = first_pixel + i, line = pixel / out_width, image = line / out_height;
        const int row = line % out_height * stride_rows - top;
        columns[i] = pixel % out_width * stride_columns - left;
        starts[i] = ((image * height + row) * width + columns[i]) * channels + group * inputs;
        rows[i] = pixel < pixels ? row : -(1 << 24); // beyond the last pixel: outside of every image
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    float sum[WORK_PIXELS][WORK_OUTPUTS];
#if BLOCKS
    float total[WORK_PIXELS][WORK_OUTPUTS];
#endif
#pragma unroll
    for (int i = 0; i < WORK_PIXELS; i++)
#pragma unroll
        for (int j = 0; j < WORK_OUTPUTS; j++) {
            sum[i][j] = 0.0f;
#if BLOCKS
            total[i][j] = 0.0f;
#endif
        }

    for (int first = 0; first < depth; first += TILE_DEPTH) {
        // A worker gathers one step of the depth, for every so many pixels.
        const int own = worker % TILE_DEPTH, k = first + own, tap = k / inputs;
        const int r = tap / kernel_columns * dilation_rows, s = tap % kernel_columns * dilation_columns;
        const int offset = (r * width + s) * channels + k % inputs;
        for (int i = worker / TILE_DEPTH; i < TILE_PIXELS; i += WORKERS / TILE_DEPTH) {
            const int a = rows[i] + r, b = columns[i] + s;
            const bool inside = k < depth && a >= 0 && a < height && b >= 0 && b < width;
            gathered[own][i] = inside ? x[starts[i] + offset] : 0.0f;
        }
        for (int e = worker; e < TILE_DEPTH * TILE_OUTPUTS; e += WORKERS) {
            const int at = first + e / TILE_OUTPUTS, j = e % TILE_OUTPUTS;
            chosen[e / TILE_OUTPUTS][j] = at < depth ? tile_weights[at * (tiles * TILE_OUTPUTS) + j] : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
        for (int step = 0; step < TILE_DEPTH; step++) {
            float u[WORK_OUTPUTS];
#pragma unroll
            for (int j = 0; j < WORK_OUTPUTS; j++) u[j] = chosen[step][across + j * ACROSS];
#pragma unroll
            for (int i = 0; i < WORK_PIXELS; i++) {
                const float value = gathered[step][down + i * DOWN];
#pragma unroll
                for (int j = 0; j < WORK_OUTPUTS; j++) sum[i][j] = value * u[j] + sum[i][j];
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
#if BLOCKS
        if ((first + TILE_DEPTH) % BLOCK == 0 || first + TILE_DEPTH >= depth)
#pragma unroll
            for (int i = 0; i < WORK_PIXELS; i++)
#pragma unroll
                for (int j = 0; j < WORK_OUTPUTS; j++) {
                    total[i][j] += sum[i][j];
                    sum[i][j] = 0.0f;
                }
#endif
    }
    for (int i = 0; i < WORK_PIXELS; i++) {
        const int pixel = first_pixel + down + i * DOWN;
        for (int j = 0; j < WORK_OUTPUTS; j++) {
            const int output = tile * TILE_OUTPUTS + across + j * ACROSS;
            if (pixel >= pixels || output >= outputs) continue;
            const int place = (pixel * groups + group) * outputs + output;
#if BLOCKS
            float result = total[i][j];
#else
            float result = sum[i][j];
#endif
            result += biases[group * (tiles * TILE_OUTPUTS) + output];
#ifdef ADDED
            result += added[place];
#endif
            y[place] = FOLDED(result);
        }
    }
}
