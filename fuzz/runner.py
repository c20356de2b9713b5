"""Starts workers and adds up what they report; a worker that dies or hangs is a finding, and another one goes on."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import attrs

from fuzz.guards import SECONDS
from fuzz.worker import Report, add_finding, kind_of

PATIENCE = 6
"""Times the limit of one input after which a worker is killed: it hangs where no signal reaches it."""

INPUTS_PER_WORKER = 50_000
MOST_DEATHS = 20


def run(target: str, *, seed: int, first: int, count: int, seconds: float, limit: float = SECONDS) -> Report:
    """Read `count` inputs of a target, or as many as `seconds` allow, in workers one after the other.

    `limit`: seconds for one input. Of a worker that dies only the death is known.
    """
    total = Report(target, seed, first)
    until = time.monotonic() + seconds
    deaths = 0
    while total.inputs < count and time.monotonic() < until and deaths < MOST_DEATHS:
        left = min(INPUTS_PER_WORKER, count - total.inputs)
        part, death = _work(target, seed, first + total.inputs, left, until - time.monotonic(), limit)
        if death:
            deaths += 1
        _add(total, part)
    return total


def _work(target: str, seed: int, first: int, count: int, seconds: float, limit: float) -> tuple[Report, bool]:
    in_memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    # The folder is made here, since a worker that dies cannot clean up.
    with tempfile.TemporaryDirectory(prefix="cnnrt-fuzz-", dir=in_memory) as folder:
        status = Path(folder, "status")
        status.write_bytes(struct.pack("<q", -1))
        arguments = [target, str(seed), str(first), str(count), str(seconds), str(limit), folder]
        command = [sys.executable, "-m", "fuzz.worker", *arguments]
        root = Path(__file__).resolve().parents[1]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root, text=True) as worker:
            at, since = -1, time.monotonic()
            while True:
                try:
                    output, errors = worker.communicate(timeout=0.5)
                    break
                except subprocess.TimeoutExpired:
                    now = _number(status)
                    if now != at:
                        at, since = now, time.monotonic()
                    elif time.monotonic() - since > PATIENCE * limit + 60 * (at < 0):
                        worker.kill()
        if worker.returncode == 0:
            stated: dict[str, Any] = json.loads(output.splitlines()[-1])
            stated |= {"errors": Counter(stated["errors"]), "found": Counter(stated["found"])}
            return Report(**stated), False
        number = _number(status)
        if number < 0:
            raise RuntimeError(f"{target}: the worker did not start:\n{errors}")
        what = f"the worker died (exit code {worker.returncode}): {errors[-300:].strip()}"
        report = Report(target, seed, first, inputs=number - first + 1)
        add_finding(report, number, what)
        return report, True


def _number(status: Path) -> int:
    (number,) = struct.unpack("<q", status.read_bytes())
    return int(number)


def _add(total: Report, part: Report) -> None:
    total.inputs += part.inputs
    total.read += part.read
    total.refused += part.refused
    total.errors += part.errors
    total.findings += [(number, what) for number, what in part.findings if kind_of(what) not in total.found]
    total.found += part.found
    if part.worst_seconds > total.worst_seconds:
        total.worst_seconds, total.worst_number = part.worst_seconds, part.worst_number
    total.seconds += part.seconds
    total.memory = max(total.memory, part.memory)


def describe(report: Report) -> str:
    """Return a report in a few lines."""
    facts = (
        f"{report.inputs:,} inputs ({report.first:,} on, seed {report.seed})",
        f"{1e3 * report.seconds / max(report.inputs, 1):.2f} ms each",
        f"{report.read:,} read, {report.refused:,} refused",
        f"slowest {report.worst_seconds:.2f} s (number {report.worst_number})",
        f"memory +{report.memory >> 20} MiB",
        f"{report.found.total()} findings",
    )
    return "\n".join([f"{report.target}: {'; '.join(facts)}", *(f"    {n}: {what}" for n, what in report.findings)])


def as_json(report: Report) -> str:
    """Return a report as one line of JSON."""
    return json.dumps(attrs.asdict(report))
