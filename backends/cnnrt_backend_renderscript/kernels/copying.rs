// Runs of values from one place to another: concatenation, and changes of layout.
#pragma version(1)
#pragma rs java_package_name(cnnrt)

rs_allocation source;
rs_allocation out;
int run;       // values of a run
int out_step;  // from one run to the next in the output
int out_start;
int piece;     // values that an item copies at most
int pieces;    // of a run

void __attribute__((kernel)) copy_runs(uint32_t x) {
    const int number = x / pieces, first = x % pieces * piece;
    const int count = min(piece, run - first);
    const int from = number * run + first, to = out_start + number * out_step + first;
    for (int i = 0; i < count; i++) rsSetElementAt_float(out, rsGetElementAt_float(source, from + i), to + i);
}

int rows;    // of a matrix, for each image
int columns;

// Each item is a column of an image's matrix, which becomes a row.
void __attribute__((kernel)) transpose(uint32_t x) {
    const int start = x / columns * rows * columns, column = x % columns;
    for (int row = 0; row < rows; row++)
        rsSetElementAt_float(out, rsGetElementAt_float(source, start + row * columns + column), start + column * rows + row);
}
