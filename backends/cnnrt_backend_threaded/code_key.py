"""What tells compiled code from other code: every source that has a say in it, written down so that it never varies."""

from __future__ import annotations

import enum
import functools
import importlib.metadata
import sys
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs

BACKEND = __name__.partition(".")[0]


def canonical(value: Any) -> str:
    """Return a text that is the same for equal values in every process.

    Raises TypeError for a value of a kind that has no such text.
    """
    if value is None or (isinstance(value, bool | int | str | bytes) and not isinstance(value, enum.Enum)):
        return repr(value)
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, type):
        return f"{value.__module__}:{value.__qualname__}"
    if isinstance(value, enum.Enum):
        return f"{canonical(type(value))}.{value.name}"
    if isinstance(value, tuple | list):
        return f"({', '.join(map(canonical, value))})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(sorted(f'{canonical(k)}: {canonical(v)}' for k, v in value.items()))}}}"
    if attrs.has(type(value)):
        fields = ", ".join(f"{f.name}={canonical(getattr(value, f.name))}" for f in attrs.fields(type(value)))
        return f"{canonical(type(value))}({fields})"
    raise TypeError(f"a {type(value).__name__} has no text that is the same in every process")


def is_own(kind: type) -> bool:
    """Tell whether a class is of this backend, whose sources are known."""
    return kind.__module__.startswith(f"{BACKEND}.")


def code_key(*parts: Any, modules: Iterable[str] = ()) -> str | None:
    """Return the digest of what code is made from: `parts`, this backend, the compiler, and the packages of `modules`.

    None where that cannot be told for certain; such code is not kept.
    """
    import hashlib  # here: OpenSSL takes megabytes

    version = compiler_version()
    packages = sorted({"cnnrt", BACKEND, *(module.partition(".")[0] for module in modules)})
    sources = [source_digest(package) for package in packages]
    if not version or None in sources:
        return None
    try:
        text = canonical((version, tuple(sources), parts))
    except TypeError:
        return None
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def source_digest(package: str) -> str | None:
    """Return the digest of the Python files of an imported package or module; None where they are not to be read."""
    import hashlib  # here: OpenSSL takes megabytes

    file = getattr(sys.modules.get(package), "__file__", None)
    if file is None:
        return None
    place = Path(file)
    digest = hashlib.sha256()
    try:
        for source in sorted(place.parent.glob("*.py")) if place.name == "__init__.py" else [place]:
            digest.update(f"{source.name}\0".encode())
            digest.update(hashlib.sha256(source.read_bytes()).digest())
    except OSError:
        return None
    return digest.hexdigest()


@functools.cache
def compiler_version() -> str:
    """Return llvmlite's version, which implies LLVM's, without importing it; empty where it is not known."""
    try:
        return importlib.metadata.version("llvmlite")
    except importlib.metadata.PackageNotFoundError:
        return ""
