// Images made larger or smaller: each pixel is a sum of some of the input's, weighed.
//
// ROW_TAPS, COLUMN_TAPS: pixels along each axis. Which ones, and their weights, are tables: for each tap, one for each
// row or column of the output.
// A work-item computes `run` neighbouring pixels of LANES channels, 1, 2, 4, 8 or 16, of which `channels` is a multiple.
//
// Images lie channels last.
// Global size: channels / LANES (rounded up), runs of a row of outputs, rows of outputs of all images.

#ifndef LANES
#define LANES 4
#endif
#ifndef ROW_TAPS
#define ROW_TAPS 2
#endif
#ifndef COLUMN_TAPS
#define COLUMN_TAPS 2
#endif

#if LANES == 1
#define FLOATS float
#else
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define FLOATS JOIN(float, LANES)
#endif
typedef FLOATS UNALIGNED __attribute__((aligned(4))); // images may begin at any float of a buffer

__kernel void resample(__global const float *restrict x, __global float *restrict y,
                       __global const int *restrict row_places, __global const float *restrict row_weights,
                       __global const int *restrict column_places, __global const float *restrict column_weights,
                       const int rows, const int run, const int channels, const int height, const int width,
                       const int out_height, const int out_width) {
    const int vectors = channels / LANES, vector = get_global_id(0);
    const int row = get_global_id(2); // of outputs, counted through images
    if (vector >= vectors || row >= rows) return;
    const int i = row % out_height;
    __global const UNALIGNED *image =
        (__global const UNALIGNED *)x + row / out_height * (height * width * vectors) + vector;
    const int first = (int)get_global_id(1) * run, end = min(first + run, out_width);
    for (int j = first; j < end; j++) {
        FLOATS result = (FLOATS)(0.0f);
        for (int a = 0; a < ROW_TAPS; a++) {
            __global const UNALIGNED *line = image + row_places[a * out_height + i] * (width * vectors);
            FLOATS sum = (FLOATS)(0.0f);
            for (int b = 0; b < COLUMN_TAPS; b++)
                sum += line[column_places[b * out_width + j] * vectors] * column_weights[b * out_width + j];
            result += sum * row_weights[a * out_height + i];
        }
        ((__global UNALIGNED *)y)[(row * out_width + j) * vectors + vector] = result;
    }
}
