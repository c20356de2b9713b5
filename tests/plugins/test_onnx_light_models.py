"""The light models of ONNX: nine classifiers in full size, whose weights are made of a single number.

Weights all alike say little about numbers (all but DenseNet's scores are 1 / 1000), but everything about shapes: the
wiring, the padding and the arithmetic of shapes of networks as they were published.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from cnnrt import onnx_backend
from cnnrt_import_onnx.importer import OnnxImporter

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
LAYERS = {
    "bvlc_alexnet": ("Convolution", 5),
    "densenet121": ("Convolution", 121),
    "inception_v1": ("Convolution", 57),
    "inception_v2": ("Convolution", 69),
    "resnet50": ("Convolution", 53),
    "shufflenet": ("Convolution", 49),
    "squeezenet": ("Convolution", 26),
    "vgg19": ("FullyConnected", 3),
    "zfnet512": ("FullyConnected", 3),
}
HEAVY = {"vgg19": "574 MB of weights, 5 seconds and more"}


@pytest.mark.parametrize("name", LAYERS)
def test_they_are_read(name: str) -> None:
    imported = OnnxImporter().read([FOLDER / f"light_{name}.onnx"])
    kind, count = LAYERS[name]
    assert [block.type for block in imported.netfile.layers].count(kind) == count
    (given,) = imported.netfile.inputs
    assert (given.shape, given.batch) == ((3, 224, 224), None)


@pytest.mark.parametrize("name", LAYERS)
def test_they_run(name: str) -> None:
    if name in HEAVY and os.environ.get("CNNRT_HEAVY_TESTS") != "1":
        pytest.skip(f"{HEAVY[name]}; set CNNRT_HEAVY_TESTS=1 to run it")
    prepared = onnx_backend.prepare(onnx.load(FOLDER / f"light_{name}.onnx"), execution_mode="sequential")
    image = np.arange(3 * 224 * 224, dtype=np.float32).reshape(1, 3, 224, 224) / np.float32(3 * 224 * 224)
    (scores,) = prepared.run([image])
    wanted = numpy_helper.to_array(onnx.load_tensor(FOLDER / f"light_{name}_output_0.pb"))
    assert scores.shape == wanted.shape
    np.testing.assert_allclose(scores, wanted, rtol=1e-4, atol=1e-6)
