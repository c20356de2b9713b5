// Transposes a matrix for each image, tile by tile through local memory, so that reads and writes are both side by side.
//
// TILE: side of a tile and of a work-group.
//
// x: images × rows × columns, y: images × columns × rows.
// Global size: columns and rows rounded up to TILE, images. Local size: TILE, TILE, 1.

#ifndef TILE
#define TILE 16
#endif

__kernel __attribute__((reqd_work_group_size(TILE, TILE, 1)))
void transpose(__global const float *restrict x, __global float *restrict y, int rows, int columns) {
    __local float tile[TILE][TILE + 1]; // one more, so that a column lies in as many banks as a row
    const int i = (int)get_local_id(0), j = (int)get_local_id(1);
    const int first_column = (int)get_group_id(0) * TILE, first_row = (int)get_group_id(1) * TILE;
    const size_t image = get_global_id(2) * (size_t)rows * columns;

    if (first_row + j < rows && first_column + i < columns)
        tile[j][i] = x[image + (size_t)(first_row + j) * columns + first_column + i];
    barrier(CLK_LOCAL_MEM_FENCE);
    if (first_row + i < rows && first_column + j < columns)
        y[image + (size_t)(first_column + j) * rows + first_row + i] = tile[i][j];
}

// The same where one side is short: a work-item walks through it, and its neighbours are side by side along the other.
// x: images × rows × columns where `apart`, else images × columns × rows; y the other way round.
// Global size: columns (rounded up), images.
__kernel void walk(__global const float *restrict x, __global float *restrict y, int rows, int columns, int apart) {
    const int column = (int)get_global_id(0);
    if (column >= columns) return;
    const size_t image = get_global_id(1) * (size_t)rows * columns, beside = image + (size_t)column * rows;
    for (int row = 0; row < rows; row++) {
        const size_t across = image + (size_t)row * columns + column;
        if (apart)
            y[beside + row] = x[across];
        else
            y[across] = x[beside + row];
    }
}
