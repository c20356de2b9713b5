"""Caffe's files: prototxt, caffemodel in its three forms, mean images."""

from __future__ import annotations

import functools
from contextlib import nullcontext, suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from google.protobuf import text_format

from cnnrt.plugins import plugin_host
from cnnrt.stated_preprocessing import read_mean
from cnnrt_import_caffe.importer import CaffeImporter
from cnnrt_import_caffe.messages import message_class
from cnnrt_import_caffe.supported import SUPPORTED
from fuzz import worst_cases
from fuzz.message_mutations import field, mutated_message, varint
from fuzz.mutations import BYTES, INTEGERS, mutated
from fuzz.target import Guarded, Target
from fuzz.text_mutations import WORDS, mutated_tokens
from netfile_spec import CnnrtError

_WEIGHTS = {"conv1": ((4, 3, 3, 3), (4,)), "conv2": ((2, 2, 3, 3),), "ip": ((5, 8), (5,))}
_WEIGHTS |= {"norm": ((3,), (3,), (1,)), "scale": ((3,), (3,)), "slope": ((3,),)}
_NAMES = {
    "Convolution": ("conv1", "conv1", "conv2"),
    "InnerProduct": ("ip",),
    "BatchNorm": ("norm",),
    "Scale": ("scale", "slope"),
    **dict.fromkeys(("Bias", "Normalize", "PReLU"), ("slope",)),
}
_HEADS = (
    'input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }\n',
    'input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8\n',
    'layer { name: "data" type: "Input" top: "data" input_param { shape: { dim: 1 dim: 3 dim: 8 dim: 8 } } }\n',
    'layer { name: "data" type: "ImageData" top: "data" top: "label" image_data_param { new_height: 8 new_width: 8 }'
    " transform_param { mean_value: 104 mean_value: 117 mean_value: 123 scale: 0.01 crop_size: 8 } }\n",
    'layer { name: "data" type: "MemoryData" top: "data" top: "label"'
    " memory_data_param { batch_size: 1 channels: 3 height: 8 width: 8 } }\n",
)
_BLOCKS = {
    "Convolution": (
        "convolution_param",
        ("num_output: 4 kernel_size: 3", "num_output: 4 kernel_size: 3 pad: 1 stride: 2 group: 1"),
    ),
    "InnerProduct": (
        "inner_product_param",
        ("num_output: 5", "num_output: 5 bias_term: true axis: 1 transpose: false"),
    ),
    "Pooling": (
        "pooling_param",
        ("pool: MAX kernel_size: 2 stride: 2", "pool: AVE kernel_size: 3", "global_pooling: true pool: AVE"),
    ),
    "LRN": ("lrn_param", ("local_size: 5 alpha: 0.0001 beta: 0.75", "norm_region: WITHIN_CHANNEL")),
    "ReLU": ("relu_param", ("negative_slope: 0.1", "")),
    "Dropout": ("dropout_param", ("dropout_ratio: 0.5",)),
    "Softmax": ("softmax_param", ("axis: 1",)),
    "SoftmaxWithLoss": ("loss_param", ("",)),
    "Concat": ("concat_param", ("axis: 1", "concat_dim: 1")),
    "Eltwise": ("eltwise_param", ("operation: SUM coeff: 1 coeff: -1", "operation: MAX")),
    "Flatten": ("flatten_param", ("axis: 1 end_axis: -1",)),
    "Accuracy": ("accuracy_param", ("top_k: 5",)),
    "Split": ("relu_param", ("",)),
    "BatchNorm": ("batch_norm_param", ("", "eps: 0.001 use_global_stats: true")),
    **dict.fromkeys(("AbsVal", "BNLL", "ReLU6", "Sigmoid", "TanH"), ("relu_param", ("",))),
    "ArgMax": ("argmax_param", ("axis: 1", "top_k: 2 out_max_val: true")),
    "Bias": ("bias_param", ("axis: 1",)),
    "Clip": ("clip_param", ("min: -1 max: 1",)),
    "Crop": ("crop_param", ("axis: 2 offset: 1", "offset: 1 offset: 2")),
    "Deconvolution": ("convolution_param", ("num_output: 4 kernel_size: 3 stride: 2", "num_output: 4 kernel_size: 3")),
    "DetectionOutput": (
        "detection_output_param",
        ("num_classes: 2 share_location: true nms_param { nms_threshold: 0.4 top_k: 9 } keep_top_k: 9",),
    ),
    "ELU": ("elu_param", ("alpha: 0.5",)),
    "Exp": ("exp_param", ("base: 2 scale: 0.5 shift: 1", "")),
    "Interp": ("interp_param", ("zoom_factor: 2", "height: 4 width: 4", "shrink_factor: 2 pad_beg: -1")),
    "Log": ("log_param", ("base: 10 shift: 1", "")),
    "MVN": ("mvn_param", ("normalize_variance: false across_channels: true eps: 0.001",)),
    "Normalize": ("norm_param", ("across_spatial: false channel_shared: false",)),
    "PReLU": ("prelu_param", ("channel_shared: true", "")),
    "Permute": ("permute_param", ("order: 0 order: 2 order: 3 order: 1",)),
    "Power": ("power_param", ("power: 2 scale: 0.5 shift: -1",)),
    "PriorBox": (
        "prior_box_param",
        ("min_size: 2 max_size: 4 aspect_ratio: 2 flip: true variance: 0.1", "min_size: 2 step: 4 offset: 0.5"),
    ),
    "ROIPooling": ("roi_pooling_param", ("pooled_h: 2 pooled_w: 2 spatial_scale: 0.0625",)),
    "Reduction": ("reduction_param", ("operation: MEAN axis: 1 coeff: 2",)),
    "Reshape": ("reshape_param", ("shape { dim: 0 dim: -1 }", "shape { dim: 3 dim: 64 } axis: 1 num_axes: -1")),
    "Scale": ("scale_param", ("bias_term: true", "axis: 1")),
    "ShuffleChannel": ("shuffle_channel_param", ("group: 3",)),
    "Slice": ("slice_param", ("axis: 1 slice_point: 1", "")),
    "Swish": ("swish_param", ("beta: 1.5",)),
    "Upsample": ("upsample_param", ("scale: 2",)),
}
_V1 = {
    "Convolution": "CONVOLUTION",
    "InnerProduct": "INNER_PRODUCT",
    "Pooling": "POOLING",
    "LRN": "LRN",
    "ReLU": "RELU",
}
_V1 |= {
    "Dropout": "DROPOUT",
    "Softmax": "SOFTMAX",
    "SoftmaxWithLoss": "SOFTMAX_LOSS",
    "Concat": "CONCAT",
    "Eltwise": "ELTWISE",
}
_V1 |= {"Flatten": "FLATTEN", "Accuracy": "ACCURACY", "Split": "SPLIT"}
_V0 = {
    "Convolution": "conv",
    "InnerProduct": "innerproduct",
    "Pooling": "pool",
    "LRN": "lrn",
    "ReLU": "relu",
    "Softmax": "softmax",
}
_V0 |= {"Dropout": "dropout", "Concat": "concat", "Flatten": "flatten"}
_V0_KEYS = (
    "num_output: 4 kernelsize: 3 pad: 1",
    "num_output: 5",
    "pool: MAX kernelsize: 2 stride: 2",
    "local_size: 5",
    "",
)
_EXTRAS: tuple[str, ...] = (
    "include { phase: TRAIN }",
    "exclude { phase: TEST }",
    'param { name: "shared" }',
)
_EXTRAS += (
    'include { stage: "x" min_level: 3 }',
    "loss_weight: 1",
    "blobs { shape { dim: 4 } data: 1 }",
)
_EXTRAS += (
    'state { phase: TEST stage: "x" }',
    "unheard { of: 1 }",
    "engine: CAFFE",
    "dilation: 2",
    "fuse_type: FUSED_CONV_RELU",
)
_WORDS = (
    *WORDS,
    *_EXTRAS,
    *_BLOCKS,
    *_V1.values(),
    *(block for block, _ in _BLOCKS.values()),
    "TRAIN",
    "<",
    ">",
    ";",
    "layer",
    "layers",
)


