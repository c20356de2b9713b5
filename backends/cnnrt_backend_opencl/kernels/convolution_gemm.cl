// Convolution as a matrix product whose left side is never stored: for devices with local memory, GPUs above all.
//
// Rows of the product are pixels, counted through images; columns are outputs of a group; the depth runs through
// kernel rows, kernel columns and input channels. A work-group computes TILE_PIXELS by TILE_OUTPUTS values. Step by
// step it gathers TILE_DEPTH inputs of each pixel and as many weights of each output in local memory, and each of its
// work-items adds up WORK_PIXELS by WORK_OUTPUTS products from there, four by four; while it does, what the next step
// needs is on its way to registers. All these sizes are multiples of four.
//
// LANES: 4 where the inputs of a group are a multiple of four, and are read by fours; else 1. TILE_DEPTH / LANES divides
// the number of work-items. QUADS: 1 where the outputs of a group are a multiple of four, and are written by fours.
// ALIGNED: 1 where images begin at a multiple of four floats.
// BLOCK: products, a multiple of TILE_DEPTH, that are summed up in one go; longer sums gather in the result.
// SPLIT: 1 where the depth is cut, and `part`, a multiple of TILE_DEPTH, of it is a work-group's: then sums go to
// [part][pixel][output] as they are, and `combine` adds them up.
// ADDED: if defined, a value of the output's shape is added to each result. FOLDED(v): what is applied to each then.
// HALF_WEIGHTS: if defined, weights are halves (half_weights.clh).
//
// Images lie channels last. Weights come as [group][depth][outputs of the group, filled up to whole tiles], biases as
// [group][the same]. A fully connected layer is the same with images of one pixel.
// Global size of `product`: tiles of pixels * work-items of a group, groups * tiles of outputs, parts of the depth.
// Global size of `combine`: outputs of all groups, by fours where QUADS, rounded up; pixels.

#ifndef TILE_PIXELS
#define TILE_PIXELS 64
#define TILE_OUTPUTS 64
#define TILE_DEPTH 16
#define WORK_PIXELS 4
#define WORK_OUTPUTS 4
#endif
#ifndef LANES
#define LANES 1
#endif
#ifndef QUADS
#define QUADS 0
#endif
#ifndef ALIGNED
#define ALIGNED 0
#endif
#ifndef BLOCK
#define BLOCK 512
#endif
#ifndef SPLIT
#define SPLIT 0
#endif
#ifndef FOLDED
#define FOLDED(v) (v)
#endif

#define ACROSS (TILE_OUTPUTS / WORK_OUTPUTS)
#define DOWN (TILE_PIXELS / WORK_PIXELS)
#define WORKERS (ACROSS * DOWN)
#define VECTORS (TILE_DEPTH / LANES)
#define GATHERED ((TILE_PIXELS * VECTORS + WORKERS - 1) / WORKERS)
#define CHOSEN ((TILE_DEPTH * TILE_OUTPUTS / 4 + WORKERS - 1) / WORKERS)

#define WEIGHT_LANES 4
#include "half_weights.clh"

#if ALIGNED
typedef float4 Quad;
#else
typedef float4 Quad __attribute__((aligned(4)));
#endif
#if LANES == 4
typedef Quad Inputs;
#else
typedef float Inputs;
#endif
#if QUADS
typedef Quad Results;
#define RESULTS 4
#else
typedef float Results;
#define RESULTS 1
#endif

