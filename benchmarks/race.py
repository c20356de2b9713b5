"""cnnrt against the engines that a user would pick instead: whole networks, float32, the same threads for all.

    python -m benchmarks.race [NETWORK ...] [--batch 16 1] [--rounds 9] [--engines ...] [--json FILE]

Peers: pip install onnx onnxruntime openvino MNN opencv-python-headless torch. One that is not installed is left out,
with the reason. What counts is the ratio within a round; the table has its median over the rounds.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.contest import Entrant, Samples, contest
from benchmarks.engines import LOADERS
from benchmarks.networks import NETWORKS, build
from benchmarks.record import machine_line, write_record
from cnnrt.hardware import detect_hardware


def ratio_to_best_peer(found: Mapping[str, Samples], engine: str) -> float | None:
    """Return the median over the rounds of (fastest peer's time / the engine's time): above 1 the engine is ahead."""
    peers = [s.ms for name, s in found.items() if s.ms and not name.startswith("cnnrt")]
    own = found[engine].ms
    if not peers or not own:
        return None
    return statistics.median(min(peer[i] for peer in peers) / mine for i, mine in enumerate(own))


def show(title: str, found: Mapping[str, Samples]) -> None:
    """Print a table of one race."""
    print(f"\n{title}")
    heads = ("median ms", "best ms", "vs best peer", "ready s", "peak MiB", "difference")
    print(f"{'engine':18}" + "".join(f"{head:>14}" for head in heads))
    for engine, s in found.items():
        if s.left_out:
            print(f"{engine:18}  left out: {s.left_out}")
            continue
        ratio = ratio_to_best_peer(found, engine) if engine.startswith("cnnrt") else None
        cells = [f"{s.median:.3f}", f"{min(s.best_ms):.3f}", "" if ratio is None else f"{ratio:.2f}"]
        cells += [f"{s.ready_seconds:.2f}", f"{s.peak_mib:.0f}", f"{s.largest_difference:.1e}"]
        print(f"{engine:18}" + "".join(f"{cell:>14}" for cell in cells), flush=True)


def run(
    networks: Sequence[str], batches: Sequence[int], engines: Sequence[str], threads: int, rounds: int, seconds: float
) -> Iterator[tuple[str, dict[str, Samples]]]:
    """Run all races; print each and yield its title and its samples by engine."""
    for name in networks:
        builder = build(name)
        for batch in batches:
            found = contest(builder, [Entrant(engine, threads) for engine in engines], batch, rounds, seconds)
            by_engine = {entrant.engine: samples for entrant, samples in found.items()}
            show(f"{name}, batch {batch}, threads {threads}", by_engine)
            yield f"{name}, batch {batch}", by_engine


def main() -> None:
    """Read the arguments, race, and sum up."""
    parser = argparse.ArgumentParser(description="cnnrt against other engines")
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 1])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5, help="of work for each engine in a round")
    parser.add_argument("--threads", type=int, default=detect_hardware().cores_usable)
    parser.add_argument(
        "--engines",
        nargs="+",
        default=list(LOADERS),
        metavar="ENGINE",
        help=f"{', '.join(LOADERS)}; cnnrt:MODE is an execution mode, cnnrt:MODE+tuned has the auto-tuner on",
    )
    parser.add_argument("--json", type=Path, help="keep the samples in this file")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.networks if name not in NETWORKS]
    if unknown:
        parser.error(f"unknown networks: {', '.join(unknown)}; there are {', '.join(NETWORKS)}")
    print(machine_line())
    races: dict[str, dict[str, Samples]] = {}
    for title, found in run(
        arguments.networks,
        arguments.batch,
        arguments.engines,
        arguments.threads,
        arguments.rounds,
        arguments.seconds,
    ):
        races[title] = found
        if arguments.json:  # after each race: they take long, and may be interrupted
            write_record(arguments.json, "race", vars(arguments), races)
    for engine in (engine for engine in arguments.engines if engine.startswith("cnnrt")):
        ratios = [r for found in races.values() if (r := ratio_to_best_peer(found, engine)) is not None]
        if ratios:
            mean, least = statistics.geometric_mean(ratios), min(ratios)
            print(f"\n{engine}: {mean:.2f} times as fast as the fastest peer (geometric mean), lowest {least:.2f}")


if __name__ == "__main__":
    main()
