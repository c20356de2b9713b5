// What layers apply on the way out: a (leaky) ReLU, then bounds. Neutral: slope 1, low -infinity, high infinity.
float slope;
float low;
float high;

static float activate(float v) {
    v = v < 0 ? (slope == 0 ? 0 : v * slope) : v; // not 0 * v, which makes infinities NaN
    v = v < low ? low : v;
    return v > high ? high : v;
}

static float4 activate4(float4 v) {
    v.x = activate(v.x);
    v.y = activate(v.y);
    v.z = activate(v.z);
    v.w = activate(v.w);
    return v;
}

// Load the first `count` of four values; the others are 0.
static float4 load_some(rs_allocation from, int place, int count) {
    if (count >= 4) return rsAllocationVLoadX_float4(from, place);
    float4 v = 0;
    v.x = rsGetElementAt_float(from, place);
    if (count > 1) v.y = rsGetElementAt_float(from, place + 1);
    if (count > 2) v.z = rsGetElementAt_float(from, place + 2);
    return v;
}

// Store the first `count` of four results.
static void store_some(rs_allocation to, float4 v, int place, int count) {
    if (count >= 4) {
        rsAllocationVStoreX_float4(to, v, place);
        return;
    }
    rsSetElementAt_float(to, v.x, place);
    if (count > 1) rsSetElementAt_float(to, v.y, place + 1);
    if (count > 2) rsSetElementAt_float(to, v.z, place + 2);
}
