/* The driver: launches as AOSP's CPU reference driver does them (frameworks/rs, cpu_ref/rsCpuCore.cpp).
 *
 * The dimensions come from the first input, else from the output, else from the launch's range. A launch is cut into
 * slices, of cells where there is one dimension or of rows where there are two; a third one is gone through serially.
 * Threads take slices until none is left. A launch of one slice stays on the caller's thread.
 */
#include "launch.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#define MOST_THREADS 64
#define MOST_SLICES ((1u << 24) - 1)
#define SLICE_BYTES (16 * 1024)
/* How often an idle worker looks for a launch before it sleeps: some tenths of a millisecond. */
#define AWAKE_ROUNDS 20000

/* The launch under way. It changes only while no slice of it is open. */
static struct {
    rs_loop loop;
    struct rs_walk walk;
    uint32_t first, last, slice; /* of rows where there are two dimensions, else of cells */
    uint32_t x_first, x_last;
    int rows;
    uint32_t z;
} job;

/* Slices left (24 bits) and threads allowed (8 bits). Whoever lowers it has taken a slice of the launch under way, which
 * cannot change until that slice is done: a thread that comes late finds nothing, or a slice of the present launch. */
static _Atomic uint32_t ticket;
static _Atomic uint32_t open_slices;
static _Atomic uint32_t asleep;
static uint32_t workers;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t begun = PTHREAD_COND_INITIALIZER;

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__ARM_ARCH_7A__)
    __asm__ volatile("yield");
#endif
}

static void compute_slice(uint32_t number) {
    const uint32_t first = job.first + number * job.slice;
    const uint32_t last = job.last - first < job.slice ? job.last : first + job.slice;
    if (!job.rows) {
        job.loop(&job.walk, first, last, 0, job.z);
        return;
    }
    for (uint32_t y = first; y < last; y++) job.loop(&job.walk, job.x_first, job.x_last, y, job.z);
}

static int may_take(uint32_t thread, uint32_t seen) { return (seen & MOST_SLICES) && thread < seen >> 24; }

static void take_slices(uint32_t thread) {
    uint32_t seen = atomic_load(&ticket);
    while (may_take(thread, seen)) {
        if (!atomic_compare_exchange_weak(&ticket, &seen, seen - 1)) continue;
        compute_slice((seen & MOST_SLICES) - 1);
        atomic_fetch_sub(&open_slices, 1);
        seen = atomic_load(&ticket);
    }
}

static void *serve(void *number) {
    const uint32_t thread = (uint32_t)(uintptr_t)number;
    for (;;) {
        int round = 0;
        while (!may_take(thread, atomic_load(&ticket)) && round++ < AWAKE_ROUNDS) pause_briefly();
        if (!may_take(thread, atomic_load(&ticket))) {
            pthread_mutex_lock(&mutex);
            atomic_fetch_add(&asleep, 1);
            while (!may_take(thread, atomic_load(&ticket))) pthread_cond_wait(&begun, &mutex);
            atomic_fetch_sub(&asleep, 1);
            pthread_mutex_unlock(&mutex);
        }
        take_slices(thread);
    }
    return 0;
}

/* Have `threads` with the caller's, or as many as the system gives: fewer do the same work. */
static void gather(uint32_t threads) {
    while (workers + 1 < threads) {
        pthread_t thread;
        if (pthread_create(&thread, 0, serve, (void *)(uintptr_t)(workers + 1))) return;
        pthread_detach(thread);
        workers++;
    }
}

static void compute_slices(uint32_t slices, uint32_t threads) {
    if (slices == 1 || threads == 1) {
        for (uint32_t number = 0; number < slices; number++) compute_slice(number);
        return;
    }
    gather(threads);
    atomic_store(&open_slices, slices);
    atomic_store(&ticket, threads << 24 | slices);
    if (atomic_load(&asleep)) {
        pthread_mutex_lock(&mutex);
        pthread_cond_broadcast(&begun);
        pthread_mutex_unlock(&mutex);
    }
    take_slices(0);
    for (int round = 0; atomic_load(&open_slices); round++) {
        if (round < AWAKE_ROUNDS) pause_briefly();
        else sched_yield();
    }
}

