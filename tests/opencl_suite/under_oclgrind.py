"""Every kernel of the OpenCL backend on Oclgrind, a device that is simulated and watches each access to memory.

    python -m opencl_suite.under_oclgrind [--variants default|extreme|all] [--cases N] [KERNEL...]

runs this module under `oclgrind`: each kernel as it is, with its tunables at their ends, or with all that go together,
on random calls that are small, with weights in each type that it keeps them in, compared with the layer's reference;
on a device that poses as a processor and on one that poses as a graphics card, for which kernels cut their work apart.
What Oclgrind reports (accesses outside of buffers, races between work-items, values that nobody wrote) fails the run,
and so does a kernel that no call was tried on.
KERNEL names some, as in `pooling/windows`.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy

from cnnrt.backend import Backend, Device, Kernel, Tunable
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import Reorder
from cnnrt.plugins import plugin_host
from cnnrt.tensor import TensorType
from cnnrt.testing.case import Case, with_weights_in
from cnnrt.testing.kernel_checks import assert_kernel_agrees, takes
from cnnrt.testing.kernel_run import run_kernel
from cnnrt.testing.suite_of import layer_suite
from cnnrt_backend_opencl.driver import Handle
from opencl_suite.drivers import PosingDriver

OPTIONS = (
    *("--data-races", "--uninitialized", "--check-api", "--max-errors", "60"),
    *("--build-options", "-cl-opt-disable"),  # Oclgrind 21.10 knows not all instructions that LLVM optimises to
)
INSIDE = "CNNRT_UNDER_OCLGRIND"
MOST_OPERATIONS = 20_000
"""Of a call: Oclgrind interprets some million instructions a second."""
EXIT_MISSING = 3


@attrs.frozen
class Outcome:
    """How often each kernel ran, and what is wrong: with results, or as Oclgrind reports it."""

    runs: dict[str, int]
    problems: tuple[str, ...]
    report: str


def run_under_oclgrind(
    arguments: Sequence[str], *, seconds: float, module: str = "opencl_suite.under_oclgrind"
) -> Outcome:
    """Run a module under `oclgrind` with these arguments; FileNotFoundError where it is not installed.

    The module writes JSON of runs and problems to the file that the environment names.
    """
    program = shutil.which("oclgrind")
    if program is None:
        raise FileNotFoundError("oclgrind is not installed (Debian: apt-get install oclgrind)")
    with tempfile.TemporaryDirectory() as folder:
        log, result = Path(folder) / "log", Path(folder) / "result.json"
        tests = str(Path(__file__).parents[1])
        environment = {
            **os.environ,
            INSIDE: str(result),
            "CNNRT_CACHE": "",
            "PYTHONPATH": os.pathsep.join(p for p in (tests, os.environ.get("PYTHONPATH")) if p),
        }
        command = [program, *OPTIONS, "--log", str(log), sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds)
        report = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        if not result.exists():
            return Outcome({}, (f"exit status {done.returncode}: {done.stderr[-3000:]}",), report)
        told = json.loads(result.read_text())
        return Outcome(told["runs"], tuple(told["problems"]), report)


PROCESSOR, CARD = 2, 4


class KeepingDriver(PosingDriver):
    """Releases no buffer: where an address is used again, Oclgrind's notes of what was written are the old ones.

    `kind`: CL_DEVICE_TYPE of a processor (2) or a graphics card (4), which its device poses as.
    """

    def __init__(self, kind: int) -> None:
        self.said: Mapping[str, Any] = {"type": kind}
        self._kept: list[Handle] = []

    def buffer(self, context: Handle, access: str, nbytes: int) -> Handle:
        """Return device memory that stays."""
        self._kept.append(super().buffer(context, access, nbytes))
        return self._kept[-1]

    def filled(self, context: Handle, array: Array) -> Handle:
        """Return a copy that stays."""
        self._kept.append(super().filled(context, array))
        return self._kept[-1]

    def staging(self, context: Handle, nbytes: int) -> Handle:
        """Return pinned memory that stays."""
        self._kept.append(super().staging(context, nbytes))
        return self._kept[-1]


def _inside(arguments: argparse.Namespace, result: Path) -> int:
    from cnnrt_backend_opencl.backend import OpenCLBackend
    from cnnrt_backend_opencl.kernel_list import opencl_kernels

    kernels = {f"{kernel.layer.lower()}/{kernel.name}": kernel for kernel in opencl_kernels()}
    runs = {name: 0 for name in kernels if name in arguments.kernels or not arguments.kernels}
    problems: list[str] = []
    for kind in (PROCESSOR, CARD):
        backend = OpenCLBackend(KeepingDriver(kind))
        device = next((d for d in backend.devices() if d.name == "oclgrind" and not d.problem), None)
        if device is None:
            print(f"Oclgrind's device is not in sight: {[d.title for d in backend.devices()]}", file=sys.stderr)
            return EXIT_MISSING
        for name in runs:
            runs[name] += _try(kernels[name], backend, device, arguments, problems)
    problems += [f"{name}: no call was tried" for name, count in runs.items() if count == 0]
    result.write_text(json.dumps({"runs": runs, "problems": problems}))
    return 0


def _try(kernel: Kernel, backend: Backend, device: Device, arguments: argparse.Namespace, problems: list[str]) -> int:
    """Run a kernel's variants on its calls; return how often, and add what is wrong to `problems`."""
    runs = 0
    suite = None if kernel.layer == Reorder.type else layer_suite(plugin_host().layers()[kernel.layer.lower()])
    if suite:
        small = _small_cases(suite.cases(), kernel, device, arguments.cases)
        cases = [with_weights_in(case, dtype) for case in small for dtype in kernel.weight_types]
    else:
        cases = [_reorder_case(*layouts) for layouts in (("NCHW", "NHWC"), ("NHWC", "NCHW"))]
    for case in cases:
        for variant in _variants(kernel, case.call, device, arguments.variants):
            sys.stderr.write(f"{variant.title}: {case.call}\n")
            try:
                if suite:
                    assert_kernel_agrees(variant, backend, device, case, suite)
                else:
                    (moved,) = run_kernel(variant, backend, device, case)
                    assert np.array_equal(moved, case.inputs[0])
            except Exception as error:
                problems.append(f"{variant.title}: {case.call}: {type(error).__name__}: {error}"[:1000])
            runs += 1
    return runs