__kernel __attribute__((reqd_work_group_size(WORKERS, 1, 1))) void product(
    __global const float *restrict x, __global const WEIGHTS *restrict weights, __global const float *restrict biases,
    __global float *restrict y,
#ifdef ADDED
    __global const float *restrict added,
#endif
    const int part, const int pixels, const int inputs, const int outputs, const int groups, const int height,
    const int width, const int out_height, const int out_width, const int kernel_rows, const int kernel_columns,
    const int stride_rows, const int stride_columns, const int dilation_rows, const int dilation_columns, const int top,
    const int left) {
    // Four more, so that fewer columns share a bank.
    __local float gathered[2][TILE_DEPTH][TILE_PIXELS + 4] __attribute__((aligned(16)));
    __local float4 chosen[2][TILE_DEPTH][TILE_OUTPUTS / 4];
    __local int starts[TILE_PIXELS], rows[TILE_PIXELS], columns[TILE_PIXELS];

    const int worker = get_local_id(0);
    const int depth = kernel_rows * kernel_columns * inputs, channels = groups * inputs;
    const int tiles = (outputs + TILE_OUTPUTS - 1) / TILE_OUTPUTS;
    const int tile = (int)get_group_id(1) % tiles, group = (int)get_group_id(1) / tiles;
    const int first_pixel = (int)get_group_id(0) * TILE_PIXELS;
    const int across = worker % ACROSS, down = worker / ACROSS;
    const int begin = (int)get_group_id(2) * part, end = begin + part < depth ? begin + part : depth;
    const int steps = (end - begin + TILE_DEPTH - 1) / TILE_DEPTH;
    weights += (group * depth + begin) * (tiles * (TILE_OUTPUTS / 4)) + tile * (TILE_OUTPUTS / 4);

    for (int i = worker; i < TILE_PIXELS; i += WORKERS) {
        const int pixel = first_pixel + i, line = pixel / out_width, image = line / out_height;
        const int row = line % out_height * stride_rows - top;
        columns[i] = pixel % out_width * stride_columns - left;
        starts[i] = ((image * height + row) * width + columns[i]) * channels + group * inputs;
        rows[i] = pixel < pixels ? row : -(1 << 24); // beyond the last pixel: outside of every image
    }

    // A worker gathers the same few steps of the depth for every so many pixels: kernel row, kernel column, channel.
    const int own = worker % VECTORS * LANES;
    int r = (begin + own) / inputs / kernel_columns, s = (begin + own) / inputs % kernel_columns;
    int channel = (begin + own) % inputs;

    float4 sum[WORK_PIXELS][WORK_OUTPUTS / 4];
#pragma unroll
    for (int i = 0; i < WORK_PIXELS; i++)
#pragma unroll
        for (int j = 0; j < WORK_OUTPUTS / 4; j++) sum[i][j] = (float4)(0.0f);
    barrier(CLK_LOCAL_MEM_FENCE);

    for (int step = 0; step <= steps; step++) {
        Inputs next[GATHERED];
        float4 next_weights[CHOSEN];
        if (step < steps) {
            const int below = r * dilation_rows, right = s * dilation_columns;
            const int offset = (below * width + right) * channels + channel;
#pragma unroll
            for (int n = 0; n < GATHERED; n++) {
                const int i = worker / VECTORS + n * (WORKERS / VECTORS);
                next[n] = (Inputs)(0.0f);
                if (GATHERED * WORKERS > TILE_PIXELS * VECTORS && i >= TILE_PIXELS) continue;
                const int a = rows[i] + below, b = columns[i] + right;
                if (r < kernel_rows && a >= 0 && a < height && b >= 0 && b < width)
                    next[n] = *(__global const Inputs *)(x + starts[i] + offset);
            }
            channel += TILE_DEPTH;
            while (channel >= inputs) {
                channel -= inputs;
                if (++s == kernel_columns) {
                    s = 0;
                    r++;
                }
            }
#pragma unroll
            for (int n = 0; n < CHOSEN; n++) {
                const int e = worker + n * WORKERS, at = step * TILE_DEPTH + e / (TILE_OUTPUTS / 4);
                next_weights[n] = at < end - begin && e < TILE_DEPTH * TILE_OUTPUTS / 4
                                      ? WEIGHT(weights, at * (tiles * (TILE_OUTPUTS / 4)) + e % (TILE_OUTPUTS / 4))
                                      : (float4)(0.0f);
            }
        }
        if (step > 0) {
            const int now = (step - 1) % 2;
#pragma unroll
            for (int k = 0; k < TILE_DEPTH; k++) {
                float4 u[WORK_OUTPUTS / 4];
#pragma unroll
                for (int j = 0; j < WORK_OUTPUTS / 4; j++) u[j] = chosen[now][k][across + j * ACROSS];
#pragma unroll
                for (int i = 0; i < WORK_PIXELS / 4; i++) {
                    const float4 v = *(__local const float4 *)&gathered[now][k][(down + i * DOWN) * 4];
#pragma unroll
                    for (int j = 0; j < WORK_OUTPUTS / 4; j++) {
                        sum[4 * i][j] = v.x * u[j] + sum[4 * i][j];
                        sum[4 * i + 1][j] = v.y * u[j] + sum[4 * i + 1][j];
                        sum[4 * i + 2][j] = v.z * u[j] + sum[4 * i + 2][j];
                        sum[4 * i + 3][j] = v.w * u[j] + sum[4 * i + 3][j];
                    }
                }
            }
        }
        if (step < steps) {
            const int then = step % 2;
#pragma unroll
            for (int n = 0; n < GATHERED; n++) {
                const int i = worker / VECTORS + n * (WORKERS / VECTORS);
                if (GATHERED * WORKERS > TILE_PIXELS * VECTORS && i >= TILE_PIXELS) continue;
#if LANES == 4
                gathered[then][own][i] = next[n].x;
                gathered[then][own + 1][i] = next[n].y;
                gathered[then][own + 2][i] = next[n].z;
                gathered[then][own + 3][i] = next[n].w;
#else
                gathered[then][own][i] = next[n];
#endif
            }
#pragma unroll
            for (int n = 0; n < CHOSEN; n++) {
                const int e = worker + n * WORKERS;
                if (e < TILE_DEPTH * TILE_OUTPUTS / 4)
                    chosen[then][e / (TILE_OUTPUTS / 4)][e % (TILE_OUTPUTS / 4)] = next_weights[n];
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        const bool last = step == steps;
        if (!last && (step == 0 || step % (BLOCK / TILE_DEPTH) != 0)) continue;
        // The sums of a block, or of all: what earlier blocks gave lies in the result already.
#pragma unroll
        for (int i = 0; i < WORK_PIXELS; i++) {
            const int pixel = first_pixel + (down + i / 4 * DOWN) * 4 + i % 4;
#pragma unroll
            for (int j = 0; j < WORK_OUTPUTS / 4; j++) {
                union {
                    float4 all;
                    Results some[4 / RESULTS];
                } found;
                found.all = sum[i][j];
                sum[i][j] = (float4)(0.0f);
#pragma unroll
                for (int n = 0; n < 4 / RESULTS; n++) {
                    const int output = tile * TILE_OUTPUTS + (across + j * ACROSS) * 4 + n;
                    if (pixel >= pixels || output >= outputs) continue;
#if SPLIT
                    const int place =
                        (((int)get_group_id(2) * pixels + pixel) * groups + group) * outputs + output;
#else
                    const int place = (pixel * groups + group) * outputs + output;
#endif
                    Results result = found.some[n];
                    if (step > BLOCK / TILE_DEPTH) result += *(__global const Results *)(y + place);
#if !SPLIT
                    if (last) {
                        result += *(__global const Results *)(biases + group * (tiles * TILE_OUTPUTS) + output);
#ifdef ADDED
                        result += *(__global const Results *)(added + place);
#endif
                        result = FOLDED(result);
                    }
#endif
                    *(__global Results *)(y + place) = result;
                }
            }
        }
    }
}

__kernel void combine(__global const float *restrict sums, __global const float *restrict biases,
                      __global float *restrict y,
#ifdef ADDED
                      __global const float *restrict added,
#endif
                      const int parts, const int pixels, const int outputs, const int groups) {
    const int output = (int)get_global_id(0) * RESULTS, pixel = get_global_id(1), all = groups * outputs;
    if (output >= all || pixel >= pixels) return;
    const int padded = (outputs + TILE_OUTPUTS - 1) / TILE_OUTPUTS * TILE_OUTPUTS, place = pixel * all + output;
    Results result = *(__global const Results *)(biases + output / outputs * padded + output % outputs);
    for (int n = 0; n < parts; n++) result += *(__global const Results *)(sums + n * (pixels * all) + place);
#ifdef ADDED
    result += *(__global const Results *)(added + place);
#endif
    *(__global Results *)(y + place) = FOLDED(result);
}
