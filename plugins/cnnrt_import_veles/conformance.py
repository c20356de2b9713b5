"""The suite of the importer, for `cnnrt.testing`: a small package as zip and as tar.gz. Needs hypothesis."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnrt.layer import Array
from cnnrt.testing.importer_suite import ImporterSuite
from cnnrt_import_veles.importer import VelesImporter


class VelesSuite(ImporterSuite):
    """Two dense units in both kinds of archive, and a small convolutional network."""

    importer = VelesImporter()

    def models(self, folder: Path) -> Sequence[Sequence[Path]]:
        """Write them."""
        random = np.random.default_rng(0)
        arrays = {name: random.standard_normal(shape).astype(np.float16) for name, shape in _SHAPES.items()}
        package = package_of([dense("All2AllTanh", "w0", "b0", 1), dense("All2AllSoftmax", "w1", "b1")], arrays)
        files = [[written(folder / name, package)] for name in ("small.zip", "small.tar.gz")]
        shapes = {"k": (3, 18), "kb": (3,), "m": (5, 27), "mb": (5,)}
        arrays = {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
        images = [
            convolution("ConvStrictRELU", "k", "kb", 1, padding=[1, 1, 1, 1]),
            pooling("MaxPooling", 2),
            unit("LRNormalizerForward", 3, alpha=1e-3, n=3),
            dense("All2AllSoftmax", "m", "mb"),
        ]
        return [*files, [written(folder / "images.zip", package_of(images, arrays))]]


_SHAPES: Mapping[str, tuple[int, ...]] = {"w0": (4, 6), "b0": (4,), "w1": (3, 4), "b1": (3,)}


def dense(kind: str, weights: str, bias: str, /, *links: int, **data: Any) -> dict[str, Any]:
    """Return a dense unit as contents.json has it."""
    data = {"weights": f"@{weights}", "bias": f"@{bias}", "include_bias": True, "weights_transposed": False, **data}
    return unit(kind, *links, **data)


def convolution(kind: str, weights: str, bias: str, /, *links: int, **data: Any) -> dict[str, Any]:
    """Return a convolution by 3 by 3."""
    data = {"kx": 3, "ky": 3, "padding": [0, 0, 0, 0], "sliding": [1, 1], **data}
    return dense(kind, weights, bias, *links, **data)


def pooling(kind: str, /, *links: int, **data: Any) -> dict[str, Any]:
    """Return a pooling of 2 by 2."""
    return unit(kind, *links, **{"kx": 2, "ky": 2, "sliding": [2, 2], **data})


def unit(kind: str, /, *links: int, **data: Any) -> dict[str, Any]:
    """Return a unit with this data, whose output the units `links` read."""
    return {"class": {"name": kind, "uuid": ""}, "data": data, "links": list(links)}


def package_of(units: list[dict[str, Any]], arrays: Mapping[str, Array]) -> dict[str, bytes]:
    """Return the files of a package by name."""
    files = {"contents.json": json.dumps({"units": units, "workflow": "Small"}).encode()}
    for name, array in arrays.items():
        stream = io.BytesIO()
        np.save(stream, array, allow_pickle=False)
        files[f"{name}.npy"] = stream.getvalue()
    return files


def written(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write the files into an archive, of the kind that its name says."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path
