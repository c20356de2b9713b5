"""The suite of the importer, for `cnnrt.testing`: a small checkpoint, pickled and in a zip. Needs hypothesis."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnrt.testing.importer_suite import ImporterSuite
from cnnrt_import_cuda_convnet.importer import CudaConvnetImporter


class CudaConvnetSuite(ImporterSuite):
    """The checkpoint of a small network, as a file of its own and as cuda-convnet compresses it."""

    importer = CudaConvnetImporter()

    def models(self, folder: Path) -> Sequence[Sequence[Path]]:
        """Write both."""
        data = pickled(checkpoint(small_layers()))
        (folder / "1.5").write_bytes(data)
        with zipfile.ZipFile(folder / "2.5", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("data", data)
        return [[folder / "1.5"], [folder / "2.5"]]


def small_layers() -> list[dict[str, Any]]:
    """Return data, a convolution, pooling, normalisation, a fully connected layer, and a cost."""
    random = np.random.default_rng(0)
    conv = {"type": "conv", "name": "conv1", "inputs": [0], "filters": 4, "channels": [2], "filterSize": [3]}
    conv |= {"padding": [1], "stride": [1], "groups": [1], "imgSize": [6], "neuron": {"type": "relu", "params": {}}}
    conv |= {"weights": [random.standard_normal((18, 4)).astype("f4")], "biases": np.zeros((4, 1), "f4")}
    pool = {"type": "pool", "name": "pool1", "inputs": [2], "pool": "max", "channels": 4, "sizeX": 3, "stride": 2}
    norm = {"type": "cmrnorm", "name": "rnorm1", "inputs": [3], "channels": 4, "size": 3, "scale": 0.01, "pow": 0.75}
    fc = {"type": "fc", "name": "fc10", "inputs": [4], "outputs": 5, "neuron": {"type": "ident", "params": {}}}
    fc |= {"weights": [random.standard_normal((36, 5)).astype("f4")], "biases": np.zeros((1, 5), "f4")}
    return [
        {"type": "data", "name": "data", "dataIdx": 0},
        {"type": "data", "name": "labels", "dataIdx": 1},
        conv,
        {**pool, "start": 0, "imgSize": 6, "outputsX": 3},
        {**norm, "imgSize": 3},
        fc,
        {"type": "softmax", "name": "probs", "inputs": [5]},
        {"type": "cost.logreg", "name": "logprob", "inputs": [1, 6]},
    ]


def checkpoint(layers: Any) -> dict[str, Any]:
    """Return a whole checkpoint of these layers."""
    return {"model_state": {"layers": layers, "epoch": 1, "batchnum": 5}, "op": None}


def pickled(value: Any) -> bytes:
    """Return dictionaries, lists, text, numbers and arrays as Python 2 pickles them in protocol 2."""
    return b"\x80\x02" + _item(value) + b"."


def _item(value: Any) -> bytes:
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"U" + bytes([len(value)]) + value.encode("latin-1")
    if isinstance(value, dict):
        return b"}(" + b"".join(_item(key) + _item(inner) for key, inner in value.items()) + b"u"
    if isinstance(value, list | tuple):
        return b"](" + b"".join(_item(inner) for inner in value) + b"e"
    shape = b"(" + b"".join(_item(n) for n in value.shape) + b"t"
    code = _item(value.dtype.str[1:])
    state = b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    kind = b"cnumpy\ndtype\n" + code + b"K\x00K\x01\x87R" + state
    data: bytes = value.tobytes()
    start = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    return start + b"(K\x01" + shape + kind + b"\x89T" + struct.pack("<i", len(data)) + data + b"tb"
