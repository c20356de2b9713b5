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

static int place_of(int image, int row, int column) {
    return ((image * image_rows + row) * image_columns + column) * channels;
}

void __attribute__((kernel)) convolve(uint32_t x) {
    const int column = x % columns * stride_columns - left;
    const int row = x / columns % rows * stride_rows - top;
    const int image = x / columns / rows;
    const int biases = kernel_rows * kernel_columns * channels;
    int c = 0;
    for (; c + 4 <= channels; c += 4) {
        float4 sum = rsAllocationVLoadX_float4(weights, biases + c);
        for (int r = 0; r < kernel_rows; r++) {
            const int a = row + r * dilation_rows;
            if (a < 0 || a >= image_rows) continue;
            for (int s = 0; s < kernel_columns; s++) {
                const int b = column + s * dilation_columns;
                if (b < 0 || b >= image_columns) continue;
                const float4 factors = rsAllocationVLoadX_float4(weights, (r * kernel_columns + s) * channels + c);
                sum += rsAllocationVLoadX_float4(images, place_of(image, a, b) + c) * factors;
            }
        }
        rsAllocationVStoreX_float4(out, activate4(sum), x * channels + c);
    }
    for (; c < channels; c++) {
        float sum = rsGetElementAt_float(weights, biases + c);
        for (int r = 0; r < kernel_rows; r++) {
            const int a = row + r * dilation_rows;
            if (a < 0 || a >= image_rows) continue;
            for (int s = 0; s < kernel_columns; s++) {
                const int b = column + s * dilation_columns;
                if (b < 0 || b >= image_columns) continue;
                const float factor = rsGetElementAt_float(weights, (r * kernel_columns + s) * channels + c);
                sum += rsGetElementAt_float(images, place_of(image, a, b) + c) * factor;
            }
        }
        rsSetElementAt_float(out, activate(sum), x * channels + c);
    }
}