def _net(random: Random, *, extras: bool = True) -> str:
    """Return the text of a net in one of the three forms, right in most of its parts; `extras`: odd keys as well."""
    form = random.choice(("layer", "layer", "layer", "v1", "v0"))
    text = random.choice(_HEADS[: 2 if form == "v0" else 5] if form != "v1" else _HEADS[:2])
    if random.random() < 0.2:
        text = 'name: "net"\n' + text
    values = ["data"]
    for i in range(random.choice((1, 2, 3, 4, 6, 10))):
        kind = random.choice(tuple(_BLOCKS))
        name = random.choice(_NAMES.get(kind, (f"l{i}",)))
        bottoms = [values[-1]] if random.random() < 0.9 else [random.choice(values)]
        least = SUPPORTED[kind].bottoms[0] if kind in SUPPORTED else 1
        bottoms += random.choices(values, k=max(least - 1, kind in ("Concat", "Eltwise")))
        if kind in ("SoftmaxWithLoss", "Accuracy"):
            bottoms.append("label")
        top = bottoms[0] if kind in ("ReLU", "Dropout") and random.random() < 0.7 else name
        ends = " ".join([*(f'bottom: "{b}"' for b in bottoms), f'top: "{top}"'])
        extra = random.choice(_EXTRAS) if extras and random.random() < 0.05 else ""
        block, stated = _BLOCKS[kind]
        param = f"{block} {{ {random.choice(stated)} }}"
        if form == "layer":
            text += f'layer {{ name: "{name}" type: "{kind}" {ends} {param} {extra} }}\n'
        elif form == "v1":
            text += f'layers {{ name: "{name}" type: {_V1.get(kind, "TANH")} {ends} {param} {extra} }}\n'
        else:
            inner = f'name: "{name}" type: "{_V0.get(kind, "padding")}" {random.choice(_V0_KEYS)}'
            text += f"layers {{ layer {{ {inner} }} {ends} {extra} }}\n"
        values.append(top)
    return text


