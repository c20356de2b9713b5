// Pooling: the maximum or the mean of each window, as far as it meets the image.
//
// MEAN: 1 for the mean, 0 for the maximum. A mean divides by the pixels of the window that are in the image, with
// COUNT_PADDING by those that are in the image or its padding. A value that is not a number stays one.
// A work-item computes `run` neighbouring output pixels of LANES channels, 1, 2, 4, 8 or 16, of which `channels` is a
// multiple. ALIGNED: 1 where images begin at a multiple of LANES floats. FOLDED(v): what is applied to each result.
//
// Images lie channels last.
// Global size: channels / LANES (rounded up), runs of a row of outputs, rows of outputs of all images.

#ifndef LANES
#define LANES 4
#endif
#ifndef MEAN
#define MEAN 0
#endif
#ifndef COUNT_PADDING
#define COUNT_PADDING 1
#endif
#ifndef FOLDED
#define FOLDED(v) (v)
#endif

#ifndef ALIGNED
#define ALIGNED 0
#endif

#if LANES == 1
#define FLOATS float
#else
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define FLOATS JOIN(float, LANES)
#endif
#if ALIGNED
typedef FLOATS IN_MEMORY;
#else
typedef FLOATS IN_MEMORY __attribute__((aligned(4)));
#endif

static int within(int value, int least, int most) { return value < least ? least : value > most ? most : value; }

__kernel void windows(__global const float *restrict x, __global float *restrict y, const int rows,
                      const int run, const int channels, const int height, const int out_height, const int kernel_rows,
                      const int stride_rows, const int top, const int bottom, const int width, const int out_width,
                      const int kernel_columns, const int stride_columns, const int left, const int right) {
    const int vectors = channels / LANES, vector = get_global_id(0);
    const int row = get_global_id(2); // of outputs, counted through images
    if (vector >= vectors || row >= rows) return;
    const int start_row = row % out_height * stride_rows - top;
    const int first_row = within(start_row, 0, height), end_row = within(start_row + kernel_rows, 0, height);
    __global const IN_MEMORY *image =
        (__global const IN_MEMORY *)x + row / out_height * (height * width * vectors) + vector;
    for (int i = 0; i < run; i++) {
        const int column = (int)get_global_id(1) * run + i;
        if (column >= out_width) return;
        const int start = column * stride_columns - left;
        const int first = within(start, 0, width), end = within(start + kernel_columns, 0, width);
#if MEAN
        FLOATS result = (FLOATS)(0.0f);
        for (int a = first_row; a < end_row; a++) {
            FLOATS line = (FLOATS)(0.0f);
            for (int b = first; b < end; b++) line += image[(a * width + b) * vectors];
            result += line;
        }
#if COUNT_PADDING
        const int counted_rows = within(start_row + kernel_rows, 0, height + bottom) - start_row;
        const int counted_columns = within(start + kernel_columns, 0, width + right) - start;
#else
        const int counted_rows = end_row - first_row, counted_columns = end - first;
#endif
        result /= (float)(counted_rows * counted_columns);
#else
        FLOATS result = (FLOATS)(-INFINITY);
        for (int a = first_row; a < end_row; a++)
            for (int b = first; b < end; b++) {
                const FLOATS value = image[(a * width + b) * vectors];
                result = ((value > result) | (value != value)) ? value : result;
            }
#endif
        ((__global IN_MEMORY *)y)[(row * out_width + column) * vectors + vector] = FOLDED(result);
    }
}
