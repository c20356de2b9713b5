"""The command line: `python -m fuzz [TARGET ...] --inputs N --seconds S --seed K`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fuzz.guards import SECONDS
from fuzz.runner import as_json, describe, run
from fuzz.targets import TARGETS, find


def main() -> int:
    """Fuzz the targets one after the other; the exit code is 1 where anything was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Feeds hostile files to every reader.")
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"of {', '.join(t.name for t in TARGETS)}; default: all"
    )
    parser.add_argument("--inputs", type=int, default=1_000_000_000, help="for each target")
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, help="number of the first input; default: the one behind the worst cases")
    parser.add_argument("--worst-cases", action="store_true", help="read the worst cases of each target, no more")
    parser.add_argument("--limit", type=float, default=SECONDS, help="seconds for one input")
    parser.add_argument("--log", type=Path, help="append a line of JSON for each target to this file")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="write input number FIRST of the one target and stop"
    )
    given = parser.parse_args()
    names = given.targets or [target.name for target in TARGETS]
    if given.write is not None:
        given.write.write_bytes(find(names[0]).input(given.seed, given.first or 0))
        return 0
    found = 0
    for name in names:
        cases = len(find(name).cases)
        first, count = (
            (0, cases) if given.worst_cases else (cases if given.first is None else given.first, given.inputs)
        )
        seconds = 3600.0 if given.worst_cases else given.seconds / len(names)
        report = run(name, seed=given.seed, first=first, count=count, seconds=seconds, limit=given.limit)
        print(describe(report), flush=True)
        if given.log is not None:
            with given.log.open("a", encoding="utf-8") as log:
                log.write(as_json(report) + "\n")
        found += report.found.total()
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
