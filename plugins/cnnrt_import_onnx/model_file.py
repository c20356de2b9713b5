"""The file of a model as a message: read, recognised, and of a format and operator set that are known here.

Format: ModelProto of ONNX. IR version 3 (2017) is the first in wide use.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

from cnnrt.errors import CnnrtError, ImportFailure, ParameterFileError, Problem
from cnnrt.protobuf_wire import MalformedMessage
from cnnrt_import_onnx.model_text import text_of
from cnnrt_import_onnx.supported import NEWEST_OPSET, OLDEST_OPSET
from cnnrt_import_onnx.weights_in_place import LARGE, without_weights
from netfile_spec.parameters.inside_root import resolve_inside
from netfile_spec.problems import quoted

OLDEST_IR, NEWEST_IR = 3, 14
_MOST_BYTES = (1 << 31) - 1
_OTHER_FORMATS = {
    b"\x89HDF": ("an HDF5 file", "give the .onnx file that was exported from it"),
    b"version https://git-lfs": ("a Git LFS pointer, not the model itself", "fetch it with `git lfs pull`"),
    b"PK\x03\x04": ("a zip archive or a PyTorch checkpoint", "unpack it, or export the model with torch.onnx.export"),
    b"\x1f\x8b": ("a gzip file", "unpack it"),
    b"<": ("a web page or XML file", "download the model again"),
}


def read_model(path: Path) -> Any:
    """Return the ModelProto at `path`; external weights stay where they are.

    Raises ImportFailure where the file is something else, damaged, or of a version that is not known here, and
    CnnrtError where the onnx package is not installed.
    """
    onnx = onnx_package()
    from google.protobuf.message import DecodeError

    model = onnx.ModelProto()
    with _opened(path) as data:
        if len(data) > _MOST_BYTES:
            message = f"{len(data):,} bytes; a message of protobuf has less than 2 GiB"
            raise _failure(path, message, "save it with external data")
        start = data[:64]
        for magic, (what, hint) in _OTHER_FORMATS.items():
            if start.startswith(magic):
                raise _failure(path, f"this is {what}", hint)
        try:
            with memoryview(data) as view:
                model.ParseFromString(_to_parse(view, path))
        except (DecodeError, RecursionError, UnicodeDecodeError, ValueError) as error:
            raise _failure(
                path, f"not a readable ONNX model: {error}", "it is damaged, incomplete, or another kind of file"
            ) from None
    check_model(model, str(path))
    return model


def _to_parse(data: memoryview, path: Path) -> bytes | memoryview:
    """Return the message without its large weights where these can be read from the file later, else all of it."""
    try:
        if resolve_inside(path.parent, path.name) and len(data) >= LARGE:
            return without_weights(data, path.name)
    except (ParameterFileError, MalformedMessage):
        pass  # a link that leads elsewhere; or no message, about which protobuf says more
    return data


def check_model(model: Any, file: str) -> None:
    """Raise ImportFailure where a ModelProto holds no graph, or is of a version that is not known here."""
    if not model.HasField("graph") or not (model.graph.node or model.graph.input):
        problem = Problem("not an ONNX model: it holds no graph", hint="give the .onnx file that was exported")
        raise ImportFailure([problem], file=file)
    problems = _version_problems(model)
    if problems:
        raise ImportFailure(problems, file=file)


def opset_of(model: Any) -> int:
    """Return the version of ONNX's own operator set that the model is written in; 0 where it states none."""
    stated = [entry.version for entry in model.opset_import if text_of(entry.domain) in ("", "ai.onnx")]
    return int(stated[-1]) if stated else 0


def onnx_package() -> Any:
    """Return the package onnx; CnnrtError says what to install where it is not there."""
    try:
        import onnx
    except ImportError as error:
        message = f"reading ONNX models needs the package onnx ({error})"
        raise CnnrtError(f'{message}: pip install "cnnrt[onnx]"') from error
    return onnx


def _opened(path: Path) -> mmap.mmap:
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:
        raise _failure(path, "the file is empty", "download or save it again") from None
    except OSError as error:
        raise _failure(path, f"cannot be read: {error.strerror or error}", "") from None


def _version_problems(model: Any) -> list[Problem]:
    problems = []
    if not OLDEST_IR <= model.ir_version <= NEWEST_IR:
        wanted, hint = f"{OLDEST_IR} to {NEWEST_IR}", _save_again(model.ir_version > NEWEST_IR)
        problems.append(Problem(f"IR version {model.ir_version}", None, wanted, hint))
    opset = opset_of(model)
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        what = f"operator set {opset}" if opset else "it does not say which operator set it is written in"
        wanted = f"{OLDEST_OPSET} to {NEWEST_OPSET}"
        problems.append(Problem(what, None, wanted, _save_again(opset > NEWEST_OPSET)))
    if model.HasField("graph") and model.graph.sparse_initializer:
        names = ", ".join(quoted(text_of(s.values.name)) for s in model.graph.sparse_initializer[:5])
        problems.append(Problem(f"sparse initializers ({names})", None, "dense ones"))
    return problems


def _save_again(newer: bool) -> str:
    if newer:
        return "update cnnrt, or export the model with an older operator set"
    return "convert it with onnx.version_converter, or export it again"


def _failure(path: Path, message: str, hint: str) -> ImportFailure:
    return ImportFailure([Problem(message, hint=hint)], file=str(path))
