// The same few terms for each channel: normalising by statistics, scaling, rectifying. Each item is a pixel (or item).
#pragma version(1)
#pragma rs java_package_name(cnnrt)
#include "activation.rsh"

rs_allocation values;
rs_allocation terms; // one array of `channels` values after the other
rs_allocation out;
int channels;

// (v - mean) * factor + shift, in this order, which keeps digits where a large mean is subtracted.
void __attribute__((kernel)) normalise(uint32_t x) {
    const int start = x * channels;
    for (int c = 0; c < channels; c++) {
        const float v = rsGetElementAt_float(values, start + c) - rsGetElementAt_float(terms, c);
        const float scaled = v * rsGetElementAt_float(terms, channels + c) + rsGetElementAt_float(terms, 2 * channels + c);
        rsSetElementAt_float(out, activate(scaled), start + c);
    }
}

void __attribute__((kernel)) scale(uint32_t x) {
    const int start = x * channels;
    for (int c = 0; c < channels; c++) {
        const float v = rsGetElementAt_float(values, start + c) * rsGetElementAt_float(terms, c);
        rsSetElementAt_float(out, activate(v + rsGetElementAt_float(terms, channels + c)), start + c);
    }
}

void __attribute__((kernel)) rectify(uint32_t x) {
    const int start = x * channels;
    for (int c = 0; c < channels; c++) {
        const float v = rsGetElementAt_float(values, start + c);
        const float result = v > 0 ? v : v * rsGetElementAt_float(terms, c);
        rsSetElementAt_float(out, activate(result), start + c);
    }
}
