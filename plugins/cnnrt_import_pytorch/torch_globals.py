"""What stands for the globals that a pickle of torch.save may name. Nothing of torch is imported or called.

Format: `torch._utils` and `torch.serialization`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from cnnrt.pickles import NUMPY_GLOBALS, Global, PickleFault, opaque, read_pickle
from cnnrt_import_pytorch.stored_tensor import StoredTensor, checked_tensor
from cnnrt_import_pytorch.value_types import (
    BFLOAT,
    BOOL,
    BYTE,
    CHAR,
    DOUBLE,
    FLOAT,
    HALF,
    INT,
    LONG,
    SHORT,
    ValueType,
)

_STORAGES = {
    "DoubleStorage": DOUBLE,
    "FloatStorage": FLOAT,
    "HalfStorage": HALF,
    "BFloat16Storage": BFLOAT,
    "LongStorage": LONG,
    "IntStorage": INT,
    "ShortStorage": SHORT,
    "CharStorage": CHAR,
    "ByteStorage": BYTE,
    "BoolStorage": BOOL,
}
# What training leaves in checkpoints beside the tensors: looked at by nobody.
_IGNORED = {
    ("argparse", "Namespace"),
    ("pathlib", "PosixPath"),
    ("pathlib", "WindowsPath"),
    ("pathlib", "PurePosixPath"),
    ("torch", "device"),
    ("torch", "dtype"),
    ("torch.serialization", "_get_layout"),
}


def known_globals(module: str, name: str) -> Callable[..., Any] | None:
    """Return what stands for calling a global, None for all that are not known here."""
    if (module, name) in _TABLE:
        return _TABLE[module, name]
    if module in ("torch", "torch.cuda") and name in _STORAGES:
        return opaque(module, name)
    if (module, name) in _IGNORED:
        return opaque(module, name)
    return NUMPY_GLOBALS(module, name)


def storage_type(value: Any) -> ValueType:
    """Return the type of values that a storage's class stands for; PickleFault where it is none."""
    if isinstance(value, Global) and value.module in ("torch", "torch.cuda") and value.name in _STORAGES:
        return _STORAGES[value.name]
    title = f"{value.module}.{value.name}" if isinstance(value, Global) else "something else"
    raise PickleFault(f"a storage of the type {title[:100]}")


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> StoredTensor:
    return checked_tensor(storage, offset, shape, strides)


def _rebuild_parameter(data: Any, *_: Any) -> StoredTensor:
    if not isinstance(data, StoredTensor):
        raise PickleFault("a parameter that is no tensor")
    return data


def _size(items: Any = ()) -> tuple[Any, ...]:
    if not isinstance(items, tuple | list):
        raise PickleFault("a size that is no list")
    return tuple(items)


_TABLE: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch.nn.parameter", "Parameter"): _rebuild_parameter,
    ("torch", "Size"): _size,
}

SAVE_WEIGHTS = "save the weights alone: torch.save(model.state_dict(), 'weights.pth')"
read_torch_pickle = functools.partial(read_pickle, known=known_globals, advice=SAVE_WEIGHTS)
"""`read_pickle` with what torch.save may name."""
