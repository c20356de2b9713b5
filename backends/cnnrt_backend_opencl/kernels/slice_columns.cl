// The outputs of a slice of weights go to their columns of the output: of each row of `count` values the first
// `columns`, from `start` on in a row of `whole` values. VALUE: an unsigned integer of the size of a value.
//
// Global size: at least columns, rows.

#ifndef VALUE
#define VALUE uint
#endif

__kernel void put_columns(__global const VALUE *restrict part, __global VALUE *restrict y, const int count,
                          const int columns, const int whole, const int start) {
    const int column = get_global_id(0), row = get_global_id(1);
    if (column < columns) y[row * whole + start + column] = part[row * count + column];
}
