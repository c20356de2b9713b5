// Convolution by dot products over channel vectors: the family InxFOuty of CNNdroid (Latifi Oskouei et al., 2016).
//
// IN: input channels at a time, 4, 8 or 16. A work-item computes OUT neighbouring outputs of one pixel, 1 to 16: it
// loads IN inputs and multiplies them by as many weights of each output. `inputs` and `outputs` of a group are
// multiples.
// ADDED: if defined, a value of the output's shape is added to each result. FOLDED(v): what is applied to each then.
// HALF_WEIGHTS: if defined, weights are halves (half_weights.clh).
//
// Images lie channels last, weights as [output][row][column][input of the group].
// Global size: groups * outputs / OUT (rounded up), pixels of all images.

#ifndef IN
#define IN 4
#endif
#ifndef OUT
#define OUT 4
#endif
#ifndef FOLDED
#define FOLDED(v) (v)
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define FLOATS JOIN(float, IN)
#define WEIGHT_LANES IN
#include "half_weights.clh"
typedef FLOATS UNALIGNED __attribute__((aligned(4))); // images may begin at any float of a buffer

static float sum_of(FLOATS x) {
#if IN == 16
    const float8 y = x.lo + x.hi;
    const float4 z = y.lo + y.hi;
#elif IN == 8
    const float4 z = x.lo + x.hi;
#else
    const float4 z = x;
#endif
    return (z.x + z.y) + (z.z + z.w);
}

__kernel void dot_products(__global const float *restrict x, __global const WEIGHTS *restrict weights,
                           __global const float *restrict biases, __global float *restrict y,
#ifdef ADDED
                           __global const float *restrict added,
#endif
                           const int pixels, const int inputs, const int outputs, const int groups, const int height,
                           const int width, const int out_height, const int out_width, const int kernel_rows,
                           const int kernel_columns, const int stride_rows, const int stride_columns,
                           const int dilation_rows, const int dilation_columns, const int top, const int left) {
    const int first = (int)get_global_id(0) * OUT; // output, counted through the groups
    const int pixel = get_global_id(1);
    if (first >= groups * outputs || pixel >= pixels) return;
    const int group = first / outputs, vectors = inputs / IN;
    const int line = pixel / out_width, image = line / out_height;
    const int row = line % out_height * stride_rows - top;
    const int column = pixel % out_width * stride_columns - left;
    const int next_output = kernel_rows * kernel_columns * vectors;
    FLOATS sum[OUT];
#pragma unroll
    for (int o = 0; o < OUT; o++) sum[o] = (FLOATS)(0.0f);
    for (int r = 0; r < kernel_rows; r++) {
        const int a = row + r * dilation_rows;
        if (a < 0 || a >= height) continue;
        for (int s = 0; s < kernel_columns; s++) {
            const int b = column + s * dilation_columns;
            if (b < 0 || b >= width) continue;
            __global const UNALIGNED *p =
                (__global const UNALIGNED *)x + (((image * height + a) * width + b) * groups + group) * vectors;
            __global const WEIGHTS *w = weights + ((first * kernel_rows + r) * kernel_columns + s) * vectors;
            for (int k = 0; k < vectors; k++) {
                const FLOATS value = p[k];
#pragma unroll
                for (int o = 0; o < OUT; o++) sum[o] = value * WEIGHT(w, o * next_output + k) + sum[o];
            }
        }
    }
#pragma unroll
    for (int o = 0; o < OUT; o++) {
        const int place = pixel * (groups * outputs) + first + o;
        float result = sum_of(sum[o]) + biases[first + o];
#ifdef ADDED
        result += added[place];
#endif
        y[place] = FOLDED(result);
    }
}
