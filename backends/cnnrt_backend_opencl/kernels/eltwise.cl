// Two values at a time are combined: y = first_factor * a OPERATION second_factor * b. More inputs take more launches,
// each of which adds one to what is there. The last one multiplies by `scale` (1, or 1 / inputs for a mean).
//
// A work-item combines LANES values; those that do not fill a vector are combined one by one, by the last work-item.

#ifndef LANES
#define LANES 4 // 2, 4, 8 or 16
#endif
#define SUM 0
#define PRODUCT 1
#define MAXIMUM 2
#define MINIMUM 3
#define DIFFERENCE 4
#define QUOTIENT 5
#ifndef OPERATION
#define OPERATION SUM
#endif
// FOLDED(v): what is applied to each result.
#ifndef FOLDED
#define FOLDED(v) (v)
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define FLOATS JOIN(float, LANES)
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
#else
    FLOATS result = (a * first_factor + b * second_factor) * scale;
#endif
    return FOLDED(result);
}

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
