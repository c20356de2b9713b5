// Fully connected by rows of the weights, each read once by a work-group: for few images on devices with many workers.
//
// A work-group of WORKERS, a power of two, computes ROWS outputs of IMAGES images: each worker adds up every WORKERS-th
// vector of LANES features, 1, 2, 4, 8 or 16, of which `features` is a multiple, and the workers' sums are added up
// pair by pair in local memory. FOLDED(v): what is applied to each result.
// HALF_WEIGHTS: if defined, weights are halves (half_weights.clh).
//
// Weights come as [output][feature]. Global size: blocks of outputs * WORKERS, blocks of images.

#ifndef LANES
#define LANES 4
#endif
#ifndef WORKERS
#define WORKERS 64
#endif
#ifndef ROWS
#define ROWS 2
#endif
#ifndef IMAGES
#define IMAGES 4
#endif
#ifndef FOLDED
#define FOLDED(v) (v)
#endif

#if LANES == 1
#define FLOATS float
#else
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define FLOATS JOIN(float, LANES)
#endif
#define WEIGHT_LANES LANES
#include "half_weights.clh"
typedef FLOATS UNALIGNED __attribute__((aligned(4))); // values may begin at any float of a buffer

__kernel __attribute__((reqd_work_group_size(WORKERS, 1, 1))) void rows(
    __global const float *restrict x, __global const WEIGHTS *restrict weights,
    __global const float *restrict biases, __global float *restrict y, const int images, const int features,
    const int outputs) {
    __local float sums[WORKERS][ROWS * IMAGES + 1];
    const int worker = get_local_id(0), vectors = features / LANES;
    const int first_output = (int)get_group_id(0) * ROWS, first_image = (int)get_group_id(1) * IMAGES;
    FLOATS sum[IMAGES][ROWS];
#pragma unroll
    for (int i = 0; i < IMAGES; i++)
#pragma unroll
        for (int o = 0; o < ROWS; o++) sum[i][o] = (FLOATS)(0.0f);
    for (int k = worker; k < vectors; k += WORKERS) {
        FLOATS u[ROWS];
#pragma unroll
        for (int o = 0; o < ROWS; o++)
            u[o] = WEIGHT(weights, (first_output + o < outputs ? first_output + o : outputs - 1) * vectors + k);
#pragma unroll
        for (int i = 0; i < IMAGES; i++) {
            const int image = first_image + i < images ? first_image + i : images - 1;
            const FLOATS value = ((__global const UNALIGNED *)x)[image * vectors + k];
#pragma unroll
            for (int o = 0; o < ROWS; o++) sum[i][o] = value * u[o] + sum[i][o];
        }
    }
    for (int i = 0; i < IMAGES; i++)
        for (int o = 0; o < ROWS; o++) {
            union {
                FLOATS vector;
                float lane[LANES];
            } parts;
            parts.vector = sum[i][o];
            float result = 0.0f;
            for (int l = 0; l < LANES; l++) result += parts.lane[l];
            sums[worker][i * ROWS + o] = result;
        }
    for (int step = WORKERS / 2; step > 0; step /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (worker < step)
            for (int n = 0; n < ROWS * IMAGES; n++) sums[worker][n] += sums[worker + step][n];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int n = worker; n < ROWS * IMAGES; n += WORKERS) {
        const int image = first_image + n / ROWS, output = first_output + n % ROWS;
        if (image >= images || output >= outputs) continue;
        const float result = sums[0][n] + biases[output];
        y[image * outputs + output] = FOLDED(result);
    }
}
