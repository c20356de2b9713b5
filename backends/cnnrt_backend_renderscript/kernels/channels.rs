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
    for (int c = 0; c < channels; c += 4) {
        const int count = channels - c, place = x * channels + c;
        const float4 centred = load_some(values, place, count) - load_some(terms, c, count);
        const float4 scaled = centred * load_some(terms, channels + c, count) + load_some(terms, 2 * channels + c, count);
        store_some(out, activate4(scaled), place, count);
    }
}

void __attribute__((kernel)) scale(uint32_t x) {
    for (int c = 0; c < channels; c += 4) {
        const int count = channels - c, place = x * channels + c;
        const float4 scaled = load_some(values, place, count) * load_some(terms, c, count);
        store_some(out, activate4(scaled + load_some(terms, channels + c, count)), place, count);
    }
}

void __attribute__((kernel)) rectify(uint32_t x) {
    for (int c = 0; c < channels; c += 4) {
        const int count = channels - c, place = x * channels + c;
        const float4 v = load_some(values, place, count), below = v * load_some(terms, c, count);
        float4 result;
        result.x = v.x > 0 ? v.x : below.x;
        result.y = v.y > 0 ? v.y : below.y;
        result.z = v.z > 0 ? v.z : below.z;
        result.w = v.w > 0 ? v.w : below.w;
        store_some(out, activate4(result), place, count);
    }
}
