"""Parameter files of either layout, told apart by their first bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netfile_spec.errors import ParameterFileError
from netfile_spec.parameters.cnnrt_header import MAGIC
from netfile_spec.parameters.cnnrt_layout import CnnrtParameterFile, write_cnnrt
from netfile_spec.parameters.parameter_file import Layout, ParameterFile
from netfile_spec.parameters.regular_file import damage, open_regular

# Files that people pass by mistake; without this the error would speak of MessagePack.
_OTHER_FORMATS = {
    b"\x93NUMPY": "a NumPy .npy file",
    b"PK\x03\x04": "a zip archive (.npz or PyTorch)",
    b"\x89HDF": "an HDF5 file",
    b"\x89PNG": "a PNG image",
    b"\x1f\x8b": "a gzip archive",
}


def open_parameters(path: str | os.PathLike[str]) -> ParameterFile:
    """Read a parameter file's header, of either layout, and decode nothing yet.

    Raises ParameterFileError where the file is missing, not regular, or not a parameter file; a file in CNNdroid's
    layout that mixes encodings is read through once, to find where its tensors lie.
    """
    path = Path(path)
    with open_regular(path) as file:
        start = file.read(0, 16)
        if start.startswith(MAGIC):
            return CnnrtParameterFile(file)
        if start.startswith(MAGIC[:6]):
            raise damage(path, "the line ends were converted in transfer; copy the file as binary", at=6)
        for magic, kind in _OTHER_FORMATS.items():
            if start.startswith(magic):
                raise damage(path, f"is {kind}; expected a parameter file (write_parameters makes one from arrays)")
        from netfile_spec.parameters.cnndroid_layout import CnndroidParameterFile  # here: few need its decoders

        return CnndroidParameterFile(file)


def read_parameters(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Return all tensors of a parameter file by name, in file order ("0" and "1" in CNNdroid's layout).

    Arrays are writeable and C-contiguous, float32 in CNNdroid's layout, of the stored dtype in cnnrt's, whose checksums
    are verified. Raises ParameterFileError.
    """
    with open_parameters(path) as file:
        return {tensor.name: file.load(tensor.name) for tensor in file.tensors}


def write_parameters(
    path: str | os.PathLike[str],
    tensors: Mapping[str, NDArray[Any]],
    *,
    layout: Layout = "cnnrt",
    flat: bool = True,
) -> None:
    """Write arrays as a parameter file, in the mapping's order; the file appears whole or not at all.

    `layout="cnnrt"`: any number of tensors with names, dtypes float32, float64, float16, int8, uint8, int32, int64.
    `layout="cnndroid"`: weights, then biases, stored as float32 without names; with `flat` (as CNNdroid's scripts did)
    a two-dimensional array becomes one flat list, so that its shape is the reader's to know.

    Raises ParameterFileError for what the layout cannot hold, and where writing fails.
    """
    path = Path(path)
    for name, array in tensors.items():
        if not isinstance(name, str):
            raise ParameterFileError(f"{path}: tensor name {name!r:.80} is no string")
        if not isinstance(array, np.ndarray):
            raise ParameterFileError(
                f"{path}: tensor {name!r} is a {type(array).__name__}; expected a NumPy array (np.asarray makes one)"
            )
    if layout == "cnnrt":
        write_cnnrt(path, tensors)
    elif layout == "cnndroid":
        from netfile_spec.parameters.cnndroid_layout import write_cnndroid

        write_cnndroid(path, tensors, flat=flat)
    else:
        raise ParameterFileError(f"{path}: unknown layout {layout!r}; expected 'cnnrt' or 'cnndroid'")
