"""`cnnrt run`: a network's answers for images or arrays."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from cnnrt.cli.command_line import Command
from cnnrt.cli.net_options import NetOptions, budget_option, json_option, mode_option, net_options, netfile_argument
from cnnrt.cli.option_types import PATH

if TYPE_CHECKING:
    from rich.console import Console

    from cnnrt.cli.input_files import Batches
    from cnnrt.layer import Array
    from cnnrt.net import Net
    from cnnrt.profile import Profile

TOP = 5
"""Classes that are listed for each item, where the user does not say."""


@attrs.frozen
class _Run:
    """Outputs by name over all batches, and how long it took."""

    outputs: Mapping[str, Array]
    prepare_seconds: float
    compute_seconds: float
    profile: Profile | None


def _output_file(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() not in (".npy", ".npz"):
        raise click.BadParameter(f"{str(path)!r}: expected a name that ends in .npy or .npz")
    return path


def _names(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(name.strip() for name in value.split(",") if name.strip())


@click.command(
    cls=Command,
    examples="""
        cnnrt run lenet digit.png --top 3
        cnnrt run alexnet/net.netfile cat.jpg dog.jpg --profile
        cnnrt run net.netfile batch.npy -o features.npz --outputs conv5,fc7
    """,
)
@netfile_argument
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="INPUT...")
@click.option(
    "-o",
    "--output",
    type=PATH,
    callback=_output_file,
    metavar="OUT",
    help="Write the outputs: one as .npy, or all by name as .npz.",
)
@click.option("--outputs", callback=_names, metavar="A,B", help="Values to compute, instead of the network's outputs.")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="K",
    help=f"Classes to list for each item.  [default: {TOP}, where the output is class scores]",
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    metavar="N",
    help="Most items to compute at once.  [default: 16 images, whole arrays]",
)
@mode_option
@budget_option
@net_options
@click.option("--profile", "profiled", is_flag=True, help="Show run time and parameter load time of each layer.")
@json_option
def run(
    netfile: Path,
    files: Sequence[Path],
    output: Path | None,
    outputs: tuple[str, ...] | None,
    top: int | None,
    batch: int | None,
    mode: str | None,
    options: NetOptions,
    profiled: bool,
    as_json: bool,
) -> None:
    """Run a network on images, or on float32 arrays.

    INPUT is images, which become numbers as the NetFile states; or one .npy file, (N, C, H, W) or (C, H, W); or one
    .npz file with an array for each input. Class scores are listed best first, with labels where the NetFile has them;
    of any other output a summary is shown. What -o writes has a batch dimension in any case.
    """
    from cnnrt.cli.input_files import open_inputs
    from cnnrt.cli.printing import print_json, stdout
    from cnnrt.labels import read_labels

    with options.open(netfile, mode) as net:
        wanted = tuple(dict.fromkeys(net.graph.outputs if outputs is None else outputs))
        if output is not None and output.suffix.lower() == ".npy" and len(wanted) > 1:
            raise click.UsageError(
                f"{output} can hold one array: for {', '.join(wanted)} name a .npz, or choose with --outputs"
            )
        labels = read_labels(net.netfile, net.root)
        batches = open_inputs(net, files, batch)
        done = _compute(net, batches, wanted, profiled)
        if output is not None:
            _write(output, done.outputs)
        if as_json:
            print_json(_as_dict(batches, done, labels, top))
            return
        console = stdout()
        for name, array in done.outputs.items():
            _print_output(console, name, array, batches, labels, top)
        if done.profile is not None:
            _print_profile(console, done.profile)
        _tell_times(net, batches.count, done)


def _compute(net: Net, batches: Batches, wanted: Sequence[str], profiled: bool) -> _Run:
    """Compute every batch. With `profiled`, the first is computed once more, since its first run also loads weights."""
    from cnnrt.cli.progress import progress

    results: list[Mapping[str, Array]] = []
    sizes: list[int] = []
    profile = None
    prepare_seconds = compute_seconds = 0.0
    with progress("computing", batches.count) as count_up:
        for arrays in batches.arrays:
            started = time.perf_counter()
            net.prepare({name: array.shape for name, array in arrays.items()}, wanted)
            prepared = time.perf_counter()
            results.append(net.compute(arrays, wanted))
            prepare_seconds += prepared - started
            compute_seconds += time.perf_counter() - prepared
            sizes.append(len(next(iter(arrays.values()))))
            if profiled and profile is None:
                profile = net.profile(arrays, wanted)
            count_up(sizes[-1])
    joined = {name: _joined(name, [r[name] for r in results], sizes) for name in wanted}
    return _Run(joined, prepare_seconds, compute_seconds, profile)


def _joined(name: str, parts: Sequence[Array], sizes: Sequence[int]) -> Array:
    """Return the outputs of all batches as one array."""
    import numpy as np

    from cnnrt.errors import InputError

    if len(parts) == 1:
        return parts[0]
    for part, size in zip(parts, sizes, strict=True):
        if part.ndim == 0 or len(part) != size:
            raise InputError(
                f"output {name!r} is not one value for each item, so batches cannot be joined: "
                f"compute all {sum(sizes)} at once with --batch {sum(sizes)}"
            )
    return np.concatenate(parts)


def _write(path: Path, outputs: Mapping[str, Array]) -> None:
    from cnnrt.cli.array_files import write_array, write_arrays

    if path.suffix.lower() == ".npy":
        write_array(path, next(iter(outputs.values())))
    else:
        write_arrays(path, outputs)


def _print_output(
    console: Console, name: str, array: Array, batches: Batches, labels: Sequence[str] | None, top: int | None
) -> None:
    from cnnrt.cli.answers import class_scores, summary, top_classes
    from cnnrt.cli.printing import Column, number, print_facts, print_table
    from cnnrt.layer import shape_text

    scores = class_scores(array, labels, forced=top is not None)
    if scores is None:
        facts = summary(array)
        values = "".join(f", {key} {facts[key]:.6g}" for key in ("min", "max", "mean") if facts[key] is not None)
        print_facts(console, {name: shape_text(array.shape) + values})
        return
    answers = top_classes(scores, labels, top or TOP)
    items = batches.names if len(batches.names) == len(answers) else [f"{name}[{i}]" for i in range(len(answers))]
    labelled = any(answer.label for best in answers for answer in best)
    columns = [Column("item"), number("class"), *([Column("label", wraps=True)] if labelled else []), number("score")]
    rows = []
    for item, best in zip(items, answers, strict=True):
        for place, answer in enumerate(best):
            label = [answer.label] if labelled else []
            rows.append((item if place == 0 else "", str(answer.index), *label, f"{answer.score:.4g}"))
    print_table(console, columns, rows)


def _print_profile(console: Console, profile: Profile) -> None:
    from cnnrt.cli.printing import Column, number, print_heading, print_table
    from cnnrt.cli.quantities import milliseconds

    print_heading(console, "profile (the first batch, run once more)")
    rows = [(t.layer, milliseconds(t.run_seconds), milliseconds(t.load_seconds)) for t in profile.layers]
    whole = ("whole call", milliseconds(profile.seconds), "")
    print_table(console, [Column("layer"), number("run ms"), number("load ms")], [*rows, whole])


def _tell_times(net: Net, count: int, done: _Run) -> None:
    from cnnrt.cli.command_line import tell
    from cnnrt.cli.quantities import milliseconds, plural

    plan = net.plan
    where = ", ".join(plan.backends) or "nothing"
    fallbacks = f"; {len(plan.fallbacks)} by their references (see: cnnrt show)" if plan.fallbacks else ""
    tell(
        "note",
        f"{plural(count, 'item')} computed in {milliseconds(done.compute_seconds)} ms on {where}{fallbacks}, "
        f"after {milliseconds(done.prepare_seconds)} ms of preparing and reading weights",
    )


def _as_dict(batches: Batches, done: _Run, labels: Sequence[str] | None, top: int | None) -> dict[str, Any]:
    from cnnrt.cli.answers import class_scores, summary, top_classes

    outputs = {}
    for name, array in done.outputs.items():
        outputs[name] = summary(array)
        scores = class_scores(array, labels, forced=top is not None)
        if scores is not None:
            best = top_classes(scores, labels, top or TOP)
            outputs[name]["top"] = [[attrs.asdict(answer) for answer in item] for item in best]
    result: dict[str, Any] = {
        "items": list(batches.names) or batches.count,
        "outputs": outputs,
        "prepare_seconds": done.prepare_seconds,
        "compute_seconds": done.compute_seconds,
    }
    if done.profile is not None:
        result["profile"] = [attrs.asdict(times) for times in done.profile.layers]
    return result
