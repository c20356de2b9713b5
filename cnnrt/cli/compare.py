"""`cnnrt compare`: every layer's output in two execution modes, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from cnnrt.cli.command_line import FAILED, Command
from cnnrt.cli.net_options import (
    NetOptions,
    Stated,
    budget_option,
    input_option,
    json_option,
    net_options,
    netfile_argument,
    shapes_with_batch,
)
from cnnrt.cli.option_types import Number

if TYPE_CHECKING:
    from cnnrt.mode_comparison import ModeComparison


def _modes(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, str]:
    names = tuple(name.strip() for name in value.split(","))
    if len(names) != 2 or not all(names):
        raise click.BadParameter(f"{value!r}: expected two modes, as in sequential,threaded")
    return names[0], names[1]


@click.command(
    cls=Command,
    examples="""
        cnnrt compare lenet --modes sequential,opencl
        cnnrt compare AlexNet_def.txt --root parameters --input 1,3,227,227 --modes sequential,threaded
    """,
    exit_codes={0: "all values agree", 1: "one differs: the first that does is named"},
)
@netfile_argument
@click.option(
    "--modes",
    required=True,
    callback=_modes,
    metavar="A,B",
    help='Two of "parallel" and the names of backends; values of B are compared with those of A.',
)
@click.option("--batch", type=click.IntRange(min=1), metavar="N", help="Images in a batch, where --input does not say.")
@input_option
@click.option(
    "--tolerance",
    type=Number(min=0),
    metavar="T",
    help="Largest difference, by the largest value, up to which values agree.  [default: 1e-05]",
)
@budget_option
@net_options
@json_option
@click.pass_context
def compare(
    context: click.Context,
    netfile: Path,
    modes: tuple[str, str],
    batch: int | None,
    stated_inputs: Sequence[Stated],
    tolerance: float | None,
    options: NetOptions,
    as_json: bool,
) -> None:
    """Compute random numbers in two execution modes, and show how far each layer's output is from the other's.

    The first value that differs says where to look: all before it agree. Values that are computed along with others
    (a folded ReLU's input) are not asked for, so that the kernels are those of any run. --weight-storage is how B keeps
    its weights; those of A are float32.
    """
    from cnnrt.cli.measurement import random_inputs
    from cnnrt.cli.printing import print_json
    from cnnrt.mode_comparison import compare_modes
    from cnnrt.verification import TOLERANCE
    from cnnrt.weight_storage import DEFAULT

    exact = attrs.evolve(options, weight_storage=DEFAULT)
    with exact.open(netfile, modes[0]) as one, options.open(netfile, modes[1]) as other:
        arrays = random_inputs(shapes_with_batch(one, stated_inputs, batch))
        found = compare_modes(one, other, arrays, TOLERANCE if tolerance is None else tolerance)
    if as_json:
        print_json(_as_dict(found, modes))
    else:
        _print(found, modes)
    context.exit(FAILED if found.verification.first_difference else 0)


def _as_dict(found: ModeComparison, modes: tuple[str, str]) -> dict[str, Any]:
    told: dict[str, Any] = {**found.verification.to_dict(), "modes": list(modes)}
    for value, kernels in zip(told["values"], found.kernels, strict=True):
        value["kernels"] = list(kernels)
    return told


def _print(found: ModeComparison, modes: tuple[str, str]) -> None:
    from cnnrt.cli.command_line import printable
    from cnnrt.cli.printing import Column, number, print_table, stdout
    from cnnrt.layer import shape_text

    columns = [Column("value"), Column("shape"), *(Column(mode) for mode in modes)]
    columns += [number("largest difference"), number("of largest"), Column("")]
    rows = [
        (
            printable(c.name),
            shape_text(c.shape),
            *kernels,
            f"{c.difference:.2g}",
            f"{c.relative:.2g}",
            "agrees" if c.agrees else "differs",
        )
        for c, kernels in zip(found.verification.compared, found.kernels, strict=True)
    ]
    print_table(stdout(), columns, rows)
    first = found.verification.first_difference
    if first is None:
        click.echo("all of them agree")
    else:
        remark = f"; {printable(first.remark)}" if first.remark else ""
        click.echo(f"the first difference is at {printable(first.name)!r}: {printable(first.layer)}{remark}")