def _make_prototxt(random: Random) -> bytes:
    text = _net(random)
    way = random.random()
    if way < 0.2:
        return text.encode()
    if way < 0.85:
        return mutated_tokens(random, text, [_net(random)], _WORDS).encode("utf-8", "replace")
    return mutated(random, text.encode(), [_net(random).encode()])


@functools.cache
def _model(number: int) -> bytes:
    """Return a caffemodel; the net that it carries and the way its values are stored depend on the number."""
    random = Random(number)
    message = message_class("NetParameter")()
    text_format.Parse(_net(random, extras=False), message, allow_unknown_field=True)
    for layer in (*message.layer, *message.layers):
        holder = layer.layer if layer in message.layers and layer.layer.name else layer
        for shape in _WEIGHTS.get(holder.name, ()):
            blob = holder.blobs.add()
            if number % 3:
                blob.shape.dim.extend(shape)
            else:
                blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - len(shape)) + shape
            (blob.double_data if number % 5 == 0 else blob.data).extend([0.5] * int(np.prod(shape)))
    data: bytes = message.SerializeToString()
    return data


def _unpacked_blob(random: Random) -> bytes:
    """Return a blob whose values carry a tag each, with a shape that may not fit."""
    count = random.choice((0, 1, 4, 5, 100))
    values = (b"\x2d\0\0\x80?" if random.random() < 0.7 else b"\x41" + b"\0" * 8) * count
    dims = random.choice(((count,), (1, count), tuple(random.choice(INTEGERS) for _ in range(random.randint(0, 40)))))
    shape = (
        field(7, b"".join(field(1, d) for d in dims))
        if random.random() < 0.5
        else field(7, field(1, b"".join(map(varint, dims))))
    )
    legacy = b"".join(field(i + 1, d) for i, d in enumerate(dims[:4]))
    return random.choice((shape + values, values + legacy, values, legacy + values + legacy, values + shape + values))


def _make_caffemodel(random: Random) -> bytes:
    data = _model(random.randrange(60))
    way = random.random()
    if way < 0.6:
        for _ in range(random.choice((1, 1, 2, 4))):
            data = mutated_message(random, data)
        return data
    if way < 0.75:
        layer = (
            field(1, b"conv1")
            + field(2, b"Convolution")
            + b"".join(field(7, _unpacked_blob(random)) for _ in range(random.randint(1, 3)))
        )
        return data + field(100, layer)
    return mutated(random, data, [_model(random.randrange(60))])


