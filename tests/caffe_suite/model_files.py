"""Caffe's files as tests need them: prototxt from text, caffemodels with given weights, in each of the three forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from google.protobuf import text_format

from cnnrt.errors import ImportFailure
from cnnrt.importer import ImportedModel
from cnnrt.layer import Array
from cnnrt_import_caffe.importer import CaffeImporter
from cnnrt_import_caffe.messages import message_class
from netfile_spec import LayerBlock

Form = Literal["layer", "v1", "v0"]
INPUT = 'input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }\n'


def layer(name: str, kind: str, bottom: str, rest: str = "", top: str | None = None) -> str:
    """Return the text of a layer on one line; `bottom` may hold several names between spaces."""
    bottoms = " ".join(f'bottom: "{b}"' for b in bottom.split())
    return f'layer {{ name: "{name}" type: "{kind}" {bottoms} top: "{top or name}" {rest} }}\n'


def convolution(
    name: str, bottom: str, outputs: int = 4, kernel: int = 3, rest: str = "", top: str | None = None
) -> str:
    """Return the text of a convolution."""
    parameters = f"convolution_param {{ num_output: {outputs} kernel_size: {kernel} {rest} }}"
    return layer(name, "Convolution", bottom, parameters, top)


def convolution_weights(outputs: int = 4, inputs: int = 3, kernel: int = 3, seed: int = 0) -> list[Array]:
    """Return weight and bias of a convolution."""
    random = np.random.default_rng(seed)
    shapes = ((outputs, inputs, kernel, kernel), (outputs,))
    return [random.standard_normal(shape).astype(np.float32) for shape in shapes]


def write_caffemodel(
    path: Path,
    weights: Mapping[str, Sequence[Array]],
    *,
    form: Form = "layer",
    net: str = "",
    double: bool = False,
) -> Path:
    """Write a caffemodel with these blobs by layer name; `net` is the text of the net that it carries.

    In the old forms the blobs state four dimensions, filled with ones from the left.
    """
    message = message_class("NetParameter")()
    text_format.Parse(net, message, allow_unknown_field=True)
    for name, blobs in weights.items():
        holder = _layer(message, name, form)
        for values in blobs:
            blob = holder.blobs.add()
            if form == "layer":
                blob.shape.dim.extend(values.shape)
            else:
                dims = (1,) * (4 - values.ndim) + values.shape
                blob.num, blob.channels, blob.height, blob.width = dims
            (blob.double_data if double else blob.data).extend(values.ravel().tolist())
    path.write_bytes(message.SerializeToString())
    return path


def _layer(net: Any, name: str, form: Form) -> Any:
    for existing in (*net.layer, *net.layers):
        holder = existing.layer if form == "v0" else existing
        if holder.name == name:
            return holder
    if form == "layer":
        return net.layer.add(name=name)
    if form == "v1":
        return net.layers.add(name=name)
    added = net.layers.add().layer
    added.name = name
    return added


def read(folder: Path, text: str, weights: Mapping[str, Sequence[Array]], form: Form = "layer") -> ImportedModel:
    """Import a prototxt of this text with a caffemodel of these weights; without weights, the prototxt alone."""
    prototxt = folder / "net.prototxt"
    prototxt.write_text(text, encoding="utf-8")
    models = [write_caffemodel(folder / "net.caffemodel", weights, form=form)] if weights else []
    return CaffeImporter().read([prototxt, *models])


def read_layers(folder: Path, text: str, weights: Mapping[str, Sequence[Array]] | None = None) -> dict[str, LayerBlock]:
    """Import a net and return its layers by name."""
    return {block.name: block for block in read(folder, text, weights or {}).netfile.layers}


def failure(folder: Path, text: str, weights: Mapping[str, Sequence[Array]] | None = None) -> ImportFailure:
    """Import a net that cannot be imported and return the error."""
    try:
        model = read(folder, text, weights or {})
    except ImportFailure as error:
        return error
    raise AssertionError(f"imported without an error: {model.netfile}")
