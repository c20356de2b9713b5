// Convolution by register tiles: each item computes PIXELS pixels of 4 * VECTORS channels, which stay in registers.
//
// Images lie channels last. Each value that is read meets 4 * VECTORS weights, which lie side by side in panels
// [group, panel, kernel row, kernel column, channel, output], filled up by zeros. Pixels are counted through all images;
// those beyond the last one repeat it. Images are padded already. FullyConnected is the case of one position. A residual
// of the output's shape may be added on the way out.
#pragma version(1)
#pragma rs java_package_name(cnnrt)
#pragma rs_fp_relaxed
#include "activation.rsh"

#ifndef PIXELS
#define PIXELS 6
#endif
#ifndef VECTORS
#define VECTORS 2
#endif

rs_allocation images;
rs_allocation weights; // panels, then biases of as many outputs
rs_allocation out;
rs_allocation residual;
int adds;          // whether there is one
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
int depth;         // channels of a group
int group_outputs;
int outputs;
int panels;        // of a group
int all_panels;
int block_tiles;   // tiles that go through all panels together

void __attribute__((kernel)) convolve(uint32_t x) {
    const int tile = x % block_tiles, rest = x / block_tiles;
    const int panel = rest % all_panels, block = rest / all_panels;
    const int first = (block * block_tiles + tile) * PIXELS;
    if (first >= pixels) return;
    const int group = panel / panels;

    int start[PIXELS];
    for (int p = 0; p < PIXELS; p++) {
        const int pixel = min(first + p, pixels - 1);
        const int place = pixel % image_pixels;
        start[p] = pixel / image_pixels * image_step + place / row_pixels * row_step + place % row_pixels * column_step + group * depth;
    }
    float4 sums[PIXELS][VECTORS];
    for (int p = 0; p < PIXELS; p++)
        for (int v = 0; v < VECTORS; v++) sums[p][v] = 0;

    int w = panel * kernel_rows * kernel_columns * depth * 4 * VECTORS;
    for (int r = 0; r < kernel_rows; r++) {
        for (int s = 0; s < kernel_columns; s++) {
            const int tap = r * kernel_row_step + s * kernel_column_step;
            for (int c = 0; c < depth; c++) {
                float4 factors[VECTORS];
                for (int v = 0; v < VECTORS; v++) factors[v] = rsAllocationVLoadX_float4(weights, w + 4 * v);
                for (int p = 0; p < PIXELS; p++) {
                    const float value = rsGetElementAt_float(images, start[p] + tap + c);
                    for (int v = 0; v < VECTORS; v++) sums[p][v] += value * factors[v];
                }
                w += 4 * VECTORS;
            }
        }
    }

    const int channel = panel % panels * 4 * VECTORS;
    for (int v = 0; v < VECTORS; v++) {
        const int count = group_outputs - channel - 4 * v;
        if (count <= 0) break;
        const float4 bias = rsAllocationVLoadX_float4(weights, biases + panel * 4 * VECTORS + 4 * v);
        for (int p = 0; p < PIXELS; p++) {
            if (first + p >= pixels) break;
            const int place = (first + p) * outputs + group * group_outputs + channel + 4 * v;
            float4 result = sums[p][v] + bias;
            if (adds) result += load_some(residual, place, count);
            store_some(out, activate4(result), place, count);
        }
    }
}
