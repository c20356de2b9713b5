"""Layers of Caffe's older forms as current ones.

V0 (2013): `layers { layer { name type ... } bottom top }`, all parameters in one flat message, zero padding as a
layer of its own. V1 (2014): `layers { name type: CONVOLUTION ... }`. The rules are those of Caffe's
upgrade_proto.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnrt_import_caffe.messages import message_class

# Where the enumerated V1 name in CamelCase is not the current name.
_V1_TYPES = {
    "ABSVAL": "AbsVal",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "LRN": "LRN",
    "MVN": "MVN",
    "NONE": "",
    "RELU": "ReLU",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "TANH": "TanH",
}

_V0_TYPES = {
    "accuracy": "Accuracy",
    "bnll": "BNLL",
    "concat": "Concat",
    "conv": "Convolution",
    "data": "Data",
    "dropout": "Dropout",
    "euclidean_loss": "EuclideanLoss",
    "flatten": "Flatten",
    "hdf5_data": "HDF5Data",
    "hdf5_output": "HDF5Output",
    "im2col": "Im2col",
    "images": "ImageData",
    "infogain_loss": "InfogainLoss",
    "innerproduct": "InnerProduct",
    "lrn": "LRN",
    "multinomial_logistic_loss": "MultinomialLogisticLoss",
    "pool": "Pooling",
    "relu": "ReLU",
    "sigmoid": "Sigmoid",
    "softmax": "Softmax",
    "softmax_loss": "SoftmaxWithLoss",
    "split": "Split",
    "tanh": "TanH",
    "window_data": "WindowData",
}

# V0 key -> for each V0 type, or any, the current message and its field.
_V0_KEYS = {
    "num_output": {"conv": "convolution_param.num_output", "innerproduct": "inner_product_param.num_output"},
    "biasterm": {"conv": "convolution_param.bias_term", "innerproduct": "inner_product_param.bias_term"},
    "pad": {"conv": "convolution_param.pad", "pool": "pooling_param.pad"},
    "kernelsize": {"conv": "convolution_param.kernel_size", "pool": "pooling_param.kernel_size"},
    "group": {"conv": "convolution_param.group"},
    "stride": {"conv": "convolution_param.stride", "pool": "pooling_param.stride"},
    "pool": {"pool": "pooling_param.pool"},
    "dropout_ratio": {"dropout": "dropout_param.dropout_ratio"},
    "local_size": {"lrn": "lrn_param.local_size"},
    "alpha": {"lrn": "lrn_param.alpha"},
    "beta": {"lrn": "lrn_param.beta"},
    "k": {"lrn": "lrn_param.k"},
    "concat_dim": {"concat": "concat_param.concat_dim"},
    "new_height": {"images": "image_data_param.new_height"},
    "new_width": {"images": "image_data_param.new_width"},
    "scale": {"": "transform_param.scale"},
    "meanfile": {"": "transform_param.mean_file"},
    "cropsize": {"": "transform_param.crop_size"},
}


def v0_key(path: Sequence[str], v0_type: str) -> str | None:
    """Return V0's key for a current path such as ("pooling_param", "stride"); None where it had none."""
    wanted = ".".join(path)
    return next((key for key, homes in _V0_KEYS.items() if wanted in (homes.get(v0_type), homes.get(""))), None)


def current_layer(old: Any) -> Any:
    """Return a V1LayerParameter, which may hold a V0 layer, as a LayerParameter without blobs.

    The type is "" where the old form's is unknown, and "padding" for V0's padding layers.
    """
    return _from_v0(old) if old.HasField("layer") else _from_v1(old)


def _from_v1(old: Any) -> Any:
    layer = message_class("LayerParameter")(name=old.name, bottom=old.bottom, top=old.top)
    names = old.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number
    name = names[old.type].name if old.HasField("type") else "NONE"
    layer.type = _V1_TYPES.get(name, name.title().replace("_", ""))
    for shared in old.param:
        layer.param.add(name=shared)
    for field, value in old.ListFields():
        if field.name in ("include", "exclude"):
            getattr(layer, field.name).extend(value)
        elif field.name.endswith("_param"):
            getattr(layer, field.name).CopyFrom(value)
    return layer


def _from_v0(old: Any) -> Any:
    v0 = old.layer
    layer = message_class("LayerParameter")(name=v0.name, bottom=old.bottom, top=old.top)
    layer.type = "padding" if v0.type == "padding" else _V0_TYPES.get(v0.type, v0.type)
    for field, value in v0.ListFields():
        homes = _V0_KEYS.get(field.name, {})
        home = homes.get(v0.type) or homes.get("")
        if home:
            message_name, _, key = home.partition(".")
            message = getattr(layer, message_name)
            if isinstance(getattr(message, key), bool | int | float | str):
                setattr(message, key, value)
            else:
                getattr(message, key).append(value)
    return layer


def fold_padding(layers: Sequence[Any], pads: Sequence[int]) -> list[tuple[int, Any]]:
    """Return the layers without V0's padding layers, with their indices; each is in the layer that reads it.

    `pads` holds, for each layer, V0's `pad`. A padding layer that anything but one convolution or pooling layer
    reads stays, and is then named as not supported.
    """
    padding = {top: i for i, layer in enumerate(layers) if layer.type == "padding" for top in layer.top}
    readers: dict[int, list[Any]] = {i: [] for i in padding.values()}
    for layer in layers:
        for bottom in layer.bottom:
            if bottom in padding:
                readers[padding[bottom]].append(layer)
    folded = set()
    for i, reading in readers.items():
        if len(layers[i].bottom) == 1 and all(_takes_padding(reader) for reader in reading):
            folded.add(i)
            for reader in reading:
                param = reader.convolution_param if reader.type == "Convolution" else reader.pooling_param
                param.pad[:] = [pads[i]]
                reader.bottom[:] = layers[i].bottom
    return [(i, layer) for i, layer in enumerate(layers) if i not in folded]


def _takes_padding(layer: Any) -> bool:
    return layer.type in ("Convolution", "Pooling") and len(layer.bottom) == 1
