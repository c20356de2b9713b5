"""Builds a runner: scripts compiled one by one for its processor, linked with the driver into one static program."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import attrs

from cnnrt_backend_renderscript import runner_protocol
from cnnrt_backend_renderscript.compiler import BASE, PRECISE, RELAXED
from cnnrt_backend_renderscript.expansion import expand
from cnnrt_backend_renderscript.library import built
from cnnrt_backend_renderscript.runner_target import Toolchain
from cnnrt_backend_renderscript.script import Script, runtime_text


@attrs.frozen
class RunnerProgram:
    """A static program, and the digest by which it greets."""

    program: bytes
    build: str


def build_runner(
    scripts: Sequence[Script], toolchain: Toolchain, *, checked: bool = False, processes: int = 1
) -> RunnerProgram:
    """Return the runner that holds these scripts, in this order, compiled by so many processes at a time.

    Raises CnnrtError with the compiler's complaints.
    """

    def object_file(name: str, text: str, arithmetic: Sequence[str], what: str) -> tuple[str, bytes]:
        arguments = (*BASE, *toolchain.arguments, "-c", *arithmetic)
        return f"{name}.o", built([(f"{name}.c", text), header], arguments, toolchain.compiler, what)

    def compiled(script: Script) -> tuple[str, bytes]:
        arithmetic = RELAXED if "#pragma rs_fp_relaxed" in script.source else PRECISE
        return object_file(script.id, expand(script, checked=checked), arithmetic, f"{script.name}.rs")

    header = ("launch.h", runtime_text("launch.h"))
    with ThreadPoolExecutor(processes, "cnnrt-compile") as pool:
        objects = list(pool.map(compiled, scripts))
    objects += [object_file(name, runtime_text(f"{name}.c"), PRECISE, f"{name}.c") for name in ("runner", "launch")]
    build = hashlib.sha256(repr((objects, toolchain)).encode()).hexdigest()
    linked = ("linked.c", runner_protocol.linked_scripts(scripts, build))
    arguments = (*BASE, *toolchain.arguments, "-static", "-s")
    program = built([header, linked, *objects], arguments, toolchain.compiler, "the runner")
    return RunnerProgram(program, build)
