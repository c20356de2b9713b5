// Fully connected by register tiles: for processors with vectors, and no use for local memory.
//
// LANES: floats of a vector, 4, 8 or 16. A work-item computes VECTORS vectors of outputs of up to IMAGES images, ROWS
// of them at a time, which divides IMAGES. FOLDED(v): what is applied to each result.
// HALF_WEIGHTS: if defined, weights are halves (half_weights.clh).
//
// Weights come in panels [panel][feature][VECTORS * LANES], behind the last output filled up with zeros, biases
// likewise. Each panel is read from memory once: BLOCK features of it serve all images one after the other while they
// are in the cache. Sums are made block by block: in one go over thousands of features the rounding errors would show.
// Global size: panels, blocks of images.

#ifndef LANES
#define LANES 8
#endif
#ifndef VECTORS
#define VECTORS 3
#endif
#ifndef ROWS
#define ROWS 4
#endif
#ifndef IMAGES
#define IMAGES 16
#endif
#ifndef BLOCK
#define BLOCK 256
#endif
#ifndef FOLDED
#define FOLDED(v) (v)
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define FLOATS JOIN(float, LANES)
#define PANEL (VECTORS * LANES)
#define WEIGHT_LANES LANES
#include "half_weights.clh"

__kernel void tile(__global const float *restrict x, __global const WEIGHTS *restrict weights,
                   __global const FLOATS *restrict biases, __global float *restrict y, const int images,
                   const int features, const int outputs) {
    const int panel = get_global_id(0);
    const int first_image = (int)get_global_id(1) * IMAGES;
    const int count = images - first_image < IMAGES ? images - first_image : IMAGES;
    __global const WEIGHTS *w = weights + panel * (features * VECTORS);
    union {
        FLOATS vector[VECTORS];
        float lane[PANEL];
    } total[IMAGES];
    for (int i = 0; i < IMAGES; i++)
        for (int v = 0; v < VECTORS; v++) total[i].vector[v] = biases[panel * VECTORS + v];

    for (int first = 0; first < features; first += BLOCK) {
        const int depth = features - first < BLOCK ? features - first : BLOCK;
        for (int row = 0; row < count; row += ROWS) {
            __global const float *p[ROWS];
#pragma unroll
            for (int i = 0; i < ROWS; i++)
                p[i] = x + (first_image + (row + i < count ? row + i : count - 1)) * features + first;
            FLOATS sum[ROWS][VECTORS];
#pragma unroll
            for (int i = 0; i < ROWS; i++)
#pragma unroll
                for (int v = 0; v < VECTORS; v++) sum[i][v] = (FLOATS)(0.0f);
            for (int k = 0; k < depth; k++) {
                FLOATS u[VECTORS];
#pragma unroll
                for (int v = 0; v < VECTORS; v++) u[v] = WEIGHT(w, k * VECTORS + v);
#pragma unroll
                for (int i = 0; i < ROWS; i++) {
                    const FLOATS value = (FLOATS)(p[i][k]);
#pragma unroll
                    for (int v = 0; v < VECTORS; v++) sum[i][v] = value * u[v] + sum[i][v];
                }
            }
#pragma unroll
            for (int i = 0; i < ROWS; i++)
#pragma unroll
                for (int v = 0; v < VECTORS; v++) total[row + i].vector[v] += sum[i][v];
        }
        w += depth * VECTORS;
    }
    for (int i = 0; i < count; i++)
        for (int o = 0; o < PANEL && panel * PANEL + o < outputs; o++) {
            const float result = total[i].lane[o];
            y[(first_image + i) * outputs + panel * PANEL + o] = FOLDED(result);
        }
}