def _variants(kernel: Kernel, call: LayerCall, device: Device, which: str) -> Iterator[Kernel]:
    """Yield the kernel as it is, and with its tunables fixed: at their ends, or at all that go together."""
    yield kernel
    tunables = () if which == "default" else kernel.tunables(call, device)
    choices = [t.values if which == "all" else _ends(t) for t in tunables]
    for values in itertools.product(*choices) if tunables else ():
        tuning = {t.name: value for t, value in zip(tunables, values, strict=True)}
        if kernel.allows(call, tuning):
            yield kernel.tuned(tuning)


def _ends(tunable: Tunable) -> tuple[Any, ...]:
    return tuple(dict.fromkeys((min(tunable.values), max(tunable.values))))


class _EnoughError(Exception):
    """Ends the drawing of cases."""


def _small_cases(strategy: SearchStrategy[Case], kernel: Kernel, device: Device, count: int) -> list[Case]:
    """Return so many calls that a kernel takes and that are small, the same each time."""
    found: list[Case] = []

    @settings(
        max_examples=1000,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def collect(case: Case) -> None:
        small = 0 < case.call.cost.flops + case.call.cost.bytes <= MOST_OPERATIONS
        if len(found) < count and small and takes(kernel, case.call, device):
            found.append(case)
        if len(found) == count:
            raise _EnoughError

    with contextlib.suppress(_EnoughError, Unsatisfiable):
        collect()
    return found


def _reorder_case(source: str, target: str) -> Case:
    shape = (2, 5, 3, 7)
    types = (TensorType(shape, layout=source),), (TensorType(shape, layout=target),)
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return Case(LayerCall(Reorder(source=source, target=target), *types), 0, (values,), {})


def _arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--variants", choices=("default", "extreme", "all"), default="all", help="values of tunables")
    parser.add_argument("--cases", type=int, default=4, help="calls for each kernel")
    parser.add_argument("kernels", nargs="*", help="layer/name, in lower case; by default all")
    return parser.parse_args(given)


def main() -> int:
    """Run under `oclgrind` and print what it found; exit status 0 where that is nothing."""
    arguments = _arguments()
    inside = os.environ.get(INSIDE)
    if inside:
        return _inside(arguments, Path(inside))
    outcome = run_under_oclgrind(sys.argv[1:], seconds=24 * 3600)
    for name, count in outcome.runs.items():
        print(f"{name}: {count} runs")
    for problem in outcome.problems:
        print(problem)
    print(outcome.report or "Oclgrind reports nothing")
    return 1 if outcome.problems or outcome.report.strip() else 0


if __name__ == "__main__":
    sys.exit(main())
