"""One engine in a process of its own, as contest.py starts it: loads a network, then times runs whenever it is asked.

    python -m benchmarks.engine_process ENGINE FOLDER THREADS N,C,H,W

Speaks JSON, a line for each message. It says {"ready_seconds": s} when the first result is there (which it leaves in
FOLDER), or {"left_out": why}. For each line with a number of seconds it answers with {"ms": [...]}, the times of all
runs in that time; when its input ends, with {"peak_mib": m} (null where the system does not tell).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks.engines import LOADERS, NEEDS

WARM_UP_RUNS, LEAST_RUNS = 3, 3


def main() -> None:
    """Be the engine that the command line names."""
    engine, folder, threads, sizes = sys.argv[1:]
    # Some engines print: what they write goes to stderr, the answers to where stdout was.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    shape = tuple(int(size) for size in sizes.split(","))
    try:
        serve(engine, Path(folder), int(threads), shape, answers)
    except Exception as error:
        say(answers, left_out=_reason(engine.partition(":")[0], error))


def serve(engine: str, folder: Path, threads: int, shape: tuple[int, ...], answers: TextIO) -> None:
    """Load, tell when ready, then answer until there are no more questions."""
    random = np.random.default_rng(1)
    images = [random.standard_normal(shape, np.float32) for _ in range(3)]
    name, _, mode = engine.partition(":")
    started = time.perf_counter()
    compute = LOADERS[name](folder, shape, threads, mode)
    first = np.array(compute(images[0])).reshape(shape[0], -1)
    ready = time.perf_counter() - started
    for _ in range(WARM_UP_RUNS):
        compute(images[0])
    np.save(result_file(folder, engine, threads), first)
    say(answers, ready_seconds=ready)
    for line in sys.stdin:
        times: list[float] = []
        end = time.perf_counter() + float(line)
        while time.perf_counter() < end or len(times) < LEAST_RUNS:
            x = images[len(times) % len(images)]
            started = time.perf_counter()
            compute(x)
            times.append((time.perf_counter() - started) * 1e3)
        say(answers, ms=times)
    from cnnrt.process_memory import peak_bytes  # not before: it is not the engine's

    say(answers, peak_mib=peak_bytes() / 2**20)


def result_file(folder: Path, engine: str, threads: int) -> Path:
    """Return where an engine leaves its first result."""
    return folder / f"result-{engine.replace(':', '-')}-{threads}.npy"


def say(answers: TextIO, **message: Any) -> None:
    """Send a message."""
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _reason(engine: str, error: Exception) -> str:
    if isinstance(error, ImportError) and engine in NEEDS:
        return f"not installed ({error}): pip install {NEEDS[engine]}"
    return f"{type(error).__name__}: {error}"[:300]


if __name__ == "__main__":
    main()
