"""The globals that NumPy's arrays and plain containers need, under all names that versions gave them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnrt.pickles.arrays import array_from_buffer, array_to_fill, pickled_type, scalar
from cnnrt.pickles.stand_ins import PickleFault, Record, opaque, table

_MOST_PAIRS = 1_000_000


def ordered_dict(pairs: Any = ()) -> dict[Any, Any]:
    """Stand for OrderedDict, which Python 2 writes with a list of pairs: a plain dict keeps its order as well."""
    found: dict[Any, Any] = {}
    for pair in _listed(pairs):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise PickleFault("an OrderedDict of what are no pairs")
        found[plain_key(pair[0])] = pair[1]
    return found


def plain_key(key: Any) -> Any:
    """Return a key that is text, a number, None or a flat tuple of these; PickleFault for any other.

    What is nested or an object is refused: hashing it may take for ever.
    """
    parts = key if isinstance(key, tuple) else (key,)
    if all(part is None or isinstance(part, str | bytes | bool | int | float) for part in parts):
        return key
    raise PickleFault("a dictionary or set with a key that is neither text nor a number")


def _default_dict(_factory: Any = None, *_: Any) -> dict[Any, Any]:
    return {}


def _as_set(items: Any = ()) -> set[Any]:
    return {plain_key(item) for item in _listed(items)}


def _as_frozenset(items: Any = ()) -> frozenset[Any]:
    return frozenset(_as_set(items))


def _listed(items: Any) -> list[Any] | tuple[Any, ...] | set[Any] | frozenset[Any]:
    if not isinstance(items, list | tuple | set | frozenset) or len(items) > _MOST_PAIRS:
        raise PickleFault("a container that is made of what is no list")
    return items


def _encode(text: Any, encoding: Any = "latin1", *_: Any) -> bytes:
    """Stand for `_codecs.encode`, by which Python 3 writes bytes in protocols 0 to 2."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise PickleFault("an encoding other than latin1")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise PickleFault("text that is not latin1") from None


def _byte_array(data: Any = b"", *_: Any) -> bytes:
    if isinstance(data, bytes):
        return data
    if isinstance(data, str):
        return _encode(data)
    raise PickleFault("a bytearray of what are no bytes")


def _reconstructor(kind: Any = None, *_: Any) -> Any:
    """Stand for `copyreg._reconstructor`, by which protocols 0 and 1 write objects of new-style classes."""
    from cnnrt.pickles.stand_ins import Global

    if isinstance(kind, Global) and kind.make is not None:
        made = kind.make()
        if isinstance(made, Record):
            return made
    raise PickleFault("an object of a class that cannot be made")


def _entries() -> dict[tuple[str, str], Callable[..., Any]]:
    found: dict[tuple[str, str], Callable[..., Any]] = {
        ("numpy", "dtype"): pickled_type,
        ("numpy", "ndarray"): opaque("numpy", "ndarray"),
        ("collections", "OrderedDict"): ordered_dict,
        ("collections", "defaultdict"): _default_dict,
        ("_codecs", "encode"): _encode,
    }
    for core in ("numpy.core", "numpy._core"):
        found[f"{core}.multiarray", "_reconstruct"] = array_to_fill
        found[f"{core}.multiarray", "scalar"] = scalar
        found[f"{core}.numeric", "_frombuffer"] = array_from_buffer
    for builtins in ("__builtin__", "builtins"):
        found[builtins, "set"] = _as_set
        found[builtins, "frozenset"] = _as_frozenset
        found[builtins, "bytearray"] = found[builtins, "bytes"] = _byte_array
        found[builtins, "object"] = opaque(builtins, "object")
        found[builtins, "list"] = lambda items=(): list(_listed(items))
        found[builtins, "dict"] = ordered_dict
    for registry in ("copy_reg", "copyreg"):
        found[registry, "_reconstructor"] = _reconstructor
    return found


NUMPY_GLOBALS = table(_entries())
"""Arrays, dtypes and numbers of NumPy; OrderedDict, sets and the like."""
