"""The suite of the importer, for `cnnrt.testing`: graphs written node by node. Needs hypothesis."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cnnrt.protobuf_wire import write_varint
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


class TensorFlowSuite(ImporterSuite):
    """A classifier as TensorFlow 1 wrote it, and a residual network with unfused batch normalisation."""

    importer = TensorFlowImporter()

    def models(self, folder: Path) -> Sequence[Sequence[Path]]:
        """Write both."""
        classifier, residual = folder / "classifier.pb", folder / "residual.pb"
        classifier.write_bytes(classifier_graph())
        residual.write_bytes(residual_graph())
        return [[classifier], [residual]]


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
