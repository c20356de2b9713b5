// Softmax: exp(x - maximum) / sum of them, along an axis of `count` values that lie `inner` apart, or its logarithm.
//
// LOGARITHM: 1 for the logarithm, x - maximum - log(sum).
// A work-group of WORKERS, a power of two, computes one line; each worker takes every WORKERS-th value, and what they
// find is joined pair by pair in local memory. Sums carry what rounding lost (Kahan 1965): thousands of classes, no
// digit less. Global size: lines * WORKERS.

#ifndef WORKERS
#define WORKERS 32
#endif
#ifndef LOGARITHM
#define LOGARITHM 0
#endif

__kernel __attribute__((reqd_work_group_size(WORKERS, 1, 1))) void exponentials(
    __global const float *restrict x, __global float *restrict y, const int count, const int inner) {
    __local float found[WORKERS];
    const int worker = get_local_id(0);
    const int line = get_group_id(0);
    const int start = line / inner * (count * inner) + line % inner;

    float most = -INFINITY;
    for (int i = worker; i < count; i += WORKERS) {
        const float value = x[start + i * inner];
        most = value > most || value != value ? value : most;
    }
    found[worker] = most;
    for (int step = WORKERS / 2; step > 0; step /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (worker < step) {
            const float value = found[worker + step];
            if (value > found[worker] || value != value) found[worker] = value;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    most = found[0];
    barrier(CLK_LOCAL_MEM_FENCE);

    float sum = 0.0f, lost = 0.0f;
    for (int i = worker; i < count; i += WORKERS) {
        const float value = exp(x[start + i * inner] - most);
#if !LOGARITHM
        y[start + i * inner] = value;
#endif
        const float corrected = value - lost;
        const float next = sum + corrected;
        lost = (next - sum) - corrected;
        sum = next;
    }
    found[worker] = sum;
    for (int step = WORKERS / 2; step > 0; step /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (worker < step) found[worker] += found[worker + step];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    sum = found[0];
#if LOGARITHM
    sum = log(sum);
    for (int i = worker; i < count; i += WORKERS) y[start + i * inner] = x[start + i * inner] - most - sum;
#else
    for (int i = worker; i < count; i += WORKERS) y[start + i * inner] /= sum;
#endif
}
