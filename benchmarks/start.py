"""How long a network takes until it is ready, and its process's peak memory: at the first start and at later ones.

    python -m benchmarks.start [NETWORK ...] [--batch 16] [--rounds 5] [--json FILE]

Every start is a process of its own, its time counted after NumPy's import, as NumPy is there already where images are.
Python's modules are compiled, as pip leaves them, also where the environment says not to keep that.
A first start finds an empty cache (a folder of its own, so that the user's is untouched); a later one finds what the
first left there. Beside them, in the same round: the time of reading all weights into arrays, checksums verified. The
files are in the page cache. A later start should take at most 1.2 times that plus 0.3 s.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from benchmarks.networks import NETWORKS, build
from benchmarks.record import machine_line, write_record
from cnnrt import Net

READ = """
import json, sys, time
import numpy
from netfile_spec import read_parameters
started = time.perf_counter()
for path in sys.argv[1:]:
    read_parameters(path)
print(json.dumps({"seconds": time.perf_counter() - started}))
"""
START = """
import json, sys, time
import numpy
started = time.perf_counter()
from cnnrt import Net
net = Net(sys.argv[1], execution_mode=sys.argv[2])
shape = tuple(map(int, sys.argv[3:]))
net.prepare(shape)
seconds = time.perf_counter() - started
for _ in range(3):
    net.compute(numpy.zeros(shape, numpy.float32))
status = dict(line.split(":") for line in open("/proc/self/status"))
print(json.dumps({"seconds": seconds, "peak_mib": int(status["VmHWM"].split()[0]) / 1024}))
"""


@attrs.define
class Starts:
    """Samples of one network: seconds, and peaks in MiB."""

    reading: list[float] = attrs.field(factory=list)
    first: list[float] = attrs.field(factory=list)
    later: list[float] = attrs.field(factory=list)
    first_peak: list[float] = attrs.field(factory=list)
    later_peak: list[float] = attrs.field(factory=list)


def measure(netfile: Path, shape: Sequence[int], mode: str, rounds: int) -> Starts:
    """Start a network again and again."""
    found = Starts()
    weights = [str(path) for path in sorted(netfile.parent.glob("*.msg"))]
    network = [str(netfile), mode, *map(str, shape)]
    with tempfile.TemporaryDirectory(prefix="cnnrt-start-") as modules:
        _run(START, network, modules, modules)  # compiles Python's modules
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(prefix="cnnrt-start-") as cache:
                found.reading.append(_run(READ, weights, cache, modules)["seconds"])
                first, later = (_run(START, network, cache, modules) for _ in range(2))
            found.first.append(first["seconds"])
            found.later.append(later["seconds"])
            found.first_peak.append(first["peak_mib"])
            found.later_peak.append(later["peak_mib"])
    return found


def _run(script: str, arguments: Sequence[str], cache: str, modules: str) -> Mapping[str, float]:
    command = [sys.executable, "-c", script, *arguments]
    environment = {**os.environ, "CNNRT_CACHE": cache, "PYTHONPYCACHEPREFIX": modules, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    result: Mapping[str, float] = json.loads(done.stdout)
    return result


def main() -> None:
    """Read the arguments, measure, and print."""
    parser = argparse.ArgumentParser(description="time and memory of a start (Linux)")
    parser.add_argument("networks", nargs="*", metavar="NETWORK", default=["alexnet"], help=", ".join(NETWORKS))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mode", default="threaded", help="execution mode (default: threaded)")
    parser.add_argument("--json", type=Path, help="keep the samples in this file")
    arguments = parser.parse_args()
    print(f"{machine_line()}\n\nbatch {arguments.batch}; medians; seconds, and MiB at the peak\n")
    print(f"{'network':12}{'reading':>9}{'first':>8}{'later':>8}{'1.2 r + 0.3':>13}{'first MiB':>11}{'later MiB':>11}")
    results = {}
    for name in arguments.networks:
        with tempfile.TemporaryDirectory(prefix="cnnrt-start-") as folder:
            netfile = build(name).write(Path(folder))
            (needed,) = Net(netfile).graph.inputs
            shape = (arguments.batch, *(needed.shape or ()))
            found = results[name] = measure(netfile, shape, arguments.mode, arguments.rounds)
        reading, first, later, first_peak, later_peak = map(statistics.median, attrs.astuple(found))
        bar = 1.2 * reading + 0.3
        print(f"{name:12}{reading:>9.3f}{first:>8.2f}{later:>8.2f}{bar:>13.2f}{first_peak:>11.0f}{later_peak:>11.0f}")
    if arguments.json:
        write_record(arguments.json, "start", vars(arguments), results)


if __name__ == "__main__":
    main()
