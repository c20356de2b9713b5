// The maximum or the mean of windows, which are clipped to the image; each item computes all channels of one pixel.
#pragma version(1)
#pragma rs java_package_name(cnnrt)
#include "activation.rsh"

rs_allocation images; // channels last
rs_allocation out;
int channels;
int image_rows;
int image_columns;
int rows;             // of an output image
int columns;
int kernel_rows;
int kernel_columns;
int stride_rows;
int stride_columns;
int top;              // padding
int left;
int counted_rows;     // rows and columns that the divisor of a mean counts up to: with the padding below and to the
int counted_columns;  // right, or without
int counts_padding;

static float larger(float a, float b) { return b > a || b != b ? b : a; } // what is not a number stays

static float4 larger4(float4 a, float4 b) {
    a.x = larger(a.x, b.x);
    a.y = larger(a.y, b.y);
    a.z = larger(a.z, b.z);
    a.w = larger(a.w, b.w);
    return a;
}

typedef struct {
    int first_row, last_row, first_column, last_column; // in the image
    int start;                                          // the first value of its first pixel
    float area;
} window_t;

static window_t window_of(int item) {
    window_t w;
    const int row = item / columns % rows * stride_rows - top;
    const int column = item % columns * stride_columns - left;
    w.first_row = max(row, 0);
    w.last_row = min(row + kernel_rows, image_rows);
    w.first_column = max(column, 0);
    w.last_column = min(column + kernel_columns, image_columns);
    w.start = item / columns / rows * image_rows * image_columns * channels;
    const int high = min(row + kernel_rows, counted_rows) - (counts_padding ? row : w.first_row);
    const int wide = min(column + kernel_columns, counted_columns) - (counts_padding ? column : w.first_column);
    w.area = (float)high * (float)wide;
    return w;
}

static int place_of(window_t w, int row, int column) { return w.start + (row * image_columns + column) * channels; }

void __attribute__((kernel)) maximum(uint32_t x) {
    const window_t w = window_of(x);
    const int first = place_of(w, w.first_row, w.first_column);
    int c = 0;
    for (; c + 4 <= channels; c += 4) {
        float4 found = rsAllocationVLoadX_float4(images, first + c);
        for (int a = w.first_row; a < w.last_row; a++)
            for (int b = w.first_column; b < w.last_column; b++)
                found = larger4(found, rsAllocationVLoadX_float4(images, place_of(w, a, b) + c));
        rsAllocationVStoreX_float4(out, activate4(found), x * channels + c);
    }
    for (; c < channels; c++) {
        float found = rsGetElementAt_float(images, first + c);
        for (int a = w.first_row; a < w.last_row; a++)
            for (int b = w.first_column; b < w.last_column; b++)
                found = larger(found, rsGetElementAt_float(images, place_of(w, a, b) + c));
        rsSetElementAt_float(out, activate(found), x * channels + c);
    }
}

void __attribute__((kernel)) mean(uint32_t x) {
    const window_t w = window_of(x);
    int c = 0;
    for (; c + 4 <= channels; c += 4) {
        float4 sum = 0;
        for (int a = w.first_row; a < w.last_row; a++)
            for (int b = w.first_column; b < w.last_column; b++) sum += rsAllocationVLoadX_float4(images, place_of(w, a, b) + c);
        rsAllocationVStoreX_float4(out, activate4(sum / w.area), x * channels + c);
    }
    for (; c < channels; c++) {
        float sum = 0;
        for (int a = w.first_row; a < w.last_row; a++)
            for (int b = w.first_column; b < w.last_column; b++) sum += rsGetElementAt_float(images, place_of(w, a, b) + c);
        rsSetElementAt_float(out, activate(sum / w.area), x * channels + c);
    }
}
