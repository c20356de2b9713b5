// One function of each value, whatever the shape.
//
// FUNCTION: name of a function below, of a value and two parameters.
// VALUES: values of a work-item; they lie as far apart as there are work-items, so that neighbours read side by side.
//
// y[i] = FUNCTION(x[i], a, b), i = 0 ... count - 1. Global size: at least count / VALUES.

#ifndef FUNCTION
#define FUNCTION rectify
#endif
#ifndef VALUES
#define VALUES 4
#endif

float same(float x, float a, float b) { return x; }

// Not a * x where a is 0: that would make infinities NaN.
float rectify(float x, float a, float b) { return x > 0.0f || isnan(x) ? x : a == 0.0f ? 0.0f : a * x; }

// Without overflow on either side.
float logistic(float x, float a, float b) {
    const float small = exp(-fabs(x));
    return (x > 0.0f ? 1.0f : small) / (1.0f + small);
}

float tangent(float x, float a, float b) { return b * tanh(a * x); }

float exponential(float x, float a, float b) { return x > 0.0f ? x : a * expm1(x); }

// As NumPy's clip: NaN stays, and the upper bound wins where both meet.
float bounds(float x, float a, float b) { return isnan(x) ? x : fmin(fmax(x, a), b); }

float swish(float x, float a, float b) { return x * logistic(a * x, 0.0f, 0.0f); }

float clipped_line(float x, float a, float b) { return bounds(a * x + b, 0.0f, 1.0f); }

float hard_swish(float x, float a, float b) { return x * bounds(x * (1.0f / 6.0f) + 0.5f, 0.0f, 1.0f); }

__kernel void elementwise(__global const float *restrict x, __global float *restrict y, int count, float a, float b) {
    const int items = (int)get_global_size(0);
    int i = (int)get_global_id(0);
    for (int v = 0; v < VALUES && i < count; v++, i += items)
        y[i] = FUNCTION(x[i], a, b);
}
