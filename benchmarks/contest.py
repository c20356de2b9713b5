"""Engines side by side: a process each, taking turns in rounds, so that a machine that drifts slows all alike."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from benchmarks.engine_process import result_file
from benchmarks.engines import make_ready
from benchmarks.network_builder import Builder
from benchmarks.onnx_file import write_onnx

ROOT = Path(__file__).resolve().parents[1]


@attrs.frozen
class Entrant:
    """An engine ("onnxruntime", "cnnrt:threaded") on a number of threads."""

    engine: str
    threads: int


@attrs.define
class Samples:
    """What was measured of one entrant. `ms`: the median of each round; `best_ms`: the fastest run of each round.

    `left_out`: why nothing was measured. `largest_difference`, `mean_squared_error`: of its first result from the first
    entrant's. `peak_mib` is the process's, conversion of files not counted.
    """

    left_out: str = ""
    ready_seconds: float = 0.0
    largest_difference: float = 0.0
    mean_squared_error: float = 0.0
    peak_mib: float = 0.0
    ms: list[float] = attrs.field(factory=list)
    best_ms: list[float] = attrs.field(factory=list)
    runs: list[int] = attrs.field(factory=list)

    @property
    def median(self) -> float:
        """Milliseconds of a run: the median over the rounds."""
        return statistics.median(self.ms)


class _Process:
    """An entrant's process."""

    def __init__(self, entrant: Entrant, folder: Path, shape: Sequence[int]) -> None:
        sizes = ",".join(map(str, shape))
        arguments = [entrant.engine, str(folder), str(entrant.threads), sizes]
        self._complaints = result_file(folder, entrant.engine, entrant.threads).with_suffix(".stderr")
        with self._complaints.open("w", encoding="utf-8") as complaints:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.engine_process", *arguments],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
            )

    def ask(self, seconds: float | None = None) -> dict[str, Any]:
        """Ask for runs of so many seconds if any; return the next message."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if seconds is not None:
            self._process.stdin.write(f"{seconds}\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"left_out": f"the process died: {self._last_words()}"}

    def end(self) -> dict[str, Any]:
        """End the questions and return the last message."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self.ask()

    def stop(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # what it was not told any more
                    pipe.close()

    def _last_words(self) -> str:
        code = self._process.wait()
        lines = self._complaints.read_text(encoding="utf-8", errors="replace").strip().splitlines() or [""]
        return f"{lines[-1][:200]} (exit code {code})".strip()


def contest(
    builder: Builder, entrants: Sequence[Entrant], batch: int, rounds: int, seconds: float
) -> dict[Entrant, Samples]:
    """Let all entrants compute the network in turns, `seconds` for each in every round; return what each took."""
    found = {entrant: Samples() for entrant in entrants}
    running: dict[Entrant, _Process] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        builder.write(folder)
        write_onnx(builder, folder / "net.onnx")
        try:
            for entrant, samples in found.items():
                _start(entrant, samples, running, folder, (batch, *builder.item))
            for _ in range(rounds):
                for entrant, process in list(running.items()):
                    answer = process.ask(seconds)
                    if "left_out" in answer:
                        found[entrant].left_out = answer["left_out"]
                        running.pop(entrant).stop()
                        continue
                    found[entrant].ms.append(statistics.median(answer["ms"]))
                    found[entrant].best_ms.append(min(answer["ms"]))
                    found[entrant].runs.append(len(answer["ms"]))
            for entrant, process in running.items():
                found[entrant].peak_mib = process.end().get("peak_mib", 0.0)
        finally:
            for process in running.values():
                process.stop()
        _compare(found, folder)
    return found


def _start(
    entrant: Entrant, samples: Samples, running: dict[Entrant, _Process], folder: Path, shape: Sequence[int]
) -> None:
    try:
        make_ready(entrant.engine.partition(":")[0], folder)
    except (OSError, RuntimeError) as error:
        samples.left_out = str(error)
        return
    process = _Process(entrant, folder, shape)
    answer = process.ask()
    if "left_out" in answer:
        samples.left_out = answer["left_out"]
        process.stop()
        return
    samples.ready_seconds = answer["ready_seconds"]
    running[entrant] = process


def _compare(found: dict[Entrant, Samples], folder: Path) -> None:
    """Note how far each result is from the first one."""
    results = {
        entrant: np.load(result_file(folder, entrant.engine, entrant.threads)).astype(np.float64)
        for entrant, samples in found.items()
        if not samples.left_out
    }
    for entrant, result in results.items():
        difference = result - next(iter(results.values()))
        found[entrant].largest_difference = float(np.abs(difference).max())
        found[entrant].mean_squared_error = float(np.square(difference).mean())
