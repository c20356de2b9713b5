// Local response normalisation of images that lie channels last: each value over a power of its neighbours' squares.
#pragma version(1)
#pragma rs java_package_name(cnnrt)

rs_allocation images;
rs_allocation out;
int channels;
int rows;
int columns;
int reach;   // neighbours on each side
float scale; // of the sum of squares
float offset;
float beta;

static float normalised(float v, float squares) {
    const float base = offset + scale * squares;
    if (beta == 0.75f) return v / (sqrt(base) * sqrt(sqrt(base))); // published networks' exponents, without pow
    if (beta == 0.5f) return v / sqrt(base);
    return v / pow(base, beta);
}

static float4 normalised4(float4 v, float4 squares) {
    const float4 base = offset + scale * squares;
    if (beta == 0.75f) return v / (sqrt(base) * sqrt(sqrt(base)));
    v.x = normalised(v.x, squares.x);
    v.y = normalised(v.y, squares.y);
    v.z = normalised(v.z, squares.z);
    v.w = normalised(v.w, squares.w);
    return v;
}

// Each item is a pixel.
void __attribute__((kernel)) across_channels(uint32_t x) {
    const int pixel = x * channels;
    int c = 0;
    while (c < channels) {
        if (c >= reach && c + 4 + reach <= channels) { // all neighbours of four values are there
            float4 squares = 0;
            for (int d = -reach; d <= reach; d++) {
                const float4 v = rsAllocationVLoadX_float4(images, pixel + c + d);
                squares += v * v;
            }
            rsAllocationVStoreX_float4(out, normalised4(rsAllocationVLoadX_float4(images, pixel + c), squares), pixel + c);
            c += 4;
            continue;
        }
        float squares = 0;
        for (int d = max(c - reach, 0); d <= min(c + reach, channels - 1); d++) {
            const float v = rsGetElementAt_float(images, pixel + d);
            squares += v * v;
        }
        rsSetElementAt_float(out, normalised(rsGetElementAt_float(images, pixel + c), squares), pixel + c);
        c++;
    }
}

// Each item is a pixel; its neighbours are those of the same channel around it.
void __attribute__((kernel)) within_channel(uint32_t x) {
    const int row = x / columns % rows, column = x % columns;
    const int image = x / columns / rows * rows;
    for (int c = 0; c < channels; c++) {
        float squares = 0;
        for (int a = max(row - reach, 0); a <= min(row + reach, rows - 1); a++) {
            for (int b = max(column - reach, 0); b <= min(column + reach, columns - 1); b++) {
                const float v = rsGetElementAt_float(images, ((image + a) * columns + b) * channels + c);
                squares += v * v;
            }
        }
        const int place = x * channels + c;
        rsSetElementAt_float(out, normalised(rsGetElementAt_float(images, place), squares), place);
    }
}
