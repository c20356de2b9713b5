"""The limits of this machine: float32 operations of its vector units, and bytes read from each level of its memory.

    python -m benchmarks.machine_limits [--json FILE]

Both are measured by machine code that does nothing else, with one thread and with all: multiply-adds on registers, each
of which waits for none of the others; and sums over arrays that fit into half a cache, or into none. Needs llvmlite.
"""

from __future__ import annotations

import argparse
import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import numpy as np

from benchmarks.record import machine_line, write_record
from cnnrt.hardware import detect_hardware
from cnnrt.layer import Array
from cnnrt_backend_threaded.aligned import aligned_floats
from cnnrt_backend_threaded.emitter import Code
from cnnrt_backend_threaded.machine_code import CodeRequest, function_addresses
from cnnrt_backend_threaded.target import host_target

Native = Callable[[int, int], None]
"""Does some work so many times: the arguments' address, and how often."""
REPETITIONS = 7
SECONDS = 0.03
"""What one repetition takes."""
STREAMS = 8
"""Vectors that are read before the next round of additions: more than an addition takes cycles."""
MAIN_MEMORY = "memory"


@attrs.frozen
class Limits:
    """What `threads` threads can do together: operations a second (a multiply-add is two), and, by the name of a level
    ("L1", "memory"), bytes read a second. `capacity`: the bytes that each level holds for them.
    """

    threads: int
    flops: float
    bandwidth: dict[str, float]
    capacity: dict[str, int]

    def level(self, nbytes: int) -> str:
        """Return the nearest level that holds so many bytes."""
        return next((level for level, size in self.capacity.items() if nbytes <= size), MAIN_MEMORY)

    def least_seconds(self, flops: int, nbytes: int) -> tuple[float, str]:
        """Return how long work takes at least, and which limit it meets: "arithmetic", or a level of memory."""
        level = self.level(nbytes)
        computing, reading = flops / self.flops, nbytes / self.bandwidth[level]
        return (computing, "arithmetic") if computing >= reading else (reading, level)


