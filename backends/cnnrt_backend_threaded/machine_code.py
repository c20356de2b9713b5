"""From LLVM's intermediate representation to functions that can be called."""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from llvmlite import binding

from cnnrt_backend_threaded.emitter import Code
from cnnrt_backend_threaded.target import Target

log = logging.getLogger("cnnrt.threaded")

_engines: list[Any] = []
"""Code lives as long as its engine, and addresses are handed out to whoever shares it: none is ever let go."""
_functions: dict[tuple[Target, Any], int] = {}
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):  # a child must not inherit LLVM's state from the middle of a compilation
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def function_address(target: Target, key: Any, emit: Callable[[Code], None], what: str) -> int:
    """Return the address of the function `void (i64 *arguments, i64 first, i64 last, i64 thread)` that `emit` writes.

    Equal keys (hashable) give the same function, compiled once for each process. `what` names it in the log.
    """
    with _lock:
        address = _functions.get((target, key))
        if address is None:
            started = time.perf_counter()
            code = Code(target)
            emit(code)
            code.finish()
            emitted = time.perf_counter()
            address = _functions[target, key] = compile_module(code.text(), target, ["kernel"])["kernel"]
            finished = time.perf_counter()
            log.debug(
                "%s: written in %.1f ms, compiled in %.1f ms",
                what,
                (emitted - started) * 1e3,
                (finished - emitted) * 1e3,
            )
        return address


def compile_module(text: str, target: Target, names: list[str]) -> dict[str, int]:
    """Compile a module and return the addresses of the named functions."""
    _initialise()
    module = binding.parse_assembly(text)
    module.verify()
    engine = binding.create_mcjit_compiler(module, target_machine(target))
    engine.finalize_object()
    _engines.append(engine)
    return {name: engine.get_function_address(name) for name in names}


def assembly(text: str, target: Target) -> str:
    """Return a module as the target's assembly language, for whoever wants to read it."""
    _initialise()
    module = binding.parse_assembly(text)
    module.verify()
    return str(target_machine(target).emit_assembly(module))


def target_machine(target: Target) -> Any:
    """Return LLVM's code generator for a target. An engine takes it over, so each has its own."""
    chosen = binding.Target.from_triple(target.triple)
    return chosen.create_target_machine(cpu=target.cpu, features=target.features, opt=3, jit=True)


@functools.cache
def _initialise() -> None:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    binding.initialize_native_asmparser()  # inline assembly
