"""Compiled scripts: kept on disk by what they were made from, and loaded as often as there are instances.

Globals belong to a library, so each instance of a script loads a copy of its own, as AOSP's driver does. A copy is a
file that nobody else sees and that is gone as soon as it is loaded.
"""

from __future__ import annotations

import _ctypes
import ctypes
import hashlib
import platform
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cnnrt.cache_folder import cache_folder
from cnnrt.cached_file import make_room, read_cached, write_cached
from cnnrt.errors import CnnrtError
from cnnrt_backend_renderscript.compiler import BASE, PRECISE, RELAXED, Compiler
from cnnrt_backend_renderscript.expansion import expand
from cnnrt_backend_renderscript.host_processor import host_hardware
from cnnrt_backend_renderscript.script import Script, runtime_text

BOUND = 64 << 20
"""Bytes of all libraries that are kept."""
MOST_BYTES = 16 << 20
DIGEST_BYTES = 32

Sources = Sequence[tuple[str, str | bytes]]
"""Names of files and what is in them."""

_built: dict[str, bytes] = {}


class _Global(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("address", ctypes.c_void_p), ("bytes", ctypes.c_uint32))


class _Kernel(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("loop", ctypes.c_void_p))


class _Script(ctypes.Structure):
    _fields_ = (
        ("globals", ctypes.POINTER(_Global)),
        ("kernels", ctypes.POINTER(_Kernel)),
        ("fault", ctypes.POINTER(ctypes.c_uint32)),
        ("global_count", ctypes.c_uint32),
        ("kernel_count", ctypes.c_uint32),
    )


class Instance:
    """A script with globals of its own: addresses of its globals (with their bytes) and of its kernels' loops."""

    def __init__(self, script: Script, library: bytes) -> None:
        self.script = script
        loaded = load_library(library, script.id)
        found = _Script.in_dll(loaded, f"rs_script_{script.id}")
        self.globals = {
            g.name.decode(): (g.address, g.bytes) for g in (found.globals[i] for i in range(found.global_count))
        }
        self.loops = {k.name.decode(): k.loop for k in (found.kernels[i] for i in range(found.kernel_count))}
        self._fault = found.fault
        self._library = loaded

    def fault(self) -> str:
        """Return the first access beyond an allocation since the last call; empty: none, or nothing is checked."""
        if not self._fault or not self._fault[0]:
            return ""
        count, x, y, z, columns = (self._fault[i] for i in range(5))
        self._fault[0] = 0
        return f"{self.script.id}: {count} accesses beyond an allocation, the first at ({x}, {y}, {z}) of {columns}"


def script_libraries(
    scripts: Iterable[Script], compiler: Compiler, *, checked: bool = False, processes: int = 1
) -> Mapping[Script, bytes]:
    """Return the shared library of each script, compiled now, by so many processes, if not known. Raises CnnrtError."""
    wanted = {script: _build_of(script, compiler, checked) for script in scripts}
    unknown = [build for build in wanted.values() if _key(build[0], build[1], compiler) not in _built]
    if len(unknown) > 1:  # several at once
        with ThreadPoolExecutor(processes, "cnnrt-compile") as pool:
            list(pool.map(lambda build: built(build[0], build[1], compiler, build[2]), unknown))
    return {script: built(sources, arguments, compiler, what) for script, (sources, arguments, what) in wanted.items()}


def _build_of(script: Script, compiler: Compiler, checked: bool) -> tuple[Sources, Sequence[str], str]:
    """Return sources, arguments, and what is built."""
    arithmetic = RELAXED if "#pragma rs_fp_relaxed" in script.source else PRECISE
    sources = ((f"{script.id}.c", expand(script, checked=checked)),)
    return sources, (*host_arguments(compiler), *arithmetic), f"{script.name}.rs"


def host_arguments(compiler: Compiler) -> tuple[str, ...]:
    """Return the arguments for a shared library for this processor."""
    for_arm = platform.machine().lower() in ("aarch64", "arm64")
    return (*BASE, "-shared", "-mcpu=native" if compiler.zig or for_arm else "-march=native")


def built(sources: Sources, arguments: Sequence[str], compiler: Compiler, what: str) -> bytes:
    """Return what a compiler makes of sources: known in this process, kept on disk, or built now. Raises CnnrtError."""
    key = _key(sources, arguments, compiler)
    known = _built.get(key) or _kept(key)
    if known is None:
        known = compiler.build(sources, arguments, what)
        _keep(key, known)
    _built[key] = known
    return known


def _key(sources: Sources, arguments: Sequence[str], compiler: Compiler) -> str:
    text = repr((compiler.command, compiler.version, _processor(), tuple(sources), tuple(arguments)))
    return hashlib.sha256(text.encode()).hexdigest()


def _kept(key: str) -> bytes | None:
    folder = cache_folder("renderscript")
    data = read_cached(folder / key, MOST_BYTES) if folder else None
    if data is None or hashlib.sha256(data[DIGEST_BYTES:]).digest() != data[:DIGEST_BYTES]:
        return None
    return data[DIGEST_BYTES:]


def _keep(key: str, library: bytes) -> None:
    folder = cache_folder("renderscript")
    if folder and write_cached(folder / key, hashlib.sha256(library).digest() + library):
        make_room(folder, BOUND)


def _processor() -> str:
    """Return what -march=native depends on: a folder may be shared by machines."""
    found = host_hardware()
    return f"{found.processor}, {found.architecture}, {', '.join(found.vector_extensions)}"


def load_library(library: bytes, name: str) -> ctypes.CDLL:
    """Return a copy of a shared library, loaded; it is unloaded when nobody holds it any more. Raises CnnrtError."""
    try:
        with tempfile.TemporaryDirectory(prefix="cnnrt-") as folder:
            path = Path(folder) / f"{name}.so"  # never the same path twice: the loader would give the first one again
            path.write_bytes(library)
            loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise CnnrtError(
            f"the compiled script {name} cannot be loaded: {error}; TMPDIR names another folder"
        ) from error
    weakref.finalize(loaded, _ctypes.dlclose, loaded._handle).atexit = False
    return loaded


def driver_library(compiler: Compiler) -> bytes:
    """Return the library of the driver, `runtime/launch.c`."""
    sources = [("launch.c", runtime_text("launch.c")), ("launch.h", runtime_text("launch.h"))]
    return built(sources, (*host_arguments(compiler), "-fvisibility=default", *PRECISE), compiler, "the driver")
