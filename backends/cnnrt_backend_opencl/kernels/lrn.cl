// Local response normalisation: x / (offset + factor * sum of squares around it) ** beta.
//
// SIZE: length of the neighbourhood. QUARTERS: 2 or 3 where beta is as many quarters: by square roots instead of a
// power. `across`: a work-item normalises BLOCK channels of one pixel, a multiple of LANES (1, 2, 4, 8 or 16), whose
// neighbours are SIZE channels; `within`: one value, whose neighbours are SIZE by SIZE pixels. WHOLE: 1 where the channels
// are a multiple of LANES, and are read and written by vectors. ALIGNED: 1 where images begin at a multiple of LANES
// floats.
//
// Images lie channels last. Global size: blocks of channels, or channels (rounded up), pixels of all images.

#ifndef LANES
#define LANES 4
#endif
#ifndef BLOCK
#define BLOCK 8
#endif
#ifndef SIZE
#define SIZE 5
#endif
#ifndef WHOLE
#define WHOLE 0
#endif
#ifndef QUARTERS
#define QUARTERS 0
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
#define REACH (SIZE / 2)
#define BEFORE ((REACH + LANES - 1) / LANES) // vectors that hold the neighbours on one side

static FLOATS power(FLOATS base, const float beta) {
#if QUARTERS == 3
    const FLOATS root = sqrt(base);
    return root * sqrt(root);
#elif QUARTERS == 2
    return sqrt(base);
#else
    return pow(base, (FLOATS)(beta));
#endif
}

__kernel void across(__global const float *restrict x, __global float *restrict y, const float factor,
                     const float offset, const float beta, const int pixels, const int channels) {
    const int first = (int)get_global_id(0) * BLOCK;
    const int pixel = get_global_id(1);
    if (first >= channels || pixel >= pixels) return;
    __global const float *own = x + pixel * channels;
    union {
        FLOATS vector[BLOCK / LANES + 2 * BEFORE];
        float value[BLOCK + 2 * BEFORE * LANES];
    } around;
    for (int v = 0; v < BLOCK / LANES + 2 * BEFORE; v++) {
        const int channel = first + (v - BEFORE) * LANES;
#if WHOLE
        around.vector[v] = channel >= 0 && channel < channels ? *(__global const IN_MEMORY *)(own + channel) : 0.0f;
#else
        for (int l = 0; l < LANES; l++)
            around.value[v * LANES + l] = channel + l >= 0 && channel + l < channels ? own[channel + l] : 0.0f;
#endif
    }
    float squares[BLOCK + 2 * REACH];
    for (int i = 0; i < BLOCK + 2 * REACH; i++) {
        const float value = around.value[BEFORE * LANES - REACH + i];
        squares[i] = value * value;
    }
    union {
        FLOATS vector[BLOCK / LANES];
        float value[BLOCK];
    } base;
    for (int i = 0; i < BLOCK; i++) {
        float sum = 0.0f;
#pragma unroll
        for (int d = 0; d < SIZE; d++) sum += squares[i + d];
        base.value[i] = sum * factor + offset;
    }
    for (int v = 0; v < BLOCK / LANES; v++) base.vector[v] = power(base.vector[v], beta);
#if WHOLE
    for (int v = 0; v < BLOCK / LANES && first + v * LANES < channels; v++)
        *(__global IN_MEMORY *)(y + pixel * channels + first + v * LANES) = around.vector[BEFORE + v] / base.vector[v];
#else
    for (int i = 0; i < BLOCK && first + i < channels; i++)
        y[pixel * channels + first + i] = around.value[BEFORE * LANES + i] / base.value[i];
#endif
}

__kernel void within(__global const float *restrict x, __global float *restrict y, const float factor,
                     const float offset, const float beta, const int pixels, const int channels, const int height,
                     const int width) {
    const int channel = get_global_id(0);
    const int pixel = get_global_id(1);
    if (channel >= channels || pixel >= pixels) return;
    const int row = pixel / width % height, column = pixel % width;
    float sum = 0.0f;
    for (int a = row - REACH; a <= row + REACH; a++) {
        if (a < 0 || a >= height) continue;
        float line = 0.0f;
        for (int b = column - REACH; b <= column + REACH; b++) {
            if (b < 0 || b >= width) continue;
            const float value = x[(pixel + (a - row) * width + (b - column)) * channels + channel];
            line += value * value;
        }
        sum += line;
    }
    union {
        FLOATS vector;
        float value[LANES];
    } base;
    base.vector = power((FLOATS)(sum * factor + offset), beta);
    y[pixel * channels + channel] = x[pixel * channels + channel] / base.value[0];
}