def _make_mean(random: Random) -> bytes:
    count = random.choice((3, 12, 48))
    legacy = b"".join(field(i + 1, d) for i, d in enumerate((1, 3, 1, count // 3)))
    sound = random.choice(
        (legacy + field(5, b"\0\0\x80?" * count), legacy + b"\x2d\0\0\x80?" * count, _unpacked_blob(random))
    )
    way = random.random()
    if way < 0.2:
        return _unpacked_blob(random)
    return mutated_message(random, sound) if way < 0.65 else mutated(random, sound, [_unpacked_blob(random)], BYTES)


def _try(read: Any, data: bytes, folder: Path) -> None:
    with suppress(CnnrtError):
        read(data, folder, nullcontext)


def _prepare_prototxt(folder: Path) -> None:
    message = message_class("NetParameter")()
    for name, shapes in _WEIGHTS.items():
        layer = message.layer.add(name=name)
        for shape in shapes:
            blob = layer.blobs.add()
            blob.shape.dim.extend(shape)
            blob.data.extend([0.5] * int(np.prod(shape)))
    (folder / "net.caffemodel").write_bytes(message.SerializeToString())
    for i in range(60):
        _try(_read_prototxt, _net(Random(i)).encode(), folder)


def _prepare_caffemodel(folder: Path) -> None:
    (folder / "net.prototxt").write_text(
        _HEADS[0]
        + 'layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"'
        + " convolution_param { num_output: 4 kernel_size: 3 } }"
        + 'layer { name: "ip" type: "InnerProduct" bottom: "conv1" top: "ip" inner_product_param { num_output: 5 } }'
    )
    for i in range(60):
        _try(_read_caffemodel, _model(i), folder)


def _prepare_mean(folder: Path) -> None:
    _try(_read_mean, _make_mean(Random(1)), folder)


def _import(files: list[Path]) -> None:
    model = CaffeImporter().read(files)
    for tensors in model.parameters.values():
        for name in tensors:
            assert tensors[name].dtype == np.float32


def _read_prototxt(data: bytes, folder: Path, guarded: Guarded) -> None:
    path = folder / "net.prototxt"
    path.write_bytes(data)
    with guarded():
        _import([path, folder / "net.caffemodel"])


def _read_caffemodel(data: bytes, folder: Path, guarded: Guarded) -> None:
    path = folder / "net.caffemodel"
    path.write_bytes(data)
    with guarded():
        try:
            _import([path])
        finally:  # with a prototxt beside it other rules apply
            if len(data) % 2:
                _import([folder / "net.prototxt", path])


def _read_mean(data: bytes, folder: Path, guarded: Guarded) -> None:
    path = folder / "mean.binaryproto"
    path.write_bytes(data)
    with guarded():
        read_mean(path, plugin_host())


_FOLDER = "plugins/cnnrt_import_caffe/"
_REST = tuple(
    _FOLDER + f
    for f in ("convert.py", "inputs.py", "layers.py", "legacy.py", "net.py", "phases.py", "weights.py", "wiring.py")
)
PROTOTXT = Target(
    "prototxt",
    _prepare_prototxt,
    _make_prototxt,
    _read_prototxt,
    (_FOLDER + "prototxt.py", _FOLDER + "text_tree.py", _FOLDER + "unknown_keys.py", _FOLDER + "findings.py", *_REST),
    cases=worst_cases.PROTOTXT,
)
CAFFEMODEL = Target(
    "caffemodel",
    _prepare_caffemodel,
    _make_caffemodel,
    _read_caffemodel,
    (_FOLDER + "caffemodel.py", "cnnrt/protobuf_wire.py", _FOLDER + "blobs.py"),
    cases=worst_cases.CAFFEMODEL,
)
MEAN = Target(
    "binaryproto",
    _prepare_mean,
    _make_mean,
    _read_mean,
    (_FOLDER + "blobs.py", "cnnrt/protobuf_wire.py"),
    cases=worst_cases.MEAN,
)
