"""A process that reads inputs under guard, one after the other, and says what came of them."""

from __future__ import annotations

import argparse
import json
import mmap
import os
import re
import struct
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import attrs
import psutil  # the plan of a large network imports it; here it must be there before the guard is on

from fuzz import guards, planted_faults
from fuzz.target import Target
from netfile_spec import CnnrtError, CnnrtWarning

LONGEST_MESSAGE = 100_000
"""Characters of an error; a person reads it."""


@attrs.define
class Report:
    """What came of the inputs `first` to `first + inputs - 1`.

    `findings`: of each kind the first, with its number; `found`: how many there were of each kind. Times are in seconds
    of the processor, `memory` in bytes.
    """

    target: str
    seed: int
    first: int
    inputs: int = 0
    read: int = 0
    refused: int = 0
    errors: Counter[str] = attrs.field(factory=Counter)
    findings: list[tuple[int, str]] = attrs.field(factory=list)
    found: Counter[str] = attrs.field(factory=Counter)
    worst_seconds: float = 0.0
    worst_number: int = -1
    seconds: float = 0.0
    memory: int = 0


def read_inputs(
    target: Target, folder: Path, seed: int, first: int, count: int, until: float, limit: float, at: mmap.mmap
) -> Report:
    """Read inputs until `count` are done or the clock (time.monotonic) says `until`.

    `limit`: seconds for one input. `at` holds the number of the current one.
    """
    report = Report(target.name, seed, first)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CnnrtWarning)
        target.prepare(folder)
    psutil.virtual_memory()
    watch = guards.Watch(folder, writes=target.writes)
    guards.arm_time_limit()
    started, before = time.process_time(), guards.peak_memory()
    guards.limit_memory(guards.MEMORY)
    for number in range(first, first + count):
        if time.monotonic() > until:
            break
        struct.pack_into("<q", at, 0, number)
        data = target.input(seed, number)
        problem, seconds = _read_one(target, folder, data, watch, limit, report)
        report.inputs += 1
        if seconds > report.worst_seconds:
            report.worst_seconds, report.worst_number = seconds, number
        for reason in (problem, *dict.fromkeys(watch.found)):
            if reason:
                add_finding(report, number, reason)
    report.seconds = time.process_time() - started
    report.memory = max(0, guards.peak_memory() - before)
    return report


def kind_of(reason: str) -> str:
    """Return what findings of one kind have in common: findings that differ in numbers alone are of one kind."""
    return re.sub(r"[0-9]+", "#", reason)[:120]


def add_finding(report: Report, number: int, reason: str) -> None:
    """Count a finding, and keep it where it is the first of its kind."""
    kind = kind_of(reason)
    report.found[kind] += 1
    if report.found[kind] == 1:
        report.findings.append((number, reason))


def _read_one(
    target: Target, folder: Path, data: bytes, watch: guards.Watch, limit: float, report: Report
) -> tuple[str, float]:
    """Read one input; return what is wrong with that, or "", and how long it took."""
    problem = ""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        started = time.process_time()
        try:
            with guards.time_limit(limit):
                target.read(data, folder, watch.guarded)
            report.read += 1
        except CnnrtError as error:
            report.refused += 1
            report.errors[type(error).__name__] += 1
            if not str(error).strip() or len(str(error)) > LONGEST_MESSAGE:
                problem = f"an error of {len(str(error))} characters"
        except guards.TookTooLongError:
            problem = f"took more than {limit} s"
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            frames = traceback.extract_tb(error.__traceback__)[-4:]
            places = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames))
            problem = f"{type(error).__name__}: {error!s:.200} ({places})"
        seconds = time.process_time() - started
    for warning in warned:
        if not issubclass(warning.category, CnnrtWarning):
            problem = problem or f"warns: {warning.category.__name__}: {warning.message!s:.200}"
    return problem, seconds


def _target(name: str) -> Target:
    for planted in planted_faults.TARGETS:
        if planted.name == name:
            return planted
    from fuzz.targets import find  # imports every reader, which takes a while

    return find(name)


def main() -> None:
    """Read inputs as the command line says and print the report as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("seed", type=int)
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("limit", type=float)
    parser.add_argument("folder", type=Path, help="an empty one, but for `status`, which holds the current number")
    given = parser.parse_args()
    os.environ["CNNRT_CACHE"] = ""  # what is remembered between runs is no input, and writing it no finding
    with (given.folder / "status").open("r+b") as stream, mmap.mmap(stream.fileno(), 8) as at:
        model = given.folder / "model"
        model.mkdir()
        until = time.monotonic() + given.seconds
        report = read_inputs(_target(given.target), model, given.seed, given.first, given.count, until, given.limit, at)
    print(json.dumps(attrs.asdict(report)))


if __name__ == "__main__":
    main()
