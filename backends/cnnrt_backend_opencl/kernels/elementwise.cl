// One function of each value, whatever the shape.
//
// FUNCTION: name of a function below, of a value and four constants k, of which it uses the first ones.
// VALUES: values of a work-item; they lie as far apart as there are work-items, so that neighbours read side by side.
//
// y[i] = FUNCTION(x[i], k), i = 0 ... count - 1. Global size: at least count / VALUES.

#ifndef FUNCTION
#define FUNCTION rectify
#endif
#ifndef VALUES
#define VALUES 4
#endif

#pragma OPENCL FP_CONTRACT OFF // `line_at` knows what each rounding lost

// Not k * x where k is 0: that would make infinities NaN.
float rectify(float x, float4 k) { return x > 0.0f || isnan(x) ? x : k.x == 0.0f ? 0.0f : k.x * x; }

// Without overflow on either side.
float logistic(float x, float4 k) {
    const float small = exp(-fabs(x));
    return (x > 0.0f ? 1.0f : small) / (1.0f + small);
}

float tangent(float x, float4 k) { return k.y * tanh(k.x * x); }

float exponential(float x, float4 k) { return x > 0.0f ? k.x * x : k.y * expm1(x); }

// As NumPy's clip: NaN stays, and the upper bound wins where both meet.
float bounds(float x, float4 k) { return isnan(x) ? x : fmin(fmax(x, k.x), k.y); }

float swish(float x, float4 k) { return x * logistic(k.x * x, k); }

float clipped_line(float x, float4 k) {
    const float y = k.x * x + k.y;
    return isnan(y) ? y : fmin(fmax(y, 0.0f), 1.0f);
}

float hard_swish(float x, float4 k) { return x * clipped_line(x, (float4)(1.0f / 6.0f, 0.5f, 0.0f, 0.0f)); }

float absolute(float x, float4 k) { return fabs(x); }

float softplus(float x, float4 k) { return fmax(x, 0.0f) + log1p(exp(-fabs(x))); }

float softsign(float x, float4 k) { return x / (1.0f + fabs(x)); }

float threshold(float x, float4 k) { return x > k.x ? x : k.y; }

// x * tanh(log(1 + e)), e = exp(x): the tangent is (e * e + 2 * e) / (e * e + 2 * e + 2), here divided by e * e where x > 0.
float mish(float x, float4 k) {
    const float e = exp(-fabs(x));
    const float above = x > 0.0f ? 1.0f + 2.0f * e : e * e + 2.0f * e;
    return x * (above / (above + (x > 0.0f ? 2.0f * e * e : 2.0f)));
}

// By the complement of the error function, which keeps its digits where it is small.
float gelu(float x, float4 k) { return x * (0.5f * erfc(x * -0.70710678f)); }

// (1 + tanh(z)) / 2 is the logistic function of 2 z.
float gelu_by_tangent(float x, float4 k) {
    return x * logistic(1.5957691f * (x + 0.044715f * x * x * x), k);
}

// k.x * x + k.y + k.z, and what its rounding lost (Dekker 1971, Knuth's sum): powers and logarithms would enlarge it.
float2 line_at(float x, float4 k) {
    const float product = k.x * x, lost = fma(k.x, x, -product);
    const float sum = product + k.y, part = sum - product;
    const float rest = (product - (sum - part)) + (k.y - part) + lost + k.z;
    return (float2)(sum, isfinite(rest) ? rest : 0.0f);
}

float line(float x, float4 k) {
    const float2 y = line_at(x, k);
    return y.x + y.y;
}

float squared_line(float x, float4 k) {
    const float y = line(x, k);
    return y * y;
}

float power_of_line(float x, float4 k) {
    const float2 y = line_at(x, k);
    const float near = pow(y.x, k.w);
    return y.x == 0.0f || y.y == 0.0f || !isfinite(near) ? pow(y.x + y.y, k.w) : near + near * (k.w * (y.y / y.x));
}

float power_of_base(float x, float4 k) {
    const float2 y = line_at(x, k);
    const float near = exp(y.x);
    return y.y == 0.0f || !isfinite(near) ? near : near + near * y.y;
}

float logarithm(float x, float4 k) {
    const float2 y = line_at(x, k);
    return (y.x == 0.0f || y.y == 0.0f ? log(y.x + y.y) : log(y.x) + y.y / y.x) * k.w;
}

// The functions of Unary.
#define UNARY(name, value) \
    float unary_##name(float x, float4 k) { return value; }
UNARY(sqrt, sqrt(x))
UNARY(square, x * x)
UNARY(reciprocal, 1.0f / x)
UNARY(neg, -x)
UNARY(sign, isnan(x) ? x : sign(x))
UNARY(floor, floor(x))
UNARY(ceil, ceil(x))
UNARY(round, rint(x))
UNARY(erf, erf(x))
UNARY(sin, sin(x))
UNARY(cos, cos(x))
UNARY(tan, tan(x))
UNARY(asin, asin(x))
UNARY(acos, acos(x))
UNARY(atan, atan(x))
UNARY(sinh, sinh(x))
UNARY(cosh, cosh(x))
UNARY(asinh, asinh(x))
UNARY(acosh, acosh(x))
UNARY(atanh, atanh(x))
#undef UNARY

__kernel void elementwise(__global const float *restrict x, __global float *restrict y, int count, float4 k) {
    const int items = (int)get_global_size(0);
    int i = (int)get_global_id(0);
    for (int v = 0; v < VALUES && i < count; v++, i += items)
        y[i] = FUNCTION(x[i], k);
}
