/* The runner: a program for another processor that holds buffers and launches kernels for a client.
 *
 * It reads requests from standard input and writes answers to standard output, as runner_protocol.py of the renderscript
 * backend describes them; what goes wrong outside of requests is said on standard error. Everything in a request is
 * checked before it is used. The scripts are linked in: `runner_scripts`, written beside this file for each program.
 */
#include "launch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define VERSION 1
#define MAGIC 0x53524E43u /* "CNRS" */
#define APART UINT64_MAX
#define NO_BUFFER UINT32_MAX
#define MOST_SETS 256
#define ALIVE_NANOSECONDS 1000000000ull

extern const struct rs_script *const runner_scripts[];
extern const uint32_t runner_script_count;
extern const char runner_build[65]; /* a digest in hexadecimal digits: which program this is */

enum { HELLO = 1, ALLOCATE = 2, WRITE = 3, PROGRAM = 4, LAUNCH = 5, READ = 6 };
enum { DONE = 101, FAILED = 102, ALIVE = 103 };

struct header {
    uint32_t magic, kind;
    uint64_t bytes;
};

static struct rs_allocation_data *buffers;
static uint64_t *places; /* offsets in the arena, or APART */
static uint32_t buffer_count;
static char *arena;

static struct rs_launch *launches;
static uint32_t *scripts_of; /* by launch */
static uint32_t launch_count;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void stop(const char *why) {
    fprintf(stderr, "runner: %s\n", why);
    exit(1);
}

/* The client's end is the program's end; half a message is an error. */
static void read_all(void *to, uint64_t bytes, int begins) {
    for (uint64_t done = 0; done < bytes;) {
        const ssize_t got = read(0, (char *)to + done, bytes - done);
        if (got < 0 && errno == EINTR) continue;
        if (got == 0 && begins && done == 0) exit(0);
        if (got <= 0) stop("the client's message ends in the middle");
        done += got;
    }
}

static void write_all(const void *from, uint64_t bytes) {
    for (uint64_t done = 0; done < bytes;) {
        const ssize_t put = write(1, (const char *)from + done, bytes - done);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) stop("the client takes no more answers");
        done += put;
    }
}

static void answer(uint32_t kind, const void *data, uint64_t bytes) {
    const struct header h = {MAGIC, kind, bytes};
    write_all(&h, sizeof h);
    write_all(data, bytes);
}

static void fail(const char *why) { answer(FAILED, why, strlen(why)); }

/* A request's payload, read bit by bit; `left` is what the client still has to send of it. */
static uint64_t left;

static int take(void *to, uint64_t bytes) {
    if (bytes > left) return 0;
    read_all(to, bytes, 0);
    left -= bytes;
    return 1;
}

static void skip_rest(void) {
    char waste[4096];
    while (left) take(waste, left < sizeof waste ? left : sizeof waste);
}

static void release_buffers(void) {
    for (uint32_t i = 0; i < buffer_count; i++)
        if (places[i] == APART) free(buffers[i].data);
    free(buffers), free(places), free(arena);
    buffers = 0, places = 0, arena = 0, buffer_count = 0;
}

static void release_program(void) {
    for (uint32_t i = 0; i < launch_count; i++) {
        if (launches[i].set_count) free((void *)launches[i].sets[0].value);
        free((void *)launches[i].sets);
    }
    free(launches), free(scripts_of);
    launches = 0, scripts_of = 0, launch_count = 0;
}

static void *aligned(uint64_t bytes) {
    void *data;
    if (bytes > SIZE_MAX - 64 || posix_memalign(&data, 64, bytes ? bytes : 64)) return 0;
    memset(data, 0, bytes);
    return data;
}

static const char *allocate(void) {
    struct { uint64_t arena; uint32_t count, unused; } head;
    struct { uint64_t place; uint32_t values, unused; } one;
    release_program();
    release_buffers();
    if (!take(&head, sizeof head) || left != (uint64_t)head.count * sizeof one) return "ALLOCATE: of another length";
    if (!(arena = aligned(head.arena))) return "ALLOCATE: out of memory: the values between layers do not fit";
    buffers = calloc(head.count ? head.count : 1, sizeof *buffers);
    places = calloc(head.count ? head.count : 1, sizeof *places);
    if (!buffers || !places) return "ALLOCATE: out of memory";
    for (uint32_t i = 0; i < head.count; i++) {
        take(&one, sizeof one);
        const uint64_t bytes = 4ull * one.values;
        if (one.place != APART && (one.place % 4 || one.place > head.arena || bytes > head.arena - one.place))
            return "ALLOCATE: a buffer beyond the arena";
        places[i] = one.place;
        buffers[i].dim_x = one.values, buffers[i].cell_bytes = 4;
        buffers[i].data = one.place == APART ? aligned(bytes) : arena + one.place;
        buffer_count = i + 1;
        if (!buffers[i].data) return "ALLOCATE: out of memory: weights, inputs and outputs do not fit";
    }
    return 0;
}

/* Bytes of a buffer, from `first` on: their address, or null. */
static char *bytes_of(uint32_t buffer, uint64_t first, uint64_t bytes) {
    if (buffer >= buffer_count) return 0;
    const uint64_t size = 4ull * buffers[buffer].dim_x;
    return first > size || bytes > size - first ? 0 : (char *)buffers[buffer].data + first;
}

struct range { uint32_t buffer, unused; uint64_t first; };

static const char *write_buffer(void) {
    struct range r;
    if (!take(&r, sizeof r)) return "WRITE: of another length";
    char *to = bytes_of(r.buffer, r.first, left);
    if (!to) return "WRITE: beyond a buffer";
    take(to, left);
    return 0;
}

struct launch_head { uint32_t script, kernel, items, output, inputs, sets; };
struct set_value { uint32_t global, is_buffer, value; };

