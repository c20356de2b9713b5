// Convolution of each channel by itself (as many groups as channels).
//
// A work-item computes `run` neighbouring output pixels of LANES channels, 1, 2, 4, 8 or 16, of which `channels` is a
// multiple. KERNEL_COLUMNS: columns of the kernel, if defined, so that their loop is unrolled.
// ADDED: if defined, a value of the output's shape is added to each result. FOLDED(v): what is applied to each then.
// HALF_WEIGHTS: if defined, weights are halves (half_weights.clh).
//
// Images lie channels last, weights as [row][column][channel].
// Global size: channels / LANES (rounded up), runs of a row of outputs, rows of outputs of all images.

#ifndef LANES
#define LANES 4
#endif
#ifdef KERNEL_COLUMNS
#define COLUMNS KERNEL_COLUMNS
#else
#define COLUMNS kernel_columns
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
#define WEIGHT_LANES LANES
#include "half_weights.clh"
typedef FLOATS UNALIGNED __attribute__((aligned(4))); // images may begin at any float of a buffer

__kernel void depthwise(__global const float *restrict x, __global const WEIGHTS *restrict weights,
                        __global const FLOATS *restrict biases, __global float *restrict y,
#ifdef ADDED
                        __global const float *restrict added,
#endif
                        const int rows, const int run, const int channels, const int height, const int width,
                        const int out_height, const int out_width, const int kernel_rows, const int kernel_columns,
                        const int stride_rows, const int stride_columns, const int dilation_rows,
                        const int dilation_columns, const int top, const int left) {
    const int vectors = channels / LANES, vector = get_global_id(0);
    const int row = get_global_id(2); // of outputs, counted through images
    if (vector >= vectors || row >= rows) return;
    const int image = row / out_height;
    const int a = row % out_height * stride_rows - top;
    for (int i = 0; i < run; i++) {
        const int column = (int)get_global_id(1) * run + i;
        if (column >= out_width) return;
        const int b = column * stride_columns - left;
        FLOATS sum = biases[vector];
        for (int r = 0; r < kernel_rows; r++) {
            const int at_row = a + r * dilation_rows;
            if (at_row < 0 || at_row >= height) continue;
            __global const UNALIGNED *line =
                (__global const UNALIGNED *)x + (image * height + at_row) * (width * vectors) + vector;
#ifdef KERNEL_COLUMNS
#pragma unroll
#endif
            for (int s = 0; s < COLUMNS; s++) {
                const int at_column = b + s * dilation_columns;
                if (at_column >= 0 && at_column < width)
                    sum = line[at_column * vectors] * WEIGHT(weights, (r * COLUMNS + s) * vectors + vector) + sum;
            }
        }
        const int place = (row * out_width + column) * vectors + vector;
#ifdef ADDED
        sum += ((__global const UNALIGNED *)added)[place];
#endif
        ((__global UNALIGNED *)y)[place] = FOLDED(sum);
    }
}
