"""`cnnrt tuning`: what this machine has learned about its kernels: list it, hand it on, take it in, forget it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cnnrt.cli.command_line import Command, CommandLine
from cnnrt.cli.net_options import json_option
from cnnrt.cli.option_types import PATH
from cnnrt.cli.quantities import plural


@click.group(
    cls=CommandLine,
    invoke_without_command=True,
    subcommands={
        "list": "cnnrt.cli.tuning:list_facts",
        "export": "cnnrt.cli.tuning:export",
        "import": "cnnrt.cli.tuning:import_measurements",
        "clear": "cnnrt.cli.tuning:clear",
    },
    examples="""
        cnnrt tuning list
        cnnrt tuning export measurements.json
        cnnrt tuning import measurements.json
        cnnrt tuning clear
    """,
)
@click.pass_context
def tuning(context: click.Context) -> None:
    """List, export, import or clear what was measured and verified on this machine."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@click.command("list", cls=Command, examples="cnnrt tuning list --json")
@json_option
def list_facts(as_json: bool) -> None:
    """List the measurements and the quarantined kernels, and count the verifications."""
    from cnnrt.cli.printing import Column, number, print_heading, print_json, print_table, stdout
    from cnnrt.cli.quantities import milliseconds, three_digits
    from cnnrt.tuning.network import title
    from cnnrt.tuning.packs import is_measurement_key
    from cnnrt.tuning.record import record_from
    from cnnrt.tuning.store import default_store

    store = default_store()
    facts = [f for f in store.facts("measurement") if is_measurement_key(f.key)]
    measured = [(f.key, r) for f in facts if (r := record_from(f.value)) is not None]
    quarantined = [{**f.key, **(f.value if isinstance(f.value, dict) else {})} for f in store.facts("quarantine")]
    verified = len(store.facts("verification"))
    if as_json:
        print_json(
            {
                "store": store.path,
                "measurements": [{"key": key, "value": record.to_json()} for key, record in measured],
                "quarantined": quarantined,
                "verified": verified,
            }
        )
        return
    console = stdout()
    columns = [Column("layer"), Column("inputs"), Column("device"), Column("winner", wraps=True), number("ms")]
    rows = []
    for key, record in measured:
        winner = record.timed[record.winner]
        shown = title(winner.kernel, winner.tuning)
        what = (_layer(key), _inputs(key), winner.device, shown, milliseconds(winner.seconds))
        rows.append((*what, f"{three_digits(record.gain)}×"))
    if rows:
        print_table(console, [*columns, number("gain")], rows)
    else:
        console.print("nothing was measured yet: cnnrt tune NETFILE")
    if quarantined:
        print_heading(console, "quarantined")
    for row in quarantined:
        console.print(f"  {row.get('kernel')}: {row.get('problem')}")
    console.print(f"\n{plural(verified, 'verification')} in {store.path or 'this process only'}")


@click.command(cls=Command, examples="cnnrt tuning export measurements.json")
@click.argument("file", type=PATH)
@json_option
def export(file: Path, as_json: bool) -> None:
    """Write all measurements into FILE, for machines of the same kind."""
    from cnnrt.tuning.packs import export_pack
    from cnnrt.tuning.store import default_store

    _say(as_json, "exported", export_pack(default_store(), file), file)


@click.command("import", cls=Command, examples="cnnrt tuning import measurements.json")
@click.argument("file", type=PATH)
@json_option
def import_measurements(file: Path, as_json: bool) -> None:
    """Take in the measurements of FILE, all or none; those of other devices, drivers or sources count for nothing."""
    from cnnrt.tuning.packs import import_pack
    from cnnrt.tuning.store import default_store

    _say(as_json, "imported", import_pack(default_store(), file), file)


@click.command(cls=Command, examples="cnnrt tuning clear")
@json_option
def clear(as_json: bool) -> None:
    """Forget everything: measurements, verifications and quarantines. What is needed is found out again."""
    from cnnrt.tuning.store import KINDS, default_store

    store = default_store()
    _say(as_json, "cleared", store.clear(*KINDS), store.path, "fact")


def _say(as_json: bool, done: str, count: int, where: Path | None, noun: str = "measurement") -> None:
    from cnnrt.cli.printing import print_json

    if as_json:
        print_json({done: count, "file": where})
    else:
        click.echo(f"{done} {plural(count, noun)}" + (f": {where}" if where else ""))


def _layer(key: Any) -> str:
    call = key.get("call", {})
    return str(call.get("layer", "")).partition("(")[0] + "".join(
        f" + {str(folded).partition('(')[0]}" for folded in call.get("folded", ())
    )


def _inputs(key: Any) -> str:
    tensors = key.get("call", {}).get("inputs", ())
    return ", ".join("×".join(str(n) for n in tensor[1:]) for tensor in tensors if isinstance(tensor, list))