static const char *read_launch(uint32_t number) {
    struct rs_launch *l = &launches[number];
    struct launch_head h;
    if (!take(&h, sizeof h)) return "PROGRAM: of another length";
    if (h.script >= runner_script_count) return "PROGRAM: a script that is not there";
    const struct rs_script *script = runner_scripts[h.script];
    if (h.kernel >= script->kernel_count) return "PROGRAM: a kernel that is not there";
    if (h.inputs > RS_INPUTS || h.sets > MOST_SETS) return "PROGRAM: too many inputs or globals";
    scripts_of[number] = h.script;
    l->loop = script->kernels[h.kernel].loop;
    l->end[0] = h.items;
    l->in_count = h.inputs;
    for (uint32_t i = 0; i < h.inputs; i++) {
        uint32_t buffer;
        if (!take(&buffer, sizeof buffer) || buffer >= buffer_count) return "PROGRAM: a buffer that is not there";
        l->in[i] = &buffers[buffer];
    }
    if (h.output != NO_BUFFER && h.output >= buffer_count) return "PROGRAM: a buffer that is not there";
    l->out = h.output == NO_BUFFER ? 0 : &buffers[h.output];
    if (!h.sets) return 0;

    struct rs_set *sets = calloc(h.sets, sizeof *sets);
    union { const void *pointer; uint32_t word; } *values = calloc(h.sets, sizeof *values);
    if (!sets || !values) {
        free(sets), free(values);
        return "PROGRAM: out of memory";
    }
    sets[0].value = values;
    l->sets = sets, l->set_count = h.sets;
    for (uint32_t i = 0; i < h.sets; i++) {
        struct set_value s;
        if (!take(&s, sizeof s)) return "PROGRAM: of another length";
        if (s.global >= script->global_count) return "PROGRAM: a global that is not there";
        const struct rs_global *global = &script->globals[s.global];
        if (s.is_buffer && s.value >= buffer_count) return "PROGRAM: a buffer that is not there";
        if (global->bytes > (s.is_buffer ? sizeof(void *) : sizeof(uint32_t))) return "PROGRAM: a global of another size";
        if (s.is_buffer) values[i].pointer = &buffers[s.value];
        else values[i].word = s.value; /* a bool is the first byte: every processor here is little-endian */
        sets[i].global = global->address, sets[i].value = &values[i], sets[i].bytes = global->bytes;
    }
    return 0;
}

static const char *read_program(void) {
    uint32_t count;
    release_program();
    if (!take(&count, sizeof count)) return "PROGRAM: of another length";
    if ((uint64_t)count * sizeof(struct launch_head) > left) return "PROGRAM: of another length";
    launches = calloc(count ? count : 1, sizeof *launches);
    scripts_of = calloc(count ? count : 1, sizeof *scripts_of);
    if (!launches || !scripts_of) return "PROGRAM: out of memory";
    while (launch_count < count) {
        const char *problem = read_launch(launch_count++);
        if (problem) return problem;
    }
    return left ? "PROGRAM: of another length" : 0;
}

static const char *run(void) {
    static char text[200];
    struct { uint32_t first, last, threads; } r;
    if (left != sizeof r || !take(&r, sizeof r)) return "LAUNCH: of another length";
    if (r.first > r.last || r.last > launch_count) return "LAUNCH: launches that are not there";
    const uint64_t start = now();
    uint64_t said = start;
    for (uint32_t i = r.first; i < r.last; i++) {
        uint32_t failed;
        const int error = rs_run(&launches[i], 1, r.threads, &failed);
        if (error) {
            snprintf(text, sizeof text, "launch %u cannot be made: error %d", i, error);
            return text;
        }
        uint32_t *fault = runner_scripts[scripts_of[i]]->fault;
        if (fault && fault[0]) {
            snprintf(text, sizeof text, "launch %u: %u accesses beyond an allocation, the first at (%u, %u, %u) of %u", i,
                     fault[0], fault[1], fault[2], fault[3], fault[4]);
            fault[0] = 0;
            return text;
        }
        if (now() - said > ALIVE_NANOSECONDS) {
            answer(ALIVE, 0, 0);
            said = now();
        }
    }
    const uint64_t took = now() - start;
    answer(DONE, &took, sizeof took);
    return 0;
}

static const char *read_buffer(void) {
    struct { struct range range; uint64_t bytes; } r;
    if (left != sizeof r || !take(&r, sizeof r)) return "READ: of another length";
    const char *from = bytes_of(r.range.buffer, r.range.first, r.bytes);
    if (!from) return "READ: beyond a buffer";
    answer(DONE, from, r.bytes);
    return 0;
}

static void hello(void) {
    struct { uint32_t version, pointer_bytes, cores, scripts; char build[64]; } h = {
        VERSION, sizeof(void *), (uint32_t)sysconf(_SC_NPROCESSORS_ONLN), runner_script_count, ""};
    memcpy(h.build, runner_build, sizeof h.build);
    answer(HELLO, &h, sizeof h);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    hello();
    for (;;) {
        struct header h;
        read_all(&h, sizeof h, 1);
        if (h.magic != MAGIC) stop("this is no message");
        left = h.bytes;
        const char *problem = 0;
        int answered = 0;
        switch (h.kind) {
            case ALLOCATE: problem = allocate(); break;
            case WRITE: problem = write_buffer(); break;
            case PROGRAM: problem = read_program(); break;
            case LAUNCH: problem = run(), answered = 1; break;
            case READ: problem = read_buffer(), answered = 1; break;
            default: problem = "a request that is not known";
        }
        skip_rest();
        if (problem) fail(problem);
        else if (!answered) answer(DONE, 0, 0);
    }
}
