/* Runs code images in an emulator: reads jobs from standard input, calls them, writes their buffers back.

   A job, all numbers 64-bit little-endian:
     bytes of code, offset of the function, ranges, buffers
     the code
     for each range: first unit, end, thread
     for each buffer: bytes, then as many bytes
   The answer: the bytes of all buffers, in their order. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

typedef void kernel(int64_t *arguments, int64_t first, int64_t last, int64_t thread);

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void take(void *place, size_t size) {
    if (size && fread(place, 1, size, stdin) != size) fail("a job that ends early");
}

static void *room(size_t size) {
    void *place = mmap(0, size ? size : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED) fail("mmap");
    return place;
}

int main(void) {
    int64_t head[4];
    while (fread(head, sizeof head, 1, stdin) == 1) {
        int64_t size = head[0], ranges = head[2], buffers = head[3];
        char *code = room(size);
        take(code, size);
        if (mprotect(code, size, PROT_READ | PROT_EXEC)) fail("mprotect");
        __builtin___clear_cache(code, code + size);

        int64_t *range = room(24 * ranges), *arguments = room(8 * buffers), *sizes = room(8 * buffers);
        take(range, 24 * ranges);
        for (int64_t i = 0; i < buffers; i++) {
            take(&sizes[i], 8);
            arguments[i] = (int64_t)room(sizes[i]);
            take((void *)arguments[i], sizes[i]);
        }
        for (int64_t i = 0; i < ranges; i++)
            ((kernel *)(code + head[1]))(arguments, range[3 * i], range[3 * i + 1], range[3 * i + 2]);
        for (int64_t i = 0; i < buffers; i++) {
            if (sizes[i] && fwrite((void *)arguments[i], 1, sizes[i], stdout) != (size_t)sizes[i]) fail("write");
            munmap((void *)arguments[i], sizes[i] ? sizes[i] : 1);
        }
        if (fflush(stdout)) fail("flush");
        munmap(code, size);
        munmap(range, ranges ? 24 * ranges : 1);
        munmap(arguments, buffers ? 8 * buffers : 1);
        munmap(sizes, buffers ? 8 * buffers : 1);
    }
    return 0;
}
