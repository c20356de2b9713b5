"""What a network takes of memory, measured from outside, in a process of its own.

The process runs a network of one layer on the same backend first, so that code is loaded and threads are there; what it
holds then is the base. From there its high-water mark is that of the network alone. Linux only: other systems do not
tell a process's peak from a given moment on.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs
import numpy as np

from cnnrt.child_python import child_command, child_environment
from cnnrt.errors import CnnrtError
from cnnrt.process_memory import ProcessMemory, forget_peak, memory_of
from netfile_spec import InputBlock, NetFile, layer, write_model

ONE_ITEM = (16, 32, 32)
"""Large enough for a product of matrices that makes BLAS allocate its buffers."""
ONE_LAYER = NetFile([layer("Convolution", "conv", pad=1)], [InputBlock("data", ONE_ITEM)], netfile_version=1)
ITS_WEIGHTS = {"conv": {"weight": np.full((16, 16, 3, 3), 0.1, np.float32), "bias": np.zeros(16, np.float32)}}
SAMPLING_SECONDS = 0.002


@attrs.frozen
class Trial:
    """What is to run: a network on inputs of these shapes, so many times, as `Net` is told by `options`."""

    netfile: Path
    shapes: Mapping[str, tuple[int, ...]]
    options: Mapping[str, Any] = attrs.field(factory=dict)
    calls: int = 2


@attrs.frozen
class Growth:
    """What the trial showed, in bytes.

    - `bare`: the interpreter with NumPy and the inputs. `runtime`: what is resident beside that after the network of
      one layer: the core's, the layers' and the backend's code.
    - `peak`: the most that was resident beyond the base while the network was made, prepared and run: pages of the
      process's own and of mapped files. `own_peak`: the most that its own pages grew, as sampled; `file`: what
      pages of mapped files had grown by at the end.
    - `milliseconds` of each call; `checksum` of the outputs (CRC-32); `planned`: `net.plan.memory` as plain values.
    - `refused`: the error that the network was refused with, empty: it ran.
    """

    bare: int
    runtime: int
    peak: int
    own_peak: int
    file: int
    milliseconds: tuple[float, ...] = ()
    checksum: int = 0
    planned: Mapping[str, Any] = attrs.field(factory=dict)
    refused: str = ""


def possible() -> bool:
    """Tell whether this system tells what is to be measured."""
    return memory_of() is not None and forget_peak()


def measure_growth(trial: Trial, limit: Callable[[int], None] | None = None) -> Growth:
    """Run a trial twice, first for what it leaves in caches, and return what the second run took.

    `limit`: called with the number of the second process when the base is reached, to put it under a limit.
    Raises CnnrtError where the system does not tell, or where the process dies.
    """
    if not possible():
        raise CnnrtError("the growth of a process can be measured on Linux only")
    with tempfile.TemporaryDirectory(prefix="cnnrt-memory-") as folder:
        one_layer = write_model(folder, ONE_LAYER, ITS_WEIGHTS)
        with _Subject(trial, one_layer) as warm_up:
            warm_up.until("base")
        with _Subject(trial, one_layer) as subject:
            bare = subject.until("bare")[1]
            base = subject.until("base", then=forget_peak)[1]
            if limit is not None:
                limit(subject.number)
            with _OwnPeak(subject.number) as sampled:
                answer, after = subject.until("done")
    return Growth(
        bare=bare.resident,
        runtime=base.resident - bare.resident,
        peak=after.peak - base.resident,
        own_peak=max(sampled.peak, after.anonymous) - base.anonymous,
        file=after.file - base.file,
        milliseconds=tuple(answer.get("milliseconds", ())),
        checksum=answer.get("checksum", 0),
        planned=answer.get("planned", {}),
        refused=answer.get("refused", ""),
    )


def measure_runtime(mode: str) -> int:
    """Return the bytes that cnnrt with a backend takes over the interpreter with NumPy: code, libraries, threads.

    Raises CnnrtError where the system does not tell, or the backend cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="cnnrt-memory-") as folder:
        netfile = write_model(folder, ONE_LAYER, ITS_WEIGHTS)
        return measure_growth(Trial(netfile, {"data": (1, *ONE_ITEM)}, {"execution_mode": mode}, calls=1)).runtime


class _Subject:
    """The process. It says where it is, and goes on when it is told to."""

    def __init__(self, trial: Trial, one_layer: Path) -> None:
        told = {
            "netfile": str(trial.netfile),
            "shapes": {name: list(shape) for name, shape in trial.shapes.items()},
            "options": dict(trial.options),
            "calls": trial.calls,
            "one_layer": str(one_layer),
            "one_item": list(ONE_ITEM),
        }
        pipe = subprocess.PIPE
        command, environment = child_command("cnnrt.memory_trial_process", json.dumps(told)), child_environment()
        self._process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    @property
    def number(self) -> int:
        return self._process.pid

    def until(self, place: str, then: Callable[[int], object] | None = None) -> tuple[dict[str, Any], ProcessMemory]:
        """Return what it says at a place, and what it holds there; `then` is called before it goes on."""
        assert self._process.stdin
        assert self._process.stdout
        while True:
            line = self._process.stdout.readline()
            memory = memory_of(self.number)
            if not line or memory is None:
                raise CnnrtError(f"the process that is measured died: {self._last_words()}")
            said: dict[str, Any] = json.loads(line)
            if then is not None and said["at"] == place:
                then(self.number)
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            if said["at"] == place:
                return said, memory

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):  # what it was not told any more
                    pipe.close()

    def _last_words(self) -> str:
        code = self._process.wait()
        said = (self._process.stderr.read() if self._process.stderr else "").strip()[-2000:]
        return f"exit code {code}: {said or 'it said nothing'}"


class _OwnPeak:
    """Samples the process's own pages until its end: the system keeps a peak of all pages together only."""

    def __init__(self, number: int) -> None:
        self.peak = 0
        self._number = number
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self) -> None:
        while not self._over.wait(SAMPLING_SECONDS):
            found = memory_of(self._number)
            self.peak = max(self.peak, found.anonymous if found else 0)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
