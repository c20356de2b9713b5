// Concatenation: for each place before the axis, a run of `run` values of an input goes to its place in the output's
// run of `whole` values, `start` values behind its begin. One launch for each input; a work-item copies one value.

__kernel void copy_runs(__global const float *restrict x, __global float *restrict y, const int run, const int whole,
                        const int start, const int values) {
    const int i = get_global_id(0);
    if (i < values) y[i / run * whole + start + i % run] = x[i];
}
