// Layers with a few numbers for each channel: (x - mean) * factor + shift, or a factor for negative values only.
// Channels lie side by side. A work-item computes one value.
// NEGATIVE_ONLY: 1 for the second. FOLDED(v): what is applied to each result.

#ifndef NEGATIVE_ONLY
#define NEGATIVE_ONLY 0
#endif
#ifndef FOLDED
#define FOLDED(v) (v)
#endif

__kernel void affine(__global const float *restrict x, __global const float *restrict means,
                     __global const float *restrict factors, __global const float *restrict shifts,
                     __global float *restrict y, const int values, const int channels) {
    const int i = get_global_id(0);
    if (i >= values) return;
    const int channel = i % channels;
#if NEGATIVE_ONLY
    float result = x[i] > 0.0f ? x[i] : x[i] * factors[channel];
#else
    float result = (x[i] - means[channel]) * factors[channel] + shifts[channel];
#endif
    y[i] = FOLDED(result);
}
