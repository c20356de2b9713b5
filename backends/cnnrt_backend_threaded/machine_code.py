"""Addresses of compiled functions: known already, kept on disk, or compiled now."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import attrs

from cnnrt.child_python import children_possible
from cnnrt_backend_threaded.code_cache import keep, map_cached, map_image
from cnnrt_backend_threaded.code_image import CodeImage
from cnnrt_backend_threaded.code_key import code_key
from cnnrt_backend_threaded.target import Target

if TYPE_CHECKING:
    from concurrent.futures import Future

    from cnnrt_backend_threaded.compile_children import CompileChildren

log = logging.getLogger("cnnrt.threaded")

WORTH_CHILDREN = 4
"""Modules from which on starting other processes takes less time than it saves."""

_functions: dict[tuple[Target, Hashable], dict[str, int]] = {}
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):  # a child must not inherit LLVM's state from the middle of a compilation
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


@attrs.frozen
class CodeRequest:
    """Code that is wanted.

    - `target`: what it runs on. `names`: its functions.
    - `key`: equal ones (hashable) share the code within this process; `disk_key` (hexadecimal) across processes. None:
      the code's own text is the key there, so it is written at each start, but not compiled.
    - `write` returns the module in LLVM's assembly language. `what` names it in the log.
    """

    target: Target
    key: Hashable
    disk_key: str | None
    names: tuple[str, ...]
    write: Callable[[], str]
    what: str


def function_addresses(request: CodeRequest) -> dict[str, int]:
    """Return the addresses of the functions by name. They stay valid as long as the process lives."""
    found = _functions.get((request.target, request.key))
    if found is not None:
        return found
    with _lock:
        return _known(request) or _compiled(request)


def compile_ahead(requests: Iterable[CodeRequest], processes: int) -> None:
    """Compile what is not there yet, if it is much, in other processes, of which so many work at a time.

    This one counts as well while it writes the modules, and then only waits.

    What cannot be written or compiled is passed over: `function_addresses` tells why.
    """
    from cnnrt_backend_threaded.compile_children import CompileChildren, CompileFailure

    with _lock:
        missing = [request for request in requests if _known(request) is None]
        if len(missing) < WORTH_CHILDREN or not children_possible():
            return
        started = time.perf_counter()
        with suppress(OSError, CompileFailure), CompileChildren(min(processes, len(missing))) as children:
            begun = list(_begun(missing, children))
            children.all_in()
            for request, disk_key, image in begun:
                with suppress(CompileFailure):
                    _functions[request.target, request.key] = _kept(image.result(), disk_key)
        log.debug("%d kernels compiled ahead in %.1f ms", len(missing), (time.perf_counter() - started) * 1e3)


def _begun(
    requests: Iterable[CodeRequest], children: CompileChildren
) -> Iterator[tuple[CodeRequest, str | None, Future[CodeImage]]]:
    """Write modules and hand them to the children."""
    for request in requests:
        try:
            text = request.write()
        except Exception as error:
            log.debug("%s: not compiled ahead: %s", request.what, error)
            continue
        disk_key = request.disk_key or text_key(text, request)
        if request.disk_key or not (disk_key and map_cached(disk_key)):
            yield request, disk_key, children.compile(text, request.target, request.names)


def _kept(image: CodeImage, disk_key: str | None) -> dict[str, int]:
    """Keep an image on disk and map it."""
    if disk_key:
        keep(disk_key, image)
    return map_image(image)


def _known(request: CodeRequest) -> dict[str, int] | None:
    """Return what is mapped already or kept on disk."""
    found = _functions.get((request.target, request.key))
    if found is None and request.disk_key is not None:
        found = map_cached(request.disk_key)
        if found is not None:
            _functions[request.target, request.key] = found
    return found


def _compiled(request: CodeRequest) -> dict[str, int]:
    from cnnrt_backend_threaded.compiler import compile_module

    started = time.perf_counter()
    text = request.write()
    written = time.perf_counter()
    disk_key = request.disk_key or text_key(text, request)
    found = map_cached(disk_key) if disk_key and not request.disk_key else None
    if found is None:
        found = _kept(compile_module(text, request.target, request.names), disk_key)
        finished = time.perf_counter()
        log.debug(
            "%s: written in %.1f ms, compiled in %.1f ms",
            request.what,
            (written - started) * 1e3,
            (finished - written) * 1e3,
        )
    _functions[request.target, request.key] = found
    return found


def text_key(text: str, request: CodeRequest) -> str | None:
    """Return the key of code that is known by its text only."""
    import hashlib  # here: OpenSSL takes megabytes

    return code_key("text", hashlib.sha256(text.encode()).hexdigest(), request.target, request.names)
