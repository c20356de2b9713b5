"""The suite of the importer, for `cnnrt.testing`: graphs written node by node. Needs hypothesis."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cnnrt.protobuf_wire import Allowance, fields, write_varint
from cnnrt.testing.importer_suite import ImporterSuite
from cnnrt_import_tensorflow.importer import TensorFlowImporter

_DTYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "bool": 10, "float16": 19}


@attrs.frozen
class Type:
    """The value of an attribute that is a data type."""

    number: int


@attrs.frozen
class Shape:
    """The value of an attribute that is a shape; None: a size that is open."""

    sizes: Sequence[int | None]


@attrs.frozen
class Called:
    """The value of an attribute that is a function."""

    name: str


@attrs.frozen
class Texts:
    """The value of an attribute that is a tensor of texts."""

    texts: Sequence[str]


def field(number: int, content: bytes | int) -> bytes:
    """Return one field of a message: a number, or bytes with their length."""
    if isinstance(content, int):
        return write_varint(number << 3) + write_varint(content % (1 << 64))
    return write_varint(number << 3 | 2) + write_varint(len(content)) + content


def shape_message(sizes: Sequence[int | None]) -> bytes:
    """Return a TensorShapeProto."""
    return b"".join(field(2, field(1, -1 if n is None else n)) for n in sizes)


def tensor_message(values: NDArray[Any]) -> bytes:
    """Return a TensorProto."""
    dtype = _DTYPES[values.dtype.name]
    return field(1, dtype) + field(2, shape_message(values.shape)) + field(4, np.ascontiguousarray(values).tobytes())


def _attribute(value: object) -> bytes:
    match value:
        case bool():
            return field(5, int(value))
        case int():
            return field(3, value)
        case float():
            return b"\x25" + struct.pack("<f", value)
        case str():
            return field(2, value.encode())
        case Type():
            return field(6, value.number)
        case Shape():
            return field(7, shape_message(value.sizes))
        case np.ndarray():
            return field(8, tensor_message(value))
        case Texts():
            stored = b"".join(field(8, text.encode()) for text in value.texts)
            return field(8, field(1, 7) + field(2, shape_message([len(value.texts)])) + stored)
        case Called():
            return field(10, field(1, value.name.encode()))
        case list() | tuple():
            return field(1, field(3, b"".join(write_varint(int(n) % (1 << 64)) for n in value)))
    raise TypeError(f"no attribute holds a {type(value).__name__}")


def node(op: str, name: str, *inputs: str, **attributes: object) -> bytes:
    """Return one node of a GraphDef, as the graph's field."""
    message = field(1, name.encode()) + field(2, op.encode()) + b"".join(field(3, i.encode()) for i in inputs)
    entries = ((key, _attribute(value)) for key, value in attributes.items())
    message += b"".join(field(5, field(1, key.encode()) + field(2, value)) for key, value in entries)
    return field(1, message)


def image_input(name: str, *sizes: int | None) -> bytes:
    """Return a placeholder for a batch of items of a shape."""
    return node("Placeholder", name, dtype=Type(1), shape=Shape([None, *sizes]))


def constants(values: Mapping[str, NDArray[Any]]) -> bytes:
    """Return Const nodes."""
    return b"".join(node("Const", name, value=array) for name, array in values.items())


def function(name: str, arguments: Sequence[str], nodes: bytes, results: Mapping[str, str]) -> bytes:
    """Return a function of a graph's library; `nodes` are as those of a graph, `results` what gives each result."""
    ends = [(2, argument) for argument in arguments] + [(3, result) for result in results]
    signature = field(1, name.encode()) + b"".join(field(n, field(1, end.encode())) for n, end in ends)
    data = memoryview(nodes)
    body = b"".join(field(3, nodes[f.start : f.end]) for f in fields(data, 0, len(data), Allowance()))
    returns = (field(1, result.encode()) + field(2, value.encode()) for result, value in results.items())
    return field(1, field(1, signature) + body + b"".join(field(4, entry) for entry in returns))


def saved_model(graph: bytes, output: str, functions: bytes = b"") -> bytes:
    """Return a SavedModel whose signature for serving has one output."""
    outputs = field(2, field(1, b"output") + field(2, field(1, output.encode())))
    signature = field(5, field(1, b"serving_default") + field(2, outputs))
    return field(1, 1) + field(2, field(2, graph + (field(2, functions) if functions else b"")) + signature)


def write_variables(folder: Path, variables: Mapping[str, NDArray[Any]]) -> None:
    """Write variables as a tensor bundle: one file of values, and an index whose keys share what they begin with."""
    folder.mkdir(parents=True, exist_ok=True)
    values = b""
    entries = [(b"", field(1, 1))]
    for name in sorted(variables):
        array = np.ascontiguousarray(variables[name])
        entry = field(1, _DTYPES[array.dtype.name]) + field(2, shape_message(array.shape))
        entries.append((name.encode(), entry + field(4, len(values)) + field(5, array.nbytes)))
        values += array.tobytes()
    (folder / "variables.data-00000-of-00001").write_bytes(values)
    table = _block(entries)
    place = write_varint(0) + write_varint(len(table) - 5)
    index = _block([(entries[-1][0], place)])
    handles = write_varint(0) * 2 + write_varint(len(table)) + write_varint(len(index) - 5)
    footer = handles.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    (folder / "variables.index").write_bytes(table + index + footer)


