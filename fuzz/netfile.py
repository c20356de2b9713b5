"""NetFiles, on their whole way: text, vocabulary, graph, shapes, memory plan, preprocessing, labels."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from pathlib import Path
from random import Random

import numpy as np

from cnnrt import Net
from cnnrt.labels import read_labels
from cnnrt.preprocessing import preprocessing
from fuzz import worst_cases
from fuzz.mutations import mutated
from fuzz.target import Guarded, Target
from fuzz.text_mutations import NUMBERS, WORDS, mutated_tokens
from netfile_spec import CnnrtError, write_parameters

FILES = ("conv.msg", "wide.msg", "deep.msg", "fc.msg", "labels.msg", "old.msg", "mean.msg")
_TYPES: tuple[str, ...] = (
    "Convolution",
    "Pooling",
    "LRN",
    "FullyConnected",
    "ReLU",
    "Softmax",
    "Accuracy",
    "Concat",
    "Eltwise",
    "Flatten",
)
_TYPES += ("Dropout", "convolution", "RELU", "QuickGelu", "Reorder", "layer", "__class__")
_SAFE = ("ReLU", "Dropout", "Pooling", "LRN", "Eltwise", "Softmax")
_KEYS: tuple[str, ...] = (
    "pad",
    "stride",
    "dilation",
    "group",
    "kernel_size",
    "pool",
    "global_pooling",
    "ceil_mode",
    "count_include_pad",
)
_KEYS += (
    "local_size",
    "alpha",
    "beta",
    "k",
    "norm_region",
    "axis",
    "end_axis",
    "operation",
    "coeff",
    "topk",
    "dropout_ratio",
)
_KEYS += ("negative_slope", "parameters_file", "bottom", "top", "name", "type", "__init__", "position", "shape", "mean")
_SIZES = ("1", "2", "3", "5", "[1, 2]", "[3, 3]")
_KEYS_OF: dict[str, dict[str, tuple[str, ...]]] = {
    "Convolution": {
        "pad": ("0", "1", "2", "[1, 2]", "[0, 1, 2, 3]"),
        "stride": _SIZES,
        "dilation": ("1", "2"),
        "group": ("1", "2"),
    },
    "Pooling": {
        "stride": _SIZES,
        "pad": ("0", "1"),
        "pool": ("max", "mean"),
        "ceil_mode": ("true", "false"),
        "count_include_pad": ("true", "false"),
        "global_pooling": ("false", "true"),
    },
    "LRN": {
        "local_size": ("1", "3", "5"),
        "alpha": ("1e-4", "1"),
        "beta": ("0.75",),
        "norm_region": ("within_channel", "across_channels"),
    },
    "Concat": {"axis": ("1", "0", "-1", "2")},
    "Eltwise": {"operation": ("sum", "max", "prod"), "coeff": ("[1, -1]", "[0.5, 2]")},
    "Flatten": {"axis": ("1", "0", "-2"), "end_axis": ("-1", "2")},
    "Softmax": {"axis": ("1", "-1")},
    "Dropout": {"dropout_ratio": ("0.5", "0")},
    "ReLU": {"negative_slope": ("0.1", "-1")},
}
_VALUES = (
    "[1, 2, 3, 4]",
    "[0, 0]",
    "[2147483647, 1]",
    "true",
    "max",
    "0.5",
    "1e30",
    "[]",
    "[data, data]",
    "data",
    "nothing",
)
_SHAPES = (
    "[3, 32, 32]",
    "[1, 28, 28]",
    "[3, 8, 8]",
    "[10]",
    "[3, 2147483647, 2147483647]",
    "[1, 1, 1]",
    "[65536, 65536, 1]",
    "3",
)


def prepare(folder: Path) -> None:
    """Write parameter files that fit, and some that do not; plan some networks."""
    numbers = np.random.default_rng(0)
    shapes = {"conv": (4, 3, 3, 3), "wide": (8, 4, 5, 5), "deep": (2, 1, 3, 3), "fc": (10, 64)}
    for name, shape in shapes.items():
        weight = numbers.standard_normal(shape).astype(np.float32)
        write_parameters(folder / f"{name}.msg", {"weight": weight, "bias": np.zeros(shape[0], np.float32)})
    write_parameters(folder / "old.msg", {"0": weight, "1": np.zeros(10, np.float32)}, layout="cnndroid")
    write_parameters(folder / "labels.msg", {"labels": np.zeros((1, 1, 1, 1), np.float32)})
    write_parameters(folder / "mean.msg", {"mean": np.zeros((3, 8, 8), np.float32)})
    (folder / "labels.txt").write_text("one\ntwo\n")
    for text in (_network(Random(i)) for i in range(40)):
        with suppress(CnnrtError):
            read(text.encode(), folder, nullcontext)


def _network(random: Random) -> str:
    """Return a network that is right in most of its parts."""
    lines = ["netfile_version: 1"] if random.random() < 0.8 else []
    for key, values in {
        "root_directory": ('"."', '"/sdcard/models"', '".."', '"/etc"', '"nowhere"', '"\\u0000"'),
        "allocated_ram": ("100", "0.001", *NUMBERS),
        "execution_mode": ('"parallel"', '"sequential"', '"nonsense"', '"../x"'),
        "auto_tuning": ('"on"', '"off"', "1"),
        "weight_storage": ('"float32"', '"float16"', '"float8"', "16"),
        "labels": ('"labels.txt"', '["a", "b"]', '"../x"', '"/etc/passwd"', '"conv.msg"'),
        "requires": ('"numpy"', '"cnnrt"', '"a; rm -rf"', '"../x"', '[numpy, "-e ."]'),
        "name": ('"net"', '"\\u001b[31m"'),
    }.items():
        if random.random() < 0.06:
            lines.append(f"{key}: {random.choice(values)}")
    names = ["data"]
    if random.random() < 0.7:
        extra = random.choice(
            (
                "",
                "",
                " channel_order: bgr",
                " mean: [1, 2, 3]",
                " mean_file: mean.msg",
                " scale: 1e300",
                " size: [9, 9]",
            )
        )
        lines.append(f"input {{ name: data shape: {random.choice(_SHAPES[:3] * 4 + _SHAPES)}{extra} }}")
    for i in range(random.choice((1, 2, 3, 5, 8, 20))):
        kind = random.choice(_SAFE if random.random() < 0.6 else _TYPES[:11] if random.random() < 0.97 else _TYPES)
        name = f"l{i}" if random.random() < 0.97 else random.choice(("data", "l0", "a"))
        keys = [f"type: {kind}", f'name: "{name}"']
        if kind in ("Convolution", "FullyConnected", "Accuracy") or random.random() < 0.02:
            fitting = {"FullyConnected": ("fc.msg", "old.msg"), "Accuracy": ("labels.msg",)}.get(kind, FILES[:3])
            keys.append(f"parameters_file: {random.choice(fitting if random.random() < 0.95 else FILES)}")
        if kind == "Pooling":
            keys.append(f"kernel_size: {random.choice((1, 2, 3))}")
        if kind == "Eltwise":
            keys.append(f"bottom: [{names[-1]}, {random.choice(names)}]")
        elif random.random() < 0.1:
            keys.append(f"bottom: {random.choice(names)}")
        if kind == "Accuracy":
            keys.append(f"topk: {random.choice((1, 5))}")
        for key, values in _KEYS_OF.get(kind, {}).items():
            if random.random() < 0.2:
                keys.append(f"{key}: {random.choice(values if random.random() < 0.9 else (*NUMBERS, *_VALUES))}")
        if random.random() < 0.01:
            keys.append(f"{random.choice(_KEYS)}: {random.choice(_VALUES + WORDS)}")
        if random.random() < 0.02:
            keys.append(f"top: {random.choice(('a', name, '[a, b]'))}")
        lines.append("layer { " + random.choice(("\n  ", " ")).join(keys) + " }")
        names.append(name)
    return "\n".join(lines)


def make(random: Random) -> bytes:
    """Return a network as it is, with tokens changed, or with bytes changed."""
    text = _network(random)
    way = random.random()
    if way < 0.4:
        return text.encode("utf-8", "replace")
    if way < 0.85:
        return mutated_tokens(random, text, [_network(random)], (*WORDS, *_KEYS, *_VALUES)).encode("utf-8", "replace")
    return mutated(random, text.encode("utf-8", "replace"), [_network(random).encode()])


def read(data: bytes, folder: Path, guarded: Guarded) -> None:
    """Plan the network for the shapes that it states, or for a few common ones."""
    path = folder / "net.netfile"
    path.write_bytes(data)
    with guarded(), Net(path) as net:
        read_labels(net.netfile, net.root)
        for block in net.netfile.inputs:
            preprocessing(block, net.root)
        stated = all(i.shape for i in net.graph.inputs)
        str(net.plan_for(None if stated else {i.name: (2, *(i.shape or (3, 32, 32))) for i in net.graph.inputs}))


TARGET = Target(
    "netfile",
    prepare,
    make,
    read,
    (
        "netfile_spec/lexer.py",
        "netfile_spec/syntax.py",
        "netfile_spec/reader.py",
        "netfile_spec/layer_reader.py",
        "netfile_spec/input_reader.py",
        "netfile_spec/stated_keys.py",
        "netfile_spec/values.py",
        "netfile_spec/layer_names.py",
        "cnnrt/loading.py",
        "cnnrt/graph_builder.py",
        "cnnrt/shapes.py",
        "cnnrt/root_directory.py",
        "cnnrt/buffers.py",
        "cnnrt/memory_plan.py",
        "netfile_spec/parameters/inside_root.py",
    ),
    cases=worst_cases.NETFILE,
)