def measure_limits(threads: int, seconds: float = SECONDS) -> Limits:
    """Measure the limits of so many threads."""
    capacity = _capacities(threads)
    bandwidth = {level: _bandwidth(size // threads // 2, threads, seconds) for level, size in capacity.items()}
    bandwidth[MAIN_MEMORY] = _bandwidth(_beyond_caches(capacity) // threads, threads, seconds)
    return Limits(threads, _flops(threads, seconds), bandwidth, capacity)


def _capacities(threads: int) -> dict[str, int]:
    """Return the bytes of each level of cache for so many threads, each on a core of its own."""
    return {f"L{c.level}": c.bytes * -(-threads // c.shared_by) for c in detect_hardware().caches}


def _beyond_caches(capacity: dict[str, int]) -> int:
    """Return the bytes of arrays that no cache holds: a virtual machine may not show all of the last one."""
    wanted = max(256 << 20, 8 * max(capacity.values(), default=0))
    return min(wanted, detect_hardware().memory_available // 4)


def _flops(threads: int, seconds: float) -> float:
    sums = _accumulators()
    rounds, calls = 10_000, [_ones(host_target().lanes) for _ in range(threads)]
    operations = 2 * host_target().lanes * sums * rounds
    return operations * _rate("multiply-adds", (sums, rounds), _emit_multiply_adds, calls, seconds)


def _bandwidth(nbytes: int, threads: int, seconds: float) -> float:
    vectors = STREAMS * host_target().lanes
    count = max(vectors, nbytes // 4 // vectors * vectors)
    arrays = [_ones(count) for _ in range(threads)]
    return 4 * count * _rate("sums", (count,), _emit_sums, arrays, seconds)


def _ones(count: int) -> Array:
    """Return an array that starts on a cache line, so that no vector lies across two."""
    values = aligned_floats((count,))
    values[...] = 1
    return values


def _accumulators() -> int:
    """Return how many sums fit into the registers beside what is multiplied."""
    return host_target().registers * 3 // 4


def _emit_multiply_adds(code: Code, sums: int, rounds: int) -> None:
    """For each unit, add products up so many rounds long."""
    place = code.argument(0)
    factor = code.load(place)
    with code.loop(code.first, code.last):

        def add(index: object, values: list[object]) -> list[object]:
            return [code.multiply_add(value, factor, factor) for value in values]

        for value in code.accumulate(0, rounds, [factor] * sums, add):
            code.store(value, place)


def _emit_sums(code: Code, count: int) -> None:
    """For each unit, add up so many values."""
    place, out, lanes = code.argument(0), code.argument(1), code.lanes
    with code.loop(code.first, code.last):

        def add(index: object, values: list[object]) -> list[object]:
            return [
                code.build.fadd(value, code.load(code.at(place, index), stream * lanes, aligned=True))
                for stream, value in enumerate(values)
            ]

        for value in code.accumulate(0, count, [code.zero()] * STREAMS, add, STREAMS * lanes):
            code.store(value, out)


def _rate(what: str, key: tuple[int, ...], emit: Callable[..., None], arrays: Sequence[Array], seconds: float) -> float:
    """Return how many units a second threads get through together, each on an array: the best of some repetitions.

    Other work on the machine makes it slower, never faster.
    """

    def write() -> str:
        code = Code(host_target())
        emit(code, *key)
        code.finish()
        return code.text()

    request = CodeRequest(host_target(), ("machine_limits", what, key), None, ("kernel",), write, what)
    address = function_addresses(request)["kernel"]
    word = ctypes.c_int64
    native = ctypes.CFUNCTYPE(None, ctypes.c_void_p, word, word, word)(address)
    outs = [_ones(host_target().lanes) for _ in arrays]
    arguments = [np.array([a.ctypes.data, o.ctypes.data], np.int64) for a, o in zip(arrays, outs, strict=True)]

    def work(place: int, units: int) -> None:
        native(place, 0, units, 0)

    work(arguments[0].ctypes.data, 1)
    started = time.perf_counter()
    work(arguments[0].ctypes.data, 1)
    once = time.perf_counter() - started
    units = max(1, int(seconds / max(once, 1e-7)))
    fastest = min(_together(work, [a.ctypes.data for a in arguments], units) for _ in range(REPETITIONS))
    return units * len(arrays) / fastest


def _together(work: Native, places: Sequence[int], units: int) -> float:
    """Return the seconds that pass while threads work side by side."""
    if len(places) == 1:
        started = time.perf_counter()
        work(places[0], units)
        return time.perf_counter() - started
    barrier = threading.Barrier(len(places))
    spans: list[tuple[float, float]] = []

    def join(place: int) -> None:
        barrier.wait()
        started = time.perf_counter()
        work(place, units)
        spans.append((started, time.perf_counter()))

    team = [threading.Thread(target=join, args=(place,)) for place in places]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    # A thread that began late worked alone for a while, and its memory was its own: the whole span counts.
    return max(end for _, end in spans) - min(start for start, _ in spans)


def show(limits: Sequence[Limits]) -> None:
    """Print a table."""
    levels = list(limits[0].bandwidth)
    print(f"{'threads':>8}{'GFLOP/s':>12}" + "".join(f"{f'{level} GB/s':>14}" for level in levels))
    for found in limits:
        cells = "".join(f"{found.bandwidth[level] / 1e9:>14.1f}" for level in levels)
        print(f"{found.threads:>8}{found.flops / 1e9:>12.1f}{cells}")


def main() -> None:
    """Measure one thread and all, and print."""
    parser = argparse.ArgumentParser(description="the limits of this machine")
    parser.add_argument("--json", type=Path, help="keep the figures in this file")
    arguments = parser.parse_args()
    print(machine_line())
    limits = [measure_limits(threads) for threads in sorted({1, detect_hardware().cores_usable})]
    show(limits)
    if arguments.json:
        write_record(arguments.json, "machine_limits", {}, limits)


if __name__ == "__main__":
    main()