def _block(entries: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return a block of a table, with its trailer (no compression, no checksum)."""
    block, before = b"", b""
    for key, value in entries:
        shared = next(
            (i for i, (a, b) in enumerate(zip(before, key, strict=False)) if a != b), min(len(before), len(key))
        )
        block += (
            write_varint(shared) + write_varint(len(key) - shared) + write_varint(len(value)) + key[shared:] + value
        )
        before = key
    return block + struct.pack("<II", 0, 1) + bytes(5)


class TensorFlowSuite(ImporterSuite):
    """A classifier as TensorFlow 1 wrote it, a residual network with unfused batch normalisation, and a SavedModel."""

    importer = TensorFlowImporter()

    def models(self, folder: Path) -> Sequence[Sequence[Path]]:
        """Write all three."""
        classifier, residual = folder / "classifier.pb", folder / "residual.pb"
        classifier.write_bytes(classifier_graph())
        residual.write_bytes(residual_graph())
        return [[classifier], [residual], [write_saved_model(folder / "saved")]]


def write_saved_model(folder: Path) -> Path:
    """Write a SavedModel of TensorFlow 2: functions that call one another, variables restored under other names."""
    random = np.random.default_rng(2)
    stored = {"layer-0/kernel": random.standard_normal((3, 3, 3, 2)), "layer-0/shift": random.standard_normal(2)}
    write_variables(folder / "variables", {name: array.astype(np.float32) for name, array in stored.items()})
    (folder / "saved_model.pb").write_bytes(saved_graph())
    return folder / "saved_model.pb"


def saved_graph() -> bytes:
    """Return the SavedModel that goes with the variables of `write_saved_model`."""
    inner = (
        node("ReadVariableOp", "read", "kernel")
        + node("Conv2D", "conv", "x", "read:value:0", strides=[1, 1, 1, 1], padding="SAME")
        + node("ReadVariableOp", "read_1", "shift")
        + node("BiasAdd", "bias", "conv:output:0", "read_1:value:0")
    )
    outer = node("PartitionedCall", "block", "a", "b", "c", f=Called("inner")) + node("Relu", "r", "block:output:0")
    functions = function("inner", ["x", "kernel", "shift"], inner, {"y": "bias:output:0"})
    functions += function("outer", ["a", "b", "c"], outer, {"z": "r:activations:0"})
    graph = (
        image_input("image", 5, 4, 3)
        + node("VarHandleOp", "v", shared_name="conv/kernel")
        + node("VarHandleOp", "w", shared_name="conv/shift")
        + node("StatefulPartitionedCall", "StatefulPartitionedCall", "image", "v", "w", f=Called("outer"))
        + node("Const", "names", value=Texts(["layer-0/shift", "layer-0/kernel"]))
        + node("RestoreV2", "restore", "prefix", "names")
        + node("Identity", "i", "restore:1")
        + node("AssignVariableOp", "assign", "v", "i")
        + node("AssignVariableOp", "assign_1", "w", "restore")
    )
    return saved_model(graph, "StatefulPartitionedCall:0", functions)


def classifier_graph() -> bytes:
    """Return a GraphDef: SAME convolution with a stride, pooling, a flattened image before a product with a matrix."""
    random = np.random.default_rng(0)
    return b"".join(
        (
            image_input("image", 9, 9, 3),
            constants(
                {
                    "kernels": random.standard_normal((3, 3, 3, 4)).astype(np.float32),
                    "bias": random.standard_normal(4).astype(np.float32),
                    "shape": np.array([-1, 36], np.int32),
                    "matrix": random.standard_normal((36, 5)).astype(np.float32),
                }
            ),
            node("Identity", "kernels/read", "kernels"),
            node("Conv2D", "conv", "image", "kernels/read", strides=[1, 2, 2, 1], padding="SAME", data_format="NHWC"),
            node("BiasAdd", "bias_add", "conv", "bias"),
            node("Relu", "relu", "bias_add"),
            node("MaxPool", "pool", "relu", ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME"),
            node("Reshape", "flat", "pool", "shape"),
            node("MatMul", "scores", "flat", "matrix"),
            node("Softmax", "probabilities", "scores"),
        )
    )


def residual_graph() -> bytes:
    """Return a GraphDef: depthwise convolution, batch normalisation as arithmetic, ReLU6 as limits, a sum, a mean."""
    random = np.random.default_rng(1)
    return b"".join(
        (
            image_input("image", 8, 8, 3),
            constants(
                {
                    "kernels": random.standard_normal((3, 3, 3, 1)).astype(np.float32),
                    "variance": random.random(3, np.float32),
                    "epsilon": np.array(0.001, np.float32),
                    "gamma": random.random(3, np.float32),
                    "mean": random.standard_normal(3).astype(np.float32),
                    "beta": random.standard_normal(3).astype(np.float32),
                    "six": np.array(6, np.float32),
                    "axes": np.array([1, 2], np.int32),
                }
            ),
            node("DepthwiseConv2dNative", "depthwise", "image", "kernels", strides=[1, 1, 1, 1], padding="SAME"),
            node("Add", "shifted", "variance", "epsilon"),
            node("Rsqrt", "reciprocal", "shifted"),
            node("Mul", "factor", "reciprocal", "gamma"),
            node("Mul", "scaled", "depthwise", "factor"),
            node("Mul", "moved", "mean", "factor"),
            node("Sub", "offset", "beta", "moved"),
            node("Add", "normal", "scaled", "offset"),
            node("Relu", "relu", "normal"),
            node("Minimum", "relu6", "relu", "six"),
            node("AddV2", "sum", "relu6", "image"),
            node("Mean", "features", "sum", "axes", keep_dims=False),
        )
    )
