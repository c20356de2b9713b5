"""Which devices may be used at all, by what the user asks for and what is here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from cnnrt.backend import Device
from cnnrt.errors import PlacementError
from cnnrt.plugins import PluginHost
from cnnrt.weight_storage import DEFAULT
from netfile_spec.problems import closest


@attrs.frozen
class Request:
    """What the user asks of placement: the execution mode, a device's name or None, and whether to be strict.

    `byte_seconds`: what a byte of packed weights and workspace costs, where memory is scarce. `weight_storage`: the
    type that weights are to be kept in (`cnnrt.weight_storage`).
    """

    mode: str = "parallel"
    device: str | None = None
    strict: bool = False
    byte_seconds: float = 0.0
    weight_storage: str = DEFAULT


def choose_devices(host: PluginHost, request: Request) -> list[Device]:
    """Return the devices that may be used, the preferred one first.

    `"parallel"` allows every usable device; a backend's name only that backend's. A device that computes alone is the
    only one where it is the first of those that were asked for; else it is none of them. Raises PlacementError that
    lists what is installed, or why the asked-for backend or device cannot be used.
    """
    backends = host.backends()
    if request.mode != "parallel":
        if backends.find(request.mode) is None:
            near = closest(request.mode, [*backends, "parallel"])
            raise PlacementError(
                f'no backend is named {request.mode!r}; execution_mode is "parallel" or one of the installed '
                f"backends: {', '.join(sorted(backends)) or 'none'}" + (f"; did you mean {near!r}?" if near else "")
            )
        backends_allowed = [backends[request.mode]]
    else:
        backends_allowed = list(backends.values())
    asked = request.mode != "parallel" or request.device is not None
    seen = [d for b in backends_allowed for d in (b.devices() if asked else b.devices_beside())]
    named = [d for d in seen if request.device is None or request.device.lower() in _names(d)]
    if request.device is not None and not named:
        known = ", ".join(_title(d) for d in seen if d.name != "-") or "none"
        raise PlacementError(
            f"no device is named {request.device!r} in mode {request.mode!r}; devices in sight: {known}"
        )
    usable = [d for d in named if not d.problem]
    together = [d for d in usable if not d.alone]
    usable = usable[:1] if usable and usable[0].alone and (asked or not together) else together
    if not usable:
        reasons = (
            "; ".join((*(f"{_title(d)}: {d.problem}" for d in named), *backends.collisions.values()))
            or "no backend sees a device"
        )
        raise PlacementError(f"no device can be used in mode {request.mode!r}: {reasons}")
    _check_storage(host, request, usable)
    return usable


def _check_storage(host: PluginHost, request: Request, devices: Sequence[Device]) -> None:
    """Raise PlacementError where none of the devices' backends can keep weights as they are asked to be kept."""
    if request.weight_storage == DEFAULT:
        return

    def storing(backends: Iterable[str]) -> list[str]:
        wanted = set(backends)
        kernels = (k for k in host.kernels(wanted).values() if k.backend in wanted)
        return sorted({k.backend for k in kernels if request.weight_storage in k.weight_types})

    asked = dict.fromkeys(device.backend for device in devices)
    if not storing(asked):
        able = storing(host.backends())
        others = f"execution_mode {' or '.join(map(repr, able))} can" if able else "no installed backend can"
        raise PlacementError(
            f"weight_storage {request.weight_storage!r}: no kernel of {' or '.join(asked)} keeps weights in "
            f"{request.weight_storage}; {others}; weight_storage {DEFAULT!r} runs anywhere"
        )


def _title(device: Device) -> str:
    """Return backend and name of a device; a backend that sees none tells why under the name "-"."""
    return device.backend if device.name == "-" else f"{device.backend}:{device.name}"


def _names(device: Device) -> tuple[str, ...]:
    """Return what a user may call a device, in lower case."""
    names = (device.name, *device.aliases)
    return (device.backend, *(text.lower() for name in names for text in (name, f"{device.backend}:{name}")))
