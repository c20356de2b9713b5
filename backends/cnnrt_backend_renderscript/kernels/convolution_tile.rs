// Convolution by register tiles: each item computes PIXELS pixels of CHANNELS channels, which stay in registers.
//
// Images lie channels last. Each value that is read meets CHANNELS weights, which lie side by side in panels
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
#ifndef CHANNELS
#define CHANNELS 8
#endif
#ifndef LANES
#define LANES 4 // of a vector: RenderScript's own have four at most, those of some processors more
#endif
#define VECTORS (CHANNELS / LANES)

typedef float lanes_t __attribute__((ext_vector_type(LANES)));

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

static lanes_t load_lanes(rs_allocation from, int place) {
    lanes_t v;
    for (int i = 0; i < LANES; i += 4) {
        const float4 part = rsAllocationVLoadX_float4(from, place + i);
        v[i] = part.x;
        v[i + 1] = part.y;
        v[i + 2] = part.z;
        v[i + 3] = part.w;
    }
    return v;
}

static float4 four_of(lanes_t v, int first) {
    float4 part;
    part.x = v[first];
    part.y = v[first + 1];
    part.z = v[first + 2];
    part.w = v[first + 3];
    return part;
}

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
    lanes_t sums[PIXELS][VECTORS];
    for (int p = 0; p < PIXELS; p++)
        for (int v = 0; v < VECTORS; v++) sums[p][v] = 0;

    int w = panel * kernel_rows * kernel_columns * depth * CHANNELS;
    for (int r = 0; r < kernel_rows; r++) {
        for (int s = 0; s < kernel_columns; s++) {
            const int tap = r * kernel_row_step + s * kernel_column_step;
            for (int c = 0; c < depth; c++) {
                lanes_t factors[VECTORS];
                for (int v = 0; v < VECTORS; v++) factors[v] = load_lanes(weights, w + LANES * v);
                for (int p = 0; p < PIXELS; p++) {
                    const float value = rsGetElementAt_float(images, start[p] + tap + c);
                    for (int v = 0; v < VECTORS; v++) sums[p][v] += value * factors[v];
                }
                w += CHANNELS;
            }
        }
    }

    const int channel = panel % panels * CHANNELS;
    for (int c = 0; c < CHANNELS; c += 4) {
        const int count = group_outputs - channel - c;
        if (count <= 0) break;
        const float4 bias = rsAllocationVLoadX_float4(weights, biases + panel * CHANNELS + c);
        for (int p = 0; p < PIXELS; p++) {
            if (first + p >= pixels) break;
            const int place = (first + p) * outputs + group * group_outputs + channel + c;
            float4 result = four_of(sums[p][c / LANES], c % LANES) + bias;
            if (adds) result += load_some(residual, place, count);
            store_some(out, activate4(result), place, count);
        }
    }
}
