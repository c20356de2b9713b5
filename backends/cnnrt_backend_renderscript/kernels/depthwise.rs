// Convolution of each channel by a kernel of its own; each item computes all channels of one pixel.
//
// Images lie channels last; windows are clipped to them. Weights: [kernel row, kernel column, channel], then biases.
#pragma version(1)
#pragma rs java_package_name(cnnrt)
#pragma rs_fp_relaxed
#include "activation.rsh"

rs_allocation images;
rs_allocation weights;
rs_allocation out;
int channels;
int image_rows;
int image_columns;
int rows;          // of an output image
int columns;
int kernel_rows;
int kernel_columns;
int stride_rows;
int stride_columns;
int dilation_rows;
int dilation_columns;
int top;           // padding
int left;

#define GROUP 4 // vectors of channels that are computed together: their sums hide one another's latencies

static int divide_up(int a, int b) { return (a + b - 1) / b; }

void __attribute__((kernel)) convolve(uint32_t x) {
    const int column = x % columns * stride_columns - left;
    const int row = x / columns % rows * stride_rows - top;
    const int image = x / columns / rows;
    const int biases = kernel_rows * kernel_columns * channels;
    // The positions of the window that meet the image.
    const int first_row = divide_up(max(-row, 0), dilation_rows), first_column = divide_up(max(-column, 0), dilation_columns);
    const int last_row = min(kernel_rows, divide_up(max(image_rows - row, 0), dilation_rows));
    const int last_column = min(kernel_columns, divide_up(max(image_columns - column, 0), dilation_columns));
    const int start = ((image * image_rows + row) * image_columns + column) * channels;
    const int row_step = dilation_rows * image_columns * channels, column_step = dilation_columns * channels;

    int c = 0;
    for (; c + 4 * GROUP <= channels; c += 4 * GROUP) {
        float4 sums[GROUP];
        for (int g = 0; g < GROUP; g++) sums[g] = rsAllocationVLoadX_float4(weights, biases + c + 4 * g);
        for (int r = first_row; r < last_row; r++) {
            for (int s = first_column; s < last_column; s++) {
                const int w = (r * kernel_columns + s) * channels + c, place = start + r * row_step + s * column_step + c;
                for (int g = 0; g < GROUP; g++)
                    sums[g] += rsAllocationVLoadX_float4(images, place + 4 * g) * rsAllocationVLoadX_float4(weights, w + 4 * g);
            }
        }
        for (int g = 0; g < GROUP; g++) rsAllocationVStoreX_float4(out, activate4(sums[g]), x * channels + c + 4 * g);
    }
    for (; c < channels; c += 4) {
        const int count = channels - c;
        float4 sum = load_some(weights, biases + c, count);
        for (int r = first_row; r < last_row; r++) {
            for (int s = first_column; s < last_column; s++) {
                const int place = start + r * row_step + s * column_step + c;
                sum += load_some(images, place, count) * load_some(weights, (r * kernel_columns + s) * channels + c, count);
            }
        }
        store_some(out, activate4(sum), x * channels + c, count);
    }
}
