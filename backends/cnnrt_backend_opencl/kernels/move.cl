// Values move from places that lie evenly apart to places that do, along up to 8 axes, or one number goes there.
//
// AXES: how many axes there are, 1 to 8; the last one is innermost in the output.
//
// `counts`: values along each axis; `targets`, `sources`: floats from one to the next in the output and in the input;
// `target`, `source`: places of the first ones.
// A work-item moves `run` neighbours along the innermost axis. Global size: runs, `rows` of the other axes.

#ifndef AXES
#define AXES 2
#endif

typedef union {
    int8 vector;
    int each[8];
} Axes;

// How far into an array with these steps the first value of a row is.
static int row_begins(int row, const Axes counts, const Axes steps) {
    int begin = 0;
    for (int axis = AXES - 2; axis >= 0; axis--) {
        begin += row % counts.each[axis] * steps.each[axis];
        row /= counts.each[axis];
    }
    return begin;
}

__kernel void move_values(__global const float *restrict x, __global float *restrict y, const int run, const int rows,
                          const int8 counts, const int8 targets, const int8 sources, const int target,
                          const int source) {
    const Axes each = {counts}, to = {targets}, from = {sources};
    const int row = get_global_id(1), count = each.each[AXES - 1], first = (int)get_global_id(0) * run;
    if (row >= rows) return;
    const int out_step = to.each[AXES - 1], in_step = from.each[AXES - 1], end = min(first + run, count);
    __global float *out = y + target + row_begins(row, each, to);
    __global const float *in = x + source + row_begins(row, each, from);
    for (int i = first; i < end; i++) out[i * out_step] = in[i * in_step];
}

__kernel void fill(__global float *restrict y, const int run, const int rows, const int8 counts, const int8 targets,
                   const int target, const float value) {
    const Axes each = {counts}, to = {targets};
    const int row = get_global_id(1), count = each.each[AXES - 1], first = (int)get_global_id(0) * run;
    if (row >= rows) return;
    const int out_step = to.each[AXES - 1], end = min(first + run, count);
    __global float *out = y + target + row_begins(row, each, to);
    for (int i = first; i < end; i++) out[i * out_step] = value;
}
