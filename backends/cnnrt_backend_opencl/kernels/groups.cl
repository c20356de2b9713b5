// Groups of values that lie evenly apart along some axes: each becomes one number (`reduce`), or is normalised by such
// numbers (`normalise`).
//
// KEPT, TOGETHER: axes from group to group and within a group, 1 to 8 each, the last one innermost.
// WORKERS, a power of two, compute one group: each takes every WORKERS-th value, and what they find is joined pair by
// pair in local memory. A work-group computes GROUPS of them, 1 unless WORKERS is 1.
// DIVISOR: what values are divided by, see below; without it, the program is `reduce` alone, with OPERATION. POWER: 1 or 2
// where a norm is one of these, else 0.
//
// Sums carry what rounding lost (Kahan 1965). `kept_counts`, `counts`: groups along each axis, values along each; the
// steps that follow are floats from one to the next in an array.
// Global size: WORKERS, groups (rounded up to GROUPS).

#ifndef KEPT
#define KEPT 1
#endif
#ifndef TOGETHER
#define TOGETHER 1
#endif
#ifndef WORKERS
#define WORKERS 32
#endif
#ifndef GROUPS
#define GROUPS 1
#endif

#define SUM 0
#define MAXIMUM 1
#define MINIMUM 2
#define PRODUCT 3
#define SIZES 4 // the sum of absolute values
#define SQUARES 5
#define LENGTH 6 // its square root
#define LOGARITHM 7 // of the sum
#define LOGARITHM_OF_POWERS 8 // of the sum of exponentials
#ifndef OPERATION
#define OPERATION SUM
#endif

#define NOTHING 0
#define VARIANCE 1  // the root of variance + eps
#define DEVIATION 2 // the root of the variance, + eps
#define NORM 3      // no mean is subtracted; the norm of p, eps ** (1 / p) being one value more
#ifndef POWER
#define POWER 2
#endif

#define FINITE(x) ((x) - (x) == 0.0f) // PoCL 3.0's compiler crashes on isfinite between barriers

typedef union {
    int8 vector;
    int each[8];
} Axes;

typedef struct {
    float total, lost, plain; // `plain` is what holds where the others are not finite
} Sum;

static int place_of(int number, const Axes counts, const Axes steps, const int axes) {
    int place = 0;
    for (int axis = axes - 1; axis > 0; axis--) {
        place += number % counts.each[axis] * steps.each[axis];
        number /= counts.each[axis];
    }
    return place + number * steps.each[0];
}

static Sum added(const Sum sum, const float value) {
    const float corrected = value - sum.lost, next = sum.total + corrected;
    const Sum result = {next, (next - sum.total) - corrected, sum.plain + value};
    return result;
}

// Whether a value takes the place of another one; one that is not a number always does.
static int beats(const float value, const float other, const int how) {
    return value != value || (how == MAXIMUM ? value > other : value < other);
}

