// Convolution by dot products, in the shape of CNNdroid's InFxOutFy: each item computes OUTPUTS channels of one pixel
// and reads INPUTS values of the input at a time, as vectors of four.
//
// Images lie channels last, a group's channels filled up to a multiple of INPUTS, padded already. Weights:
// [group, panel, kernel row, kernel column, channels / 4, output, 4], filled up by zeros.
#pragma version(1)
#pragma rs java_package_name(cnnrt)
#pragma rs_fp_relaxed
#include "activation.rsh"

#ifndef INPUTS
#define INPUTS 8
#endif
#ifndef OUTPUTS
#define OUTPUTS 4
#endif

rs_allocation images;
rs_allocation weights; // panels, then biases
rs_allocation out;
int biases;        // where they begin
int pixels;        // of all output images
int image_pixels;  // of one output image
int row_pixels;    // of a row of it
int image_step;    // values from one input image to the next, from one window to the one below it, to its neighbour
int row_step;
int column_step;
int kernel_rows;
int kernel_columns;
int kernel_row_step;
int kernel_column_step;
int depth;         // channels of a group, filled up
int group_outputs;
int outputs;
int panels;        // of a group

void __attribute__((kernel)) convolve(uint32_t x) {
    const int pixel = x % pixels, panel = x / pixels;
    const int group = panel / panels;
    const int place = pixel % image_pixels;
    const int start = pixel / image_pixels * image_step + place / row_pixels * row_step + place % row_pixels * column_step + group * depth;

    float sums[OUTPUTS];
    for (int o = 0; o < OUTPUTS; o++) sums[o] = 0;
    int w = panel * kernel_rows * kernel_columns * depth * OUTPUTS;
    for (int r = 0; r < kernel_rows; r++) {
        for (int s = 0; s < kernel_columns; s++) {
            const int tap = start + r * kernel_row_step + s * kernel_column_step;
            for (int c = 0; c < depth; c += INPUTS) {
                for (int i = 0; i < INPUTS; i += 4) {
                    const float4 seen = rsAllocationVLoadX_float4(images, tap + c + i);
                    for (int o = 0; o < OUTPUTS; o++) sums[o] += dot(seen, rsAllocationVLoadX_float4(weights, w + 4 * o));
                    w += 4 * OUTPUTS;
                }
            }
        }
    }

    const int channel = panel % panels * OUTPUTS;
    for (int o = 0; o < OUTPUTS; o++) {
        if (channel + o >= group_outputs) break;
        const float bias = rsGetElementAt_float(weights, biases + panel * OUTPUTS + o);
        rsSetElementAt_float(out, activate(sums[o] + bias), pixel * outputs + group * group_outputs + channel + o);
    }
}
