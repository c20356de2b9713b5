// Each value by itself, and each two values at the same place: RenderScript's own way, one cell in, one cell out.
#pragma version(1)
#pragma rs java_package_name(cnnrt)
#include "activation.rsh"

float factor;        // of the first operand
float second_factor; // of the second one
float amount;        // what a function is parameterised by
float second_amount;

// 1 / (1 + exp(-v)) without overflow.
static float logistic(float v) {
    const float small = exp(-fabs(v));
    return (v > 0 ? 1 : small) / (1 + small);
}

float __attribute__((kernel)) rectify(float v) { return activate(v); }
float __attribute__((kernel)) sigmoid(float v) { return logistic(v); }
float __attribute__((kernel)) swish(float v) { return v * logistic(amount * v); }
float __attribute__((kernel)) hard_sigmoid(float v) { return clamp(amount * v + second_amount, 0.0f, 1.0f); }
float __attribute__((kernel)) hard_swish(float v) { return v * clamp(v * (1.0f / 6) + 0.5f, 0.0f, 1.0f); }
float __attribute__((kernel)) tangent(float v) { return amount * tanh(second_amount * v); }
float __attribute__((kernel)) exponential_unit(float v) { return v > 0 ? v : amount * expm1(v); }

float __attribute__((kernel)) sum(float v, float w) { return activate(factor * v + second_factor * w); }
float __attribute__((kernel)) product(float v, float w) { return activate(v * w); }
float __attribute__((kernel)) quotient(float v, float w) { return activate(v / w); }
float __attribute__((kernel)) maximum(float v, float w) { return activate(w > v || w != w ? w : v); }
float __attribute__((kernel)) minimum(float v, float w) { return activate(w < v || w != w ? w : v); }
float __attribute__((kernel)) scaled(float v) { return activate(factor * v); }
