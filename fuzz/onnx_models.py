"""ONNX models: graphs of the operators that are read, sound in most of their parts, with weights inside and beside."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from cnnrt_import_onnx.importer import OnnxImporter
from cnnrt_import_onnx.supported import CONSTANT_ONLY, SUPPORTED
from fuzz.message_mutations import mutated_message
from fuzz.mutations import mutated
from fuzz.target import Guarded, Target
from netfile_spec import CnnrtError

_CONSTANTS: dict[str, Any] = {
    "w": np.full((4, 3, 3, 3), 0.5, np.float32),
    "row": np.full((4, 3, 3), 0.5, np.float32),
    "m": np.full((8, 5), 0.25, np.float32),
    "c3": np.ones(3, np.float32),
    "c4": np.ones(4, np.float16),
    "one": np.array(1.0, np.float32),
    "yes": np.array(True),
    "factors": np.array([1, 1, 2, 2], np.float32),
    "flat": np.array([0, -1], np.int64),
    "split": np.array([1, 2], np.int64),
    "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64),
    "zero": np.array(0, np.int64),
    "axes": np.array([1], np.int64),
    "places": np.array([2, 1, 0], np.int32),
    "sizes": np.array([2, 3, 4, 4], np.int64),
    "two": np.array([2], np.int64),
    "cut": np.array([0, 3, 4, 16], np.int64),
    "twice": np.array([1, 1, 1, 2], np.int64),
    "square": np.full((8, 8), 0.125, np.float32),
    "wt": np.full((3, 2, 3, 3), 0.5, np.float32),
    "huge": np.array([1 << 40, 1 << 20], np.int64),
}
_ATTRIBUTES: dict[str, tuple[Any, ...]] = {
    "axis": (0, 1, -1, 2, 5, 1 << 62),
    "axes": ([1], [2, 3], [0], [-1, -1]),
    "kernel_shape": ([3, 3], [2, 2], [3], [1 << 31, 2]),
    "strides": ([1, 1], [2, 2], [2], [0, 0]),
    "pads": ([1, 1, 1, 1], [0, 0], [-1, 0, 0, 0]),
    "dilations": ([1, 1], [2, 2]),
    "group": (1, 3, 0),
    "perm": ([0, 2, 3, 1], [3, 2, 1, 0], [0, 0]),
    "to": (1, 7, 9, 10, 99),
    "alpha": (0.5, 0.0, float("inf"), float("nan")),
    "beta": (0.5,),
    "auto_pad": ("SAME_UPPER", "SAME_LOWER", "VALID", "X"),
    "mode": ("constant", "nearest", "linear", "cubic", "CRD"),
    "keepdims": (0, 1),
    "size": (5, 4, 1 << 40),
    "starts": ([0, 1], [1 << 63 - 1]),
    "ends": ([2, 2],),
    "split": ([1, 2],),
    "blocksize": (2, 0),
    "num_groups": (3, 0),
    "p": (1, 2, 3),
    "num_outputs": (2,),
    "transB": (0, 1),
    "value_int": (3,),
    "value_ints": ([2, -1], [1 << 40] * 3),
    "value_float": (0.5,),
    "coordinate_transformation_mode": ("align_corners", "asymmetric"),
}
_SOUND: tuple[tuple[str, tuple[str, ...], dict[str, Any]], ...] = (
    *[(op, (), {}) for op in ("Relu", "Tanh", "Sqrt", "Mish", "Softsign", "Elu", "Celu", "Shrink", "Gelu", "Identity")],
    *[(op, ("one",), {}) for op in ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "PRelu", "Clip")],
    *[(op, ("x",), {}) for op in ("Add", "Mul", "Sum", "Mean", "Max")],
    *[(op, (), {"axis": 1}) for op in ("Softmax", "LogSoftmax", "LpNormalization", "Hardmax")],
    ("Conv", ("w",), {"pads": [1, 1, 1, 1]}),
    ("Conv", ("w", "c4"), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("ConvTranspose", ("wt",), {"strides": [2, 2], "output_padding": [1, 1]}),
    ("MaxPool", (), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    ("AveragePool", (), {"kernel_shape": [2, 2], "ceil_mode": 1}),
    ("LpPool", (), {"kernel_shape": [2, 2]}),
    ("BatchNormalization", ("c3", "c3", "c3", "c3"), {}),
    ("InstanceNormalization", ("c3", "c3"), {}),
    ("LRN", (), {"size": 3}),
    ("Pad", ("pads",), {}),
    ("Resize", ("", "factors"), {"mode": "linear"}),
    ("Slice", ("axes", "two", "axes"), {}),
    ("Gather", ("places",), {"axis": 1}),
    ("Transpose", (), {"perm": [0, 1, 3, 2]}),
    ("Reshape", ("cut",), {}),
    ("Unsqueeze", ("axes",), {}),
    ("ReduceMean", (), {"axes": [2, 3]}),
    ("ReduceL2", (), {"axes": [3]}),
    ("CumSum", ("axes",), {}),
    ("Tile", ("twice",), {}),
    ("Dropout", (), {}),
    ("MatMul", ("square",), {}),
)
"""Operators with what they need, on images of 3×8×8."""

_OPERATORS = (*SUPPORTED, *CONSTANT_ONLY)
_SHAPES: tuple[Any, ...] = (["N", 3, 8, 8], [2, 3, 8, 8], [1, 3, "H", "W"], [2, 3, 8], [2, 8], [5], [], None)


def _tensor(random: Random, name: str, values: Any) -> Any:
    """Return a constant with its values inside, or in the file beside the model."""
    if random.random() < 0.9:
        return numpy_helper.from_array(values, name)
    kind = helper.np_dtype_to_tensor_dtype(values.dtype)
    tensor = TensorProto(name=name, data_type=kind, dims=values.shape, data_location=TensorProto.EXTERNAL)
    location = random.choice(("weights.bin", "weights.bin", "../weights.bin", "/etc/passwd", "", "missing"))
    for key, value in (("location", location), ("offset", random.choice(("0", "4", "-1", "9" * 30))), ("length", "")):
        if value and random.random() < 0.8:
            tensor.external_data.add(key=key, value=value)
    return tensor


def _node(random: Random, number: int, values: list[str], graph: Callable[[], Any]) -> Any:
    if random.random() < 0.85:
        sound, others, stated = random.choice(_SOUND)
        value = values[-1] if random.random() < 0.9 else random.choice(values)
        return helper.make_node(sound, [value, *others], [f"v{number}"], **stated)
    operator = random.choice(_OPERATORS)
    count = random.choice((1, 1, 2, 2, 3, 5))
    inputs = [random.choice(values[-6:])]
    inputs += [random.choice((*_CONSTANTS, *_CONSTANTS, *values, "")) for _ in range(count - 1)]
    if random.random() < 0.25:  # constants alone are computed when a model is read
        inputs = [random.choice(tuple(_CONSTANTS)) for _ in range(count)]
    if operator == "Constant":
        inputs = []
    names = random.sample(tuple(_ATTRIBUTES), random.choice((0, 0, 1, 1, 2, 4)))
    attributes = {name: random.choice(_ATTRIBUTES[name]) for name in names}
    node = helper.make_node(operator, inputs, [f"v{number}", f"u{number}"][: random.choice((1, 1, 1, 2))], **attributes)
    if operator == "If":
        node.attribute.extend(
            [helper.make_attribute("then_branch", graph()), helper.make_attribute("else_branch", graph())]
        )
    return node


def _graph(random: Random, depth: int = 0) -> Any:
    values = ["x"]
    nodes = []
    for number in range(random.choice((1, 2, 3, 5, 12))):
        nodes.append(_node(random, number + 100 * depth, values, lambda: _graph(random, depth + 1)))
        values += [name for name in nodes[-1].output if random.random() < 0.9]
        if depth > 2 and nodes[-1].op_type == "If":
            nodes.pop()
    shape = random.choice(_SHAPES) if random.random() < 0.5 else _SHAPES[0]
    given = [] if depth else [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    results = [helper.make_tensor_value_info(values[-1], TensorProto.FLOAT, None)]
    tensors = [] if depth else [_tensor(random, name, array) for name, array in _CONSTANTS.items()]
    return helper.make_graph(nodes, "fuzz", given, results, tensors)


@functools.lru_cache(maxsize=256)
def _model(number: int) -> bytes:
    random = Random(number)
    opset = random.choice((6, 9, 11, 13, 17, 18, 22))
    model = helper.make_model(_graph(random), opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def _make(random: Random) -> bytes:
    data = _model(random.randrange(100_000))
    way = random.random()
    if way < 0.5:
        return data
    if way < 0.85:
        for _ in range(random.choice((1, 1, 2, 4))):
            data = mutated_message(random, data)
        return data
    return mutated(random, data, [_model(random.randrange(100_000))])


def _chain(*nodes: Any, repeat: int = 1, **weights: Any) -> bytes:
    """Return a model of these nodes in a row, each reading what the one before gives, the whole several times."""
    row = []
    value = "x"
    for number in range(repeat):
        for place, (operator, others, attributes) in enumerate(nodes):
            output = f"v{number}_{place}"
            row.append(helper.make_node(operator, [value, *others], [output], **attributes))
            value = output
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])
    result = helper.make_tensor_value_info(value, TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(row, "worst", [given], [result], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def _shape(*nodes: Any, repeat: int, start: Any) -> bytes:
    """Return a model that computes a constant for a Reshape by such a row of nodes."""
    row, value = [], "start"
    for number in range(repeat):
        for place, (operator, others, attributes) in enumerate(nodes):
            output = f"s{number}_{place}"
            row.append(helper.make_node(operator, [o or value for o in (value, *others)], [output], **attributes))
            value = output
    row.append(helper.make_node("Reshape", ["x", value], ["y"]))
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(row, "worst", [given], [result], [numpy_helper.from_array(start, "start")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


_SIZES = np.array([1 << 13, 1 << 13], np.int64)
CASES: tuple[Callable[[], bytes], ...] = (
    lambda: _chain(("Relu", (), {}), repeat=8000),
    lambda: _chain(("Add", ("c",), {}), repeat=4000, c=np.ones((3, 8, 8), np.float32)),
    lambda: _chain(("Mish", (), {}), repeat=5000),
    lambda: _chain(("Concat", ("x",), {"axis": 1}), repeat=2000),
    lambda: _chain(("Expand", ("s",), {}), repeat=1, s=np.array([1, 3, 1 << 20, 1 << 20], np.int64)),
    lambda: _chain(("Tile", ("s",), {}), repeat=60, s=np.array([1, 2, 1, 1], np.int64)),
    lambda: _shape(("Concat", ("",), {"axis": 0}), repeat=60, start=np.ones(4, np.int64)),
    lambda: _shape(("ConstantOfShape", (), {}), ("Shape", (), {}), repeat=1000, start=_SIZES),
    lambda: _shape(("ConstantOfShape", (), {}), ("Abs", (), {}), repeat=1, start=_SIZES),
    lambda: _shape(("Tile", ("",), {}), repeat=20, start=np.full(1, 1000, np.int64)),
    lambda: _shape(("Mul", ("",), {}), repeat=8000, start=np.full(1000, 3, np.int64)),
    lambda: _shape(("Range", ("", ""), {}), repeat=1, start=np.array(1 << 62, np.int64)),
)
"""What takes long, or grows: rows of thousands of nodes, shapes and constants that double at each step."""


def _prepare(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(bytes(4096))
    for i in range(60):
        with suppress(CnnrtError):
            _import(folder, _model(i))


def _import(folder: Path, data: bytes) -> None:
    path = folder / "net.onnx"
    path.write_bytes(data)
    _look_at(OnnxImporter().read([path]))


def _look_at(model: Any) -> None:
    for tensors in model.parameters.values():
        for name in tensors:
            assert tensors[name].dtype == np.float32


def _read(data: bytes, folder: Path, guarded: Guarded) -> None:
    path = folder / "net.onnx"
    path.write_bytes(data)
    with guarded():
        _look_at(OnnxImporter().read([path]))


_FOLDER = "plugins/cnnrt_import_onnx/"
TARGET = Target(
    "onnx",
    _prepare,
    _make,
    _read,
    tuple(
        _FOLDER + f"{module}.py"
        for module in (
            "activation_rules",
            "arithmetic_rules",
            "constant_node",
            "convert",
            "convolution_rules",
            "fold_arithmetic",
            "fold_moves",
            "folding",
            "graph",
            "inputs",
            "layer_list",
            "model_file",
            "move_rules",
            "nodes",
            "normalisation_rules",
            "operands",
            "pooling_rules",
            "product_rules",
            "reduction_rules",
            "resize_rules",
            "shape_rules",
            "tensors",
            "walk",
        )
    ),
    cases=CASES,
)
