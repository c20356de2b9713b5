// Maximum or mean of windows over images with channels last.
//
// MEAN: 1 for the mean, 0 for the maximum. COUNT_PADDING: 1 if a mean divides by the window's area as far as it lies in
// the padded image, 0 if by its real pixels. FOLDED(v): what is applied to each result.
//
// x: images × height × width × channels, y: images × out_height × out_width × channels.
// Global size: channels * out_width rounded up, out_height, images.

#ifndef MEAN
#define MEAN 0
#endif
#ifndef COUNT_PADDING
#define COUNT_PADDING 1
#endif
#ifndef FOLDED
#define FOLDED(v) (v)
#endif

__kernel void pool(__global const float *restrict x, __global float *restrict y, int channels,
                   int height, int out_height, int kernel_height, int stride_y, int top, int bottom,
                   int width, int out_width, int kernel_width, int stride_x, int left, int right) {
    const int lane = (int)get_global_id(0), i = (int)get_global_id(1);
    if (lane >= channels * out_width)
        return;
    const int j = lane / channels, channel = lane - j * channels;
    const int row = i * stride_y - top, column = j * stride_x - left;
    const int first_row = max(row, 0), last_row = min(row + kernel_height, height);
    const int first_column = max(column, 0), last_column = min(column + kernel_width, width);
    __global const float *image = x + get_global_id(2) * (size_t)height * width * channels + channel;

#if MEAN
    float result = 0.0f;
#else
    float result = -INFINITY;
#endif
    for (int r = first_row; r < last_row; r++)
        for (int s = first_column; s < last_column; s++) {
            const float value = image[((size_t)r * width + s) * channels];
#if MEAN
            result += value;
#else
            result = value > result || isnan(value) ? value : result;
#endif
        }
#if MEAN
#if COUNT_PADDING
    result /= (float)((min(row + kernel_height, height + bottom) - row) * (min(column + kernel_width, width + right) - column));
#else
    result /= (float)((last_row - first_row) * (last_column - first_column));
#endif
#endif
    y[((get_global_id(2) * out_height + i) * (size_t)out_width + j) * channels + channel] = FOLDED(result);
}
