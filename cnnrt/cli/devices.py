"""`cnnrt devices`: what there is to compute on, and to measure energy with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from cnnrt.cli.command_line import Command
from cnnrt.cli.net_options import json_option

if TYPE_CHECKING:
    from cnnrt.backend import Backend, Device
    from cnnrt.hardware import Hardware


@click.command(
    cls=Command,
    examples="""
        cnnrt devices
        cnnrt devices --verbose
        cnnrt devices --runtime
    """,
)
@click.option("-v", "--verbose", is_flag=True, help="Show everything that each backend tells of its devices.")
@click.option(
    "--runtime",
    is_flag=True,
    help="Measure what memory cnnrt with each backend takes over Python with NumPy, networks not counted (Linux).",
)
@json_option
def devices(verbose: bool, runtime: bool, as_json: bool) -> None:
    """Show the processor and memory, every backend's devices, and the meters of energy: usable, or why not."""
    import attrs

    from cnnrt.cli.energy import why_unreadable
    from cnnrt.cli.printing import Column, print_facts, print_heading, print_json, print_table, stdout
    from cnnrt.cli.quantities import size
    from cnnrt.hardware import detect_hardware
    from cnnrt.plugins import plugin_host

    hardware = detect_hardware()
    seen = [_devices_of(backend) for backend in plugin_host().backends().values()]
    found = [device for of_backend in seen for device in of_backend]
    meters = [(meter, why_unreadable(meter)) for meter in plugin_host().meters().values()]
    taken = _runtimes({d.backend for d in found if not d.problem}) if runtime else {}
    if as_json:
        readable = [{"name": meter.name, "problem": problem, "usable": not problem} for meter, problem in meters]
        own = {**attrs.asdict(hardware), "cores_usable": hardware.cores_usable}
        listed = [{**_stated(d), "usable": not d.problem} for d in found]
        measured = {"runtime_bytes": taken} if runtime else {}
        print_json({"hardware": own, "devices": listed, "meters": readable, **measured})
        return
    console = stdout()
    print_facts(console, _hardware_facts(hardware))
    print_heading(console, "devices")
    columns = [Column("backend"), Column("device"), Column("what it is", wraps=True), Column("usable", wraps=True)]
    rows = [(d.backend, d.name, d.description, f"no: {d.problem}" if d.problem else "yes") for d in found]
    print_table(console, columns, rows)
    if meters:
        print_heading(console, "meters")
        columns = [Column("meter"), Column("what it counts", wraps=True), Column("usable", wraps=True)]
        usable = [f"no: {problem}" if problem else "yes" for _, problem in meters]
        print_table(console, columns, [(m.name, m.description, u) for (m, _), u in zip(meters, usable, strict=True)])
    if runtime:
        print_heading(console, "memory taken over Python with NumPy, networks not counted")
        print_facts(console, {f"  {name}": size(nbytes) for name, nbytes in taken.items()})
    if verbose:
        for device in found:
            print_heading(console, f"{device.backend}: {device.name}")
            told = device.details or {"usable": f"no: {device.problem}" if device.problem else "yes"}
            facts = {f"  {name}": value for name, value in told.items()}
            print_facts(console, {**facts, **_quarantined(device)})


def _stated(device: Device) -> dict[str, Any]:
    """Return what every device states; what a backend's own class of devices adds is its business."""
    import attrs

    from cnnrt.backend import Device

    stated = {a.name: getattr(device, a.name) for a in attrs.fields(Device)}
    return {**stated, "details": dict(device.details), "aliases": list(device.aliases)}


def _runtimes(backends: Iterable[str]) -> dict[str, int]:
    """Return the bytes that each backend takes, measured now in processes of their own."""
    from cnnrt.memory_trial import measure_runtime

    return {name: measure_runtime(name) for name in sorted(backends)}


def _devices_of(backend: Backend) -> Sequence[Device]:
    """Return a backend's devices; one that fails to look for them is shown with the reason."""
    from cnnrt.backend import Device

    try:
        return backend.devices()
    except Exception as error:
        return [Device(backend.name, "-", backend.description, problem=f"{type(error).__name__}: {error}")]


def _quarantined(device: Device) -> dict[str, str]:
    """Return the kernels that were found to compute wrongly on a device, with where; empty: none."""
    from cnnrt.tuning.store import default_store

    found = [f for f in default_store().facts("quarantine") if f.key.get("device") == device.identity]
    return {
        f"  quarantined: {f.key.get('kernel')}": str(f.value.get("problem") if isinstance(f.value, dict) else f.value)
        for f in found
    }


def _hardware_facts(hardware: Hardware) -> dict[str, str]:
    from cnnrt.cli.quantities import size

    caches = [
        f"L{c.level} {size(c.bytes)}" + (f" (shared by {c.shared_by})" if c.shared_by > 1 else "")
        for c in hardware.caches
    ]
    memory = f"{size(hardware.memory_available)} available of {size(hardware.memory_total)}"
    if hardware.memory_limit is not None:
        memory += f"; limited to {size(hardware.memory_limit)} by the control group"
    return {
        "processor": f"{hardware.processor} ({hardware.architecture})",
        "cores": _cores(hardware),
        "caches": ", ".join(caches) or "unknown",
        "vectors": ", ".join(hardware.vector_extensions) or "unknown",
        "memory": memory,
    }


def _cores(hardware: Hardware) -> str:
    text = f"{hardware.cores_usable} usable of {hardware.cores_online}"
    reasons = []
    if hardware.cores_allowed < hardware.cores_online:
        reasons.append(f"affinity allows {hardware.cores_allowed}")
    if hardware.quota is not None:
        reasons.append(f"the control group pays for {hardware.quota:g}")
    if hardware.physical_cores is not None and hardware.physical_cores < hardware.cores_allowed:
        reasons.append(f"{hardware.physical_cores} physical cores")
    return f"{text} ({'; '.join(reasons)})" if reasons else text
