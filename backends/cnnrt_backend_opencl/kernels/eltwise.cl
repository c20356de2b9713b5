// Two values at a time are combined: y = first_factor * a OPERATION second_factor * b. More inputs take more launches,
// each of which adds one to what is there. The last one multiplies by `scale` (1, or 1 / inputs for a mean).
//
// A work-item combines LANES values; those that do not fill a vector are combined one by one, by the last work-item.
//
// AXES, with LANES 1: the values lie along so many axes, 1 to 8, the last one innermost in the output. `counts`: values
// along each; `y_steps` and others: floats from one to the next, 0 where an input is broadcast. A work-item combines
// `run` neighbours along the innermost axis. Global size: runs, `rows` of the other axes.

#ifndef LANES
#define LANES 4 // 1, 2, 4, 8 or 16
#endif
#define SUM 0
#define PRODUCT 1
#define MAXIMUM 2
#define MINIMUM 3
#define DIFFERENCE 4
#define QUOTIENT 5
#define POWER 6
#ifndef OPERATION
#define OPERATION SUM
#endif
// FOLDED(v): what is applied to each result.
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
typedef FLOATS UNALIGNED __attribute__((aligned(4))); // values may begin at any float of a buffer

static FLOATS combined(FLOATS a, FLOATS b, const float first_factor, const float second_factor, const float scale) {
#if OPERATION == PRODUCT
    FLOATS result = a * b;
#elif OPERATION == MAXIMUM
    FLOATS result = ((a >= b) | (a != a)) ? a : b;
#elif OPERATION == MINIMUM
    FLOATS result = ((a <= b) | (a != a)) ? a : b;
#elif OPERATION == DIFFERENCE
    FLOATS result = a - b;
#elif OPERATION == QUOTIENT
    FLOATS result = a / b;
#elif OPERATION == POWER
    FLOATS result = pow(a, b);
#else
    FLOATS result = (a * first_factor + b * second_factor) * scale;
#endif
    return FOLDED(result);
}

#ifdef AXES
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

// `a` may be `y`: not restrict.
__kernel void combine_axes(__global const float *a, __global const float *b, __global float *y, const int run,
                           const int rows, const int8 counts, const int8 y_steps, const int8 a_steps,
                           const int8 b_steps, const float first_factor, const float second_factor,
                           const float scale) {
    const Axes each = {counts}, to = {y_steps}, left = {a_steps}, right = {b_steps};
    const int row = get_global_id(1), first = (int)get_global_id(0) * run;
    if (row >= rows) return;
    const int end = min(first + run, each.each[AXES - 1]);
    const int y_step = to.each[AXES - 1], a_step = left.each[AXES - 1], b_step = right.each[AXES - 1];
    a += row_begins(row, each, left);
    b += row_begins(row, each, right);
    y += row_begins(row, each, to);
    for (int i = first; i < end; i++)
        y[i * y_step] = combined(a[i * a_step], b[i * b_step], first_factor, second_factor, scale);
}
#else
// `a` may be `y`: not restrict.
__kernel void combine(__global const float *a, __global const float *b, __global float *y, const int values,
                      const float first_factor, const float second_factor, const float scale) {
    const int first = (int)get_global_id(0) * LANES;
    if (first >= values) return;
    if (first + LANES <= values) {
        const FLOATS left = *(__global const UNALIGNED *)(a + first), right = *(__global const UNALIGNED *)(b + first);
        *(__global UNALIGNED *)(y + first) = combined(left, right, first_factor, second_factor, scale);
        return;
    }
    union {
        FLOATS vector;
        float lane[LANES];
    } left, right;
    for (int i = 0; i < LANES; i++) {
        left.lane[i] = first + i < values ? a[first + i] : 1.0f;
        right.lane[i] = first + i < values ? b[first + i] : 1.0f;
    }
    left.vector = combined(left.vector, right.vector, first_factor, second_factor, scale);
    for (int i = 0; first + i < values; i++) y[first + i] = left.lane[i];
}
#endif
