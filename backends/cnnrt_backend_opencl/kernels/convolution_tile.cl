// Convolution by register tiles: for processors with vectors, and no use for local memory.
//
// LANES: floats of a vector, 4, 8 or 16. A work-item sums up PIXELS output pixels by VECTORS vectors of outputs, all in
// registers: each weight that it loads serves all of its pixels, each input all of its outputs. It computes `tiles`
// such tiles. Pixels are counted through rows and images, so that only the last tile of all is cut.
// ADDED: if defined, a value of the output's shape is added to each result. FOLDED(v): what is applied to each then.
// HALF_WEIGHTS: if defined, weights are halves (half_weights.clh).
//
// Images lie channels last. Weights come in panels, [group][panel][kernel row][tap][run][VECTORS * LANES], behind the
// last output of a group filled up with zeros; biases likewise, and after them come `run` zeros, which stand for what
// lies outside of the image. A tap is a kernel column, its run the inputs of a group; or, in a copy that `pad` made,
// a whole row of the kernel.
//
// Sums of one row of the kernel are made in one go and then added up, which halves rounding errors.
// Products are written x * w + s: compilers contract it where the device fuses, and inline it, unlike fma.
// Global size: tiles of pixels / tiles, groups * panels.

#ifndef LANES
#define LANES 8
#endif
#ifndef VECTORS
#define VECTORS 2
#endif
#ifndef PIXELS
#define PIXELS 6
#endif
#ifndef FOLDED
#define FOLDED(v) (v)
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define FLOATS JOIN(float, LANES)
typedef FLOATS UNALIGNED __attribute__((aligned(4))); // images may begin at any float of a buffer
#define PANEL (VECTORS * LANES)
#define WEIGHT_LANES LANES
#include "half_weights.clh"

// Copies images with zeros around them; a work-item, a row of the copy.
__kernel void pad(__global const float *restrict x, __global float *restrict copy, const int channels, const int height,
                  const int width, const int top, const int left, const int copy_height, const int copy_width) {
    const int row = (int)get_global_id(0) % copy_height - top;
    const int image = (int)get_global_id(0) / copy_height;
    __global float *target = copy + (int)get_global_id(0) * copy_width * channels;
    const bool inside = row >= 0 && row < height;
    __global const float *source = x + (image * height + (inside ? row : 0)) * width * channels;
    const int first = left * channels, end = inside ? first + width * channels : first;
    for (int i = 0; i < first; i++) target[i] = 0.0f;
    for (int i = first; i < end; i++) target[i] = source[i - first];
    for (int i = end; i < copy_width * channels; i++) target[i] = 0.0f;
}

static void finish(FLOATS value, __global float *y, const int count, __global const float *added) {
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

__kernel void tile(__global const float *restrict x, __global const WEIGHTS *restrict weights,
                   __global const float *restrict biases, __global float *restrict y,
#ifdef ADDED
                   __global const float *restrict added,
#endif
                   const int tiles, const int pixels, const int taps, const int run, const int inputs,
                   const int outputs, const int groups, const int height, const int width, const int out_height,
                   const int out_width, const int kernel_rows, const int stride_rows, const int stride_columns,
                   const int dilation_rows, const int dilation_columns, const int top, const int left) {
    const int panel = get_global_id(1);
    const int panels = (outputs + PANEL - 1) / PANEL;
    const int group = panel / panels;
    __global const float *zeros = biases + groups * panels * PANEL;

    for (int t = 0; t < tiles; t++) {
        const int first = ((int)get_global_id(0) * tiles + t) * PIXELS;
        if (first >= pixels) return;
        int row[PIXELS], column[PIXELS], image[PIXELS];
        for (int i = 0; i < PIXELS; i++) {
            const int pixel = first + i < pixels ? first + i : pixels - 1;
            const int line = pixel / out_width;
            image[i] = line / out_height * height;
            row[i] = line % out_height * stride_rows - top;
            column[i] = pixel % out_width * stride_columns - left;
        }
        FLOATS total[PIXELS][VECTORS];
        for (int i = 0; i < PIXELS; i++)
            for (int v = 0; v < VECTORS; v++) total[i][v] = ((__global const FLOATS *)biases)[panel * VECTORS + v];
        __global const WEIGHTS *w = weights + panel * (kernel_rows * taps * run * VECTORS);
        for (int r = 0; r < kernel_rows; r++) {
            FLOATS sum[PIXELS][VECTORS];
#pragma unroll
            for (int i = 0; i < PIXELS; i++)
#pragma unroll
                for (int v = 0; v < VECTORS; v++) sum[i][v] = (FLOATS)(0.0f);
            for (int s = 0; s < taps; s++) {
                __global const float *p[PIXELS];
#pragma unroll
                for (int i = 0; i < PIXELS; i++) {
                    const int a = row[i] + r * dilation_rows, b = column[i] + s * dilation_columns;
                    const bool inside = a >= 0 && a < height && b >= 0 && b < width;
                    p[i] = inside ? x + ((image[i] + a) * width + b) * groups * inputs + group * inputs : zeros;
                }
                for (int k = 0; k < run; k++) {
                    FLOATS u[VECTORS];
#pragma unroll
                    for (int v = 0; v < VECTORS; v++) u[v] = WEIGHT(w, k * VECTORS + v);
#pragma unroll
                    for (int i = 0; i < PIXELS; i++) {
                        const FLOATS value = (FLOATS)(p[i][k]);
#pragma unroll
                        for (int v = 0; v < VECTORS; v++) sum[i][v] = value * u[v] + sum[i][v];
                    }
                }
                w += run * VECTORS;
            }
#pragma unroll
            for (int i = 0; i < PIXELS; i++)
#pragma unroll
                for (int v = 0; v < VECTORS; v++) total[i][v] += sum[i][v];
        }
        for (int i = 0; i < PIXELS; i++)
            for (int v = 0; v < VECTORS; v++) {
                const int pixel = first + i < pixels ? first + i : pixels - 1;
                const int output = panel % panels * PANEL + v * LANES;
                const int place = (pixel * groups + group) * outputs + output;
#ifdef ADDED
                finish(total[i][v], y + place, outputs - output, added + place);
#else
                finish(total[i][v], y + place, outputs - output, 0);
#endif
            }
    }
}
