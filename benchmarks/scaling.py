"""How much faster more threads make a network: cnnrt's scaling beside that of its peers, in one run.

    python -m benchmarks.scaling [--network alexnet] [--batch 16] [--threads 1 2] [--rounds 9] [--json FILE]

Every engine on every number of threads has a process of its own, and all take turns. The speed-up over one thread is
the median of the ratios within a round. An engine that is slow on one thread scales easily, so the milliseconds stand
beside it.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.contest import Entrant, Samples, contest
from benchmarks.engines import LOADERS
from benchmarks.networks import NETWORKS, build
from benchmarks.record import machine_line, write_record
from cnnrt.hardware import detect_hardware


def speed_up(found: Mapping[Entrant, Samples], engine: str, threads: int, fewest: int) -> float:
    """Return how many times faster an engine is on `threads` threads than on the fewest: median over the rounds."""
    before, after = found[Entrant(engine, fewest)], found[Entrant(engine, threads)]
    return statistics.median(a / b for a, b in zip(before.ms, after.ms, strict=True))


def show(found: Mapping[Entrant, Samples], engines: Sequence[str], counts: Sequence[int]) -> None:
    """Print a table, and cnnrt's scaling against that of the peer that is fastest on all threads."""
    print(f"{'engine':18}" + "".join(f"{f'{n} threads, ms':>16}" for n in counts) + f"{'speed-up':>12}")
    complete = []
    for engine in engines:
        samples = [found[Entrant(engine, n)] for n in counts]
        reasons = [s.left_out for s in samples if s.left_out]
        if reasons:
            print(f"{engine:18}  left out: {reasons[0]}")
            continue
        complete.append(engine)
        gained = speed_up(found, engine, counts[-1], counts[0])
        print(f"{engine:18}" + "".join(f"{s.median:>16.3f}" for s in samples) + f"{gained:>12.2f}")
    peers = [engine for engine in complete if not engine.startswith("cnnrt")]
    if not peers:
        return
    fastest = min(peers, key=lambda engine: found[Entrant(engine, counts[-1])].median)
    theirs = speed_up(found, fastest, counts[-1], counts[0])
    for engine in (engine for engine in complete if engine.startswith("cnnrt")):
        ratio = speed_up(found, engine, counts[-1], counts[0]) / theirs
        print(f"\n{engine} scales {ratio:.2f} times as well as {fastest}, the fastest peer")


def main() -> None:
    """Read the arguments, measure, and print."""
    parser = argparse.ArgumentParser(description="scaling over threads")
    parser.add_argument("--network", choices=list(NETWORKS), default="alexnet")
    parser.add_argument("--batch", type=int, default=16)
    usable = detect_hardware().cores_usable
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, *range(2, usable, 2), usable}))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5, help="of work for each process in a round")
    parser.add_argument("--engines", nargs="+", default=list(LOADERS), metavar="ENGINE", help=", ".join(LOADERS))
    parser.add_argument("--json", type=Path, help="keep the samples in this file")
    arguments = parser.parse_args()
    counts = sorted(set(arguments.threads))
    entrants = [Entrant(engine, n) for engine in arguments.engines for n in counts]
    print(f"{machine_line()}\n\n{arguments.network}, batch {arguments.batch}")
    found = contest(build(arguments.network), entrants, arguments.batch, arguments.rounds, arguments.seconds)
    show(found, arguments.engines, counts)
    if arguments.json:
        by_name = {f"{entrant.engine}, {entrant.threads} threads": samples for entrant, samples in found.items()}
        write_record(arguments.json, "scaling", vars(arguments), by_name)


if __name__ == "__main__":
    main()
