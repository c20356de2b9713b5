"""Devices that runners serve: this machine in a process of its own, emulated Arm processors, phones that adb sees."""

from __future__ import annotations

import platform
import shutil
import threading
import time

import attrs

from cnnrt.backend import Device
from cnnrt_backend_renderscript.host_processor import host_hardware, vector_bits
from cnnrt_backend_renderscript.runner_target import (
    AARCH64,
    ARMV7,
    NATIVE,
    OF_ANDROID,
    Target,
    Toolchain,
    find_toolchain,
)
from cnnrt_backend_renderscript.script_kernel import VECTORS
from cnnrt_backend_renderscript.transport import AdbTransport, LocalTransport, Transport, find_adb, run_adb

EMULATED = {"qemu-aarch64": AARCH64, "qemu-arm": ARMV7}
REMEMBERED_SECONDS = 5
"""For how long what adb said of phones is believed: within one preparation it is asked several times."""


@attrs.frozen
class RunnerDevice(Device):
    """A device that a runner serves: what builds programs for it, and how they get there; None: it has a problem."""

    toolchain: Toolchain | None = None
    transport: Transport | None = None


def runner_devices(backend: str) -> list[RunnerDevice]:
    """Return all of them, each that cannot be used with the reason."""
    if platform.system() == "Windows":
        return []
    return [_local(backend), *(_emulated(backend, name) for name in EMULATED), *_phones(backend)]


def _local(backend: str) -> RunnerDevice:
    problem = "" if platform.system() == "Linux" else "static programs are built for Linux only"
    return _device(backend, "runner", f"{host_hardware().processor}, a process of its own", NATIVE, LocalTransport(),
                   problem)  # fmt: skip


def _emulated(backend: str, name: str) -> RunnerDevice:
    target, found = EMULATED[name], shutil.which(name)
    problem = "" if found else f"{name} was not found: install qemu-user"
    return _device(backend, name, f"{target.name}, emulated by qemu", target, LocalTransport(found), problem)


def _phones(backend: str) -> list[RunnerDevice]:
    adb = find_adb()
    if adb is None:
        problem = "adb was not found: install adb (Android's platform-tools)"
        return [RunnerDevice(backend, "adb", "phones by adb", problem, alone=True)]
    seen = _seen_by(adb)
    if not seen:
        problem = "adb sees no phone: connect one with USB debugging switched on, or adb connect HOST"
        return [RunnerDevice(backend, "adb", "phones by adb", problem, alone=True)]
    return [_phone(backend, adb, serial, state, first=i == 0) for i, (serial, state) in enumerate(seen.items())]


def _phone(backend: str, adb: str, serial: str, state: str, *, first: bool) -> RunnerDevice:
    name, aliases = f"adb:{serial}", ("adb",) if first else ()
    if state != "device":
        hint = ": allow USB debugging on the phone's screen" if state == "unauthorized" else ""
        return RunnerDevice(backend, name, "a phone", f"adb says that it is {state}{hint}", {}, aliases, alone=True)
    properties = _properties(adb, serial)
    abi = properties.get("ro.product.cpu.abi", "")
    title = " ".join(properties.get(f"ro.product.{key}", "") for key in ("manufacturer", "model")).strip() or "a phone"
    target = OF_ANDROID.get(abi)
    if target is None:
        problem = f"no runner can be built for its processor ({abi or 'it does not say which'})"
        return RunnerDevice(backend, name, title, problem, {}, aliases, alone=True)
    details = {"abi": abi, "android": properties.get("ro.build.version.release", "")}
    return _device(backend, name, title, target, AdbTransport(adb, serial), "", details, aliases, phone=True)


def _device(
    backend: str,
    name: str,
    description: str,
    target: Target,
    transport: Transport,
    problem: str,
    details: dict[str, str] | None = None,
    aliases: tuple[str, ...] = (),
    *,
    phone: bool = False,
) -> RunnerDevice:
    toolchain = find_toolchain(target, phone=phone)
    if isinstance(toolchain, str):
        return RunnerDevice(backend, name, description, problem or toolchain, {}, aliases, alone=True)
    details = {"target": target.name, "compiler": toolchain.compiler.version, **(details or {})}
    if target is NATIVE:
        details[VECTORS] = f"{vector_bits()} bits"
    return RunnerDevice(backend, name, description, problem, details, aliases, alone=True, toolchain=toolchain,
                        transport=transport)  # fmt: skip


_lock = threading.Lock()
_said: dict[tuple[str, ...], tuple[float, str]] = {}


def _seen_by(adb: str) -> dict[str, str]:
    """Return the state of each phone by its serial number."""
    lines = [line.split("\t") for line in _ask(adb, "devices").splitlines() if "\t" in line]
    return {serial.strip(): state.strip() for serial, state, *_ in lines}


def _properties(adb: str, serial: str) -> dict[str, str]:
    """Return the properties of a phone: lines such as `[ro.product.model]: [Pixel 6]`."""
    lines = (line.strip().partition("]: [") for line in _ask(adb, "-s", serial, "shell", "getprop").splitlines())
    return {name.removeprefix("["): value.removesuffix("]") for name, _, value in lines}


def _ask(adb: str, *arguments: str) -> str:
    """Return what adb says; what it said a moment ago is not asked again."""
    with _lock:
        when, text = _said.get((adb, *arguments), (0.0, ""))
        if not when or time.monotonic() - when > REMEMBERED_SECONDS:
            text = run_adb(adb, *arguments).stdout
            _said[adb, *arguments] = (time.monotonic(), text)
        return text
