// Exponentials that add up to 1 along an axis; each item is a place beside the axis.
#pragma version(1)
#pragma rs java_package_name(cnnrt)

rs_allocation scores;
rs_allocation out;
int classes; // along the axis
int step;    // values from one of them to the next

void __attribute__((kernel)) exponentials(uint32_t x) {
    const int start = x / step * classes * step + x % step;
    float most = rsGetElementAt_float(scores, start);
    for (int c = 1; c < classes; c++) {
        const float v = rsGetElementAt_float(scores, start + c * step);
        most = v > most || v != v ? v : most;
    }
    float sum = 0;
    for (int c = 0; c < classes; c++) {
        const float e = exp(rsGetElementAt_float(scores, start + c * step) - most);
        rsSetElementAt_float(out, e, start + c * step);
        sum += e;
    }
    for (int c = 0; c < classes; c++)
        rsSetElementAt_float(out, rsGetElementAt_float(out, start + c * step) / sum, start + c * step);
}