// What all workers of a group found, joined.
static float of_all(__local float *found, const float own, const int how) {
#if WORKERS == 1
    return own;
#else
    const int worker = get_local_id(0);
    found[worker] = own;
    for (int step = WORKERS / 2; step > 0; step /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (worker < step) {
            const float other = found[worker + step];
            if (how == SUM)
                found[worker] += other;
            else if (how == PRODUCT)
                found[worker] *= other;
            else if (beats(other, found[worker], how))
                found[worker] = other;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    const float result = found[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return result;
#endif
}

static float sum_of_all(__local float *found, const Sum sum) {
    return of_all(found, FINITE(sum.total) ? sum.total : sum.plain, SUM);
}

#ifndef DIVISOR
__kernel __attribute__((reqd_work_group_size(WORKERS, GROUPS, 1))) void reduce(
    __global const float *restrict x, __global float *restrict y, const int groups, const int count,
    const int8 kept_counts, const int8 kept_y, const int8 kept_x, const int8 counts, const int8 steps,
    const float factor) {
    __local float found[WORKERS];
    const Axes kept = {kept_counts}, to = {kept_y}, from = {kept_x}, along = {counts}, apart = {steps};
    const int worker = get_local_id(0), group = get_global_id(1);
#if GROUPS > 1
    if (group >= groups) return;
#endif
    x += place_of(group, kept, from, KEPT);
#if OPERATION == MAXIMUM || OPERATION == MINIMUM || OPERATION == PRODUCT
    float result = OPERATION == PRODUCT ? 1.0f : OPERATION == MAXIMUM ? -INFINITY : INFINITY;
    for (int i = worker; i < count; i += WORKERS) {
        const float value = x[place_of(i, along, apart, TOGETHER)];
        if (OPERATION == PRODUCT)
            result *= value;
        else if (beats(value, result, OPERATION))
            result = value;
    }
    result = of_all(found, result, OPERATION);
#else
    float most = 0.0f; // exponentials of differences from it stay finite
#if OPERATION == LOGARITHM_OF_POWERS
    most = -INFINITY;
    for (int i = worker; i < count; i += WORKERS) {
        const float value = x[place_of(i, along, apart, TOGETHER)];
        if (beats(value, most, MAXIMUM)) most = value;
    }
    most = of_all(found, most, MAXIMUM);
    most = FINITE(most) ? most : 0.0f;
#endif
    Sum sum = {0.0f, 0.0f, 0.0f};
    for (int i = worker; i < count; i += WORKERS) {
        const float value = x[place_of(i, along, apart, TOGETHER)];
#if OPERATION == SIZES
        sum = added(sum, fabs(value));
#elif OPERATION == SQUARES || OPERATION == LENGTH
        sum = added(sum, value * value);
#elif OPERATION == LOGARITHM_OF_POWERS
        sum = added(sum, exp(value - most));
#else
        sum = added(sum, value);
#endif
    }
    float result = sum_of_all(found, sum);
#if OPERATION == LENGTH
    result = sqrt(result);
#elif OPERATION == LOGARITHM || OPERATION == LOGARITHM_OF_POWERS
    result = log(result) + most;
#endif
#endif
    if (worker == 0) y[place_of(group, kept, to, KEPT)] = factor * result;
}

#else
// y = (x - mean) / divisor * scale + bias, or without the mean. `x` and `y` lie alike. Scales and biases have steps too,
// 0 along axes where one serves all.
__kernel __attribute__((reqd_work_group_size(WORKERS, GROUPS, 1))) void normalise(
    __global const float *restrict x, __global const float *restrict scales, __global const float *restrict biases,
    __global float *restrict y, const int groups, const int count, const int8 kept_counts, const int8 kept_x,
    const int8 kept_scales, const int8 kept_biases, const int8 counts, const int8 x_steps, const int8 scale_steps,
    const int8 bias_steps, const float eps, const float p) {
    __local float found[WORKERS];
    const Axes kept = {kept_counts}, along = {counts}, apart = {x_steps}, scale_apart = {scale_steps},
               bias_apart = {bias_steps}, from = {kept_x}, scale_from = {kept_scales}, bias_from = {kept_biases};
    const int worker = get_local_id(0), group = get_global_id(1);
#if GROUPS > 1
    if (group >= groups) return;
#endif
    x += place_of(group, kept, from, KEPT);
    y += place_of(group, kept, from, KEPT);
    scales += place_of(group, kept, scale_from, KEPT);
    biases += place_of(group, kept, bias_from, KEPT);
    Sum sum = {0.0f, 0.0f, 0.0f};
#if DIVISOR == NORM
    // Values are divided by the largest, whose power no float might hold.
    const float root = pow(eps, 1.0f / p);
    float most = root;
    for (int i = worker; i < count; i += WORKERS)
        most = fmax(most, fabs(x[place_of(i, along, apart, TOGETHER)]));
    most = of_all(found, most, MAXIMUM);
    const float unit = most > 0.0f ? most : 1.0f;
    for (int i = worker; i < count; i += WORKERS) {
        const float size = fabs(x[place_of(i, along, apart, TOGETHER)]) / unit;
        sum = added(sum, POWER == 1 ? size : POWER == 2 ? size * size : pow(size, p));
    }
    const float total = sum_of_all(found, sum) + pow(root / unit, p);
    const float norm = unit * (POWER == 1 ? total : POWER == 2 ? sqrt(total) : pow(total, 1.0f / p));
    const float divisor = norm == 0.0f ? 1.0f : norm;
#else
    for (int i = worker; i < count; i += WORKERS) sum = added(sum, x[place_of(i, along, apart, TOGETHER)]);
    const float near = sum_of_all(found, sum) / (float)count;
    // How far that is off shows in the mean of the differences.
    Sum rest = {0.0f, 0.0f, 0.0f}, squares = {0.0f, 0.0f, 0.0f};
    for (int i = worker; i < count; i += WORKERS) {
        const float apart_from_mean = x[place_of(i, along, apart, TOGETHER)] - near;
        rest = added(rest, apart_from_mean);
        squares = added(squares, apart_from_mean * apart_from_mean);
    }
    const float off = sum_of_all(found, rest) / (float)count;
    const float variance = fmax(sum_of_all(found, squares) / (float)count - off * off, 0.0f);
    const float divisor = DIVISOR == NOTHING ? 1.0f : DIVISOR == DEVIATION ? sqrt(variance) + eps : sqrt(variance + eps);
#endif
    for (int i = worker; i < count; i += WORKERS) {
        const int place = place_of(i, along, apart, TOGETHER);
#if DIVISOR == NORM
        const float value = x[place] / divisor;
#else
        const float value = ((x[place] - near) - off) / divisor;
#endif
        y[place] = value * scales[place_of(i, along, scale_apart, TOGETHER)] +
                   biases[place_of(i, along, bias_apart, TOGETHER)];
    }
}
#endif