/* Return how many cells or rows a slice has: four slices for each thread, or 16 KiB of cells, whichever is less. */
static uint32_t slice_size(uint32_t count, uint32_t unit_bytes, uint32_t threads) {
    uint32_t size = count / (threads * 4);
    if (unit_bytes && SLICE_BYTES / unit_bytes < size) size = SLICE_BYTES / unit_bytes;
    if (size < count / MOST_SLICES + 1) size = count / MOST_SLICES + 1;
    return size;
}

static int clamp_range(uint32_t *start, uint32_t *end, uint32_t dimension) {
    const uint32_t size = dimension ? dimension : 1;
    if (*end == 0 || *end > size) *end = size;
    return *start < *end;
}

static int launch(const struct rs_launch *l, uint32_t threads) {
    const struct rs_allocation_data *shape = l->in_count ? l->in[0] : l->out;
    uint32_t dims[3];
    uint32_t start[3], end[3];
    memcpy(start, l->start, sizeof start);
    memcpy(end, l->end, sizeof end);
    if (shape) {
        dims[0] = shape->dim_x, dims[1] = shape->dim_y, dims[2] = shape->dim_z;
    } else {
        if (!end[0]) return RS_NO_DIMENSION;
        memcpy(dims, end, sizeof dims);
    }
    for (uint32_t i = 0; i <= l->in_count; i++) {
        const struct rs_allocation_data *a = i < l->in_count ? l->in[i] : l->out;
        if (a && (a->dim_x != dims[0] || a->dim_y != dims[1] || a->dim_z != dims[2])) return RS_DIMENSIONS_DIFFER;
    }
    for (int axis = 0; axis < 3; axis++)
        if (!clamp_range(&start[axis], &end[axis], dims[axis])) return RS_EMPTY_RANGE;

    memset(&job, 0, sizeof job);
    job.loop = l->loop;
    job.walk.dim_x = dims[0], job.walk.dim_y = dims[1] ? dims[1] : 1;
    for (uint32_t i = 0; i < l->in_count; i++) {
        job.walk.in[i] = l->in[i]->data;
        job.walk.in_bytes[i] = l->in[i]->cell_bytes;
    }
    if (l->out) {
        job.walk.out = l->out->data;
        job.walk.out_bytes = l->out->cell_bytes;
    }
    job.rows = dims[1] > 1;
    job.x_first = start[0], job.x_last = end[0];
    job.first = job.rows ? start[1] : start[0];
    job.last = job.rows ? end[1] : end[0];
    uint32_t unit = shape ? (l->out ? l->out->cell_bytes : shape->cell_bytes) : 0;
    if (job.rows) unit *= end[0] - start[0];
    const uint32_t count = job.last - job.first;
    job.slice = slice_size(count, unit, threads);
    const uint32_t slices = (count - 1) / job.slice + 1;
    for (job.z = start[2]; job.z < end[2]; job.z++) compute_slices(slices, threads);
    return RS_OK;
}

int rs_run(const struct rs_launch *launches, uint32_t count, uint32_t threads, uint32_t *failed) {
    if (threads < 1) threads = 1;
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    for (uint32_t i = 0; i < count; i++) {
        const struct rs_launch *l = &launches[i];
        for (uint32_t s = 0; s < l->set_count; s++) memcpy(l->sets[s].global, l->sets[s].value, l->sets[s].bytes);
        const int error = launch(l, threads);
        if (error) {
            *failed = i;
            return error;
        }
    }
    return RS_OK;
}

void rs_forget_team(void) {
    workers = 0;
    atomic_store(&ticket, 0);
    atomic_store(&asleep, 0);
    pthread_mutex_init(&mutex, 0);
    pthread_cond_init(&begun, 0);
}
