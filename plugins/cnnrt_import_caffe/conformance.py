"""The suite of the importer, for `cnnrt.testing`: small models in two of Caffe's forms. Needs hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import text_format

from cnnrt.testing.importer_suite import ImporterSuite
from cnnrt_import_caffe.importer import CaffeImporter
from cnnrt_import_caffe.messages import message_class

NET = """
name: "small"
input: "data"
input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "norm" type: "LRN" bottom: "pool" top: "norm" lrn_param { local_size: 3 alpha: 0.0001 beta: 0.75 } }
layer { name: "fc" type: "InnerProduct" bottom: "norm" top: "fc" inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
LEGACY_NET = """
name: "legacy"
input: "data"
input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layers { name: "relu" type: RELU bottom: "conv" top: "conv" }
layers { name: "fc" type: INNER_PRODUCT bottom: "conv" top: "fc" inner_product_param { num_output: 5 } }
layers { name: "prob" type: SOFTMAX bottom: "fc" top: "prob" }
"""


class CaffeSuite(ImporterSuite):
    """A net in the current form and one with V1 layers, each with its weights."""

    importer = CaffeImporter()

    def models(self, folder: Path) -> Sequence[Sequence[Path]]:
        """Write both."""
        return [
            _written(folder / "small", NET, "layer", conv=(4, 3, 3, 3), fc=(5, 36)),
            _written(folder / "legacy", LEGACY_NET, "layers", conv=(4, 3, 3, 3), fc=(5, 144)),
        ]


def _written(base: Path, text: str, field: str, **weights: tuple[int, ...]) -> list[Path]:
    """Write a prototxt and a caffemodel whose weights, and biases of as many values as outputs, are random."""
    random = np.random.default_rng(0)
    net: Any = message_class("NetParameter")()
    text_format.Parse(text, net)
    for layer in getattr(net, field):
        for shape in (weights[layer.name], weights[layer.name][:1]) if layer.name in weights else ():
            blob = layer.blobs.add()
            blob.shape.dim.extend(shape)
            blob.data.extend(random.standard_normal(shape).astype(np.float32).ravel().tolist())
    prototxt, caffemodel = base.with_suffix(".prototxt"), base.with_suffix(".caffemodel")
    prototxt.write_text(text, encoding="utf-8")
    caffemodel.write_bytes(net.SerializeToString())
    return [prototxt, caffemodel]
