/* Launching kernels: what a compiled script shows of itself, and the steps that the runtime walks through. */
#ifndef CNNRT_LAUNCH_H
#define CNNRT_LAUNCH_H

#define RS_INPUTS 8

/* In scripts renderscript.h has defined these already. */
#ifndef CNNRT_RENDERSCRIPT_H
#include <stdint.h>
struct rs_allocation_data {
    void *data;
    uint32_t dim_x, dim_y, dim_z;
    uint32_t cell_bytes;
};
#endif

/* What a kernel's loop reads and writes: the first cells, the bytes of a cell, and the cells of a row and the rows. */
struct rs_walk {
    const char *in[RS_INPUTS];
    char *out;
    uint32_t in_bytes[RS_INPUTS];
    uint32_t out_bytes;
    uint32_t dim_x, dim_y;
};

/* A kernel with the loop around it: computes the cells from `first` to before `last` of one row. */
typedef void (*rs_loop)(const struct rs_walk *walk, uint32_t first, uint32_t last, uint32_t y, uint32_t z);

/* A global of a script and the value that it is to have. */
struct rs_set {
    void *global;
    const void *value;
    uint32_t bytes;
};

/* One launch. Ranges are clamped to the dimensions; an end of 0 means all. */
struct rs_launch {
    rs_loop loop;
    const struct rs_set *sets;
    const struct rs_allocation_data *in[RS_INPUTS];
    const struct rs_allocation_data *out;
    uint32_t set_count;
    uint32_t in_count;
    uint32_t start[3];
    uint32_t end[3];
};

/* What a compiled script shows, under the name rs_script_ID. `fault`: five words, the first how many accesses were beyond
 * an allocation; absent unless accesses are checked. */
struct rs_global {
    const char *name;
    void *address;
    uint32_t bytes;
};
struct rs_kernel {
    const char *name;
    rs_loop loop;
};
struct rs_script {
    const struct rs_global *globals;
    const struct rs_kernel *kernels;
    uint32_t *fault;
    uint32_t global_count, kernel_count;
};

enum rs_error {
    RS_OK = 0,
    RS_NO_DIMENSION = 1,      /* neither an input, nor an output, nor a range */
    RS_DIMENSIONS_DIFFER = 2, /* inputs and output are not of one shape */
    RS_EMPTY_RANGE = 3        /* nothing is left of the range */
};

/* Set globals and launch, one step after the other, on up to `threads` threads, the caller's included. Returns RS_OK,
 * or an error, and in `failed` the number of the step. One call at a time. */
int rs_run(const struct rs_launch *launches, uint32_t count, uint32_t threads, uint32_t *failed);

/* In a forked child: the parent's threads are not there. */
void rs_forget_team(void);

#endif
