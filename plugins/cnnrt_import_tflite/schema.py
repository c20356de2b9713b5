"""The tables of a TFLite model, as far as this importer reads them.

Facts of tensorflow/lite/schema/schema.fbs, version 3: numbers of fields, of data types and of operators.
"""

from __future__ import annotations

import attrs

from cnnrt_import_tflite.flatbuffer import MalformedBuffer, Table, Vector

IDENTIFIER = b"TFL3"
MOST_OPERATORS = 100_000
_MOST_TENSORS = 200_000

FLOAT32, FLOAT16, INT32, UINT8, INT64, INT16, INT8, FLOAT64, BOOL = 0, 1, 2, 3, 4, 7, 9, 10, 6

OPERATORS = {
    0: "ADD",
    1: "AVERAGE_POOL_2D",
    2: "CONCATENATION",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    5: "DEPTH_TO_SPACE",
    6: "DEQUANTIZE",
    8: "FLOOR",
    9: "FULLY_CONNECTED",
    11: "L2_NORMALIZATION",
    12: "L2_POOL_2D",
    13: "LOCAL_RESPONSE_NORMALIZATION",
    14: "LOGISTIC",
    16: "LSTM",
    17: "MAX_POOL_2D",
    18: "MUL",
    19: "RELU",
    20: "RELU_N1_TO_1",
    21: "RELU6",
    22: "RESHAPE",
    23: "RESIZE_BILINEAR",
    24: "RNN",
    25: "SOFTMAX",
    26: "SPACE_TO_DEPTH",
    28: "TANH",
    32: "CUSTOM",
    34: "PAD",
    36: "GATHER",
    37: "BATCH_TO_SPACE_ND",
    38: "SPACE_TO_BATCH_ND",
    39: "TRANSPOSE",
    40: "MEAN",
    41: "SUB",
    42: "DIV",
    43: "SQUEEZE",
    44: "UNIDIRECTIONAL_SEQUENCE_LSTM",
    45: "STRIDED_SLICE",
    47: "EXP",
    48: "TOPK_V2",
    49: "SPLIT",
    50: "LOG_SOFTMAX",
    53: "CAST",
    54: "PRELU",
    55: "MAXIMUM",
    56: "ARG_MAX",
    57: "MINIMUM",
    59: "NEG",
    60: "PADV2",
    64: "SELECT",
    65: "SLICE",
    67: "TRANSPOSE_CONV",
    69: "TILE",
    70: "EXPAND_DIMS",
    73: "LOG",
    74: "SUM",
    75: "SQRT",
    76: "RSQRT",
    77: "SHAPE",
    78: "POW",
    81: "REDUCE_PROD",
    82: "REDUCE_MAX",
    83: "PACK",
    88: "UNPACK",
    89: "REDUCE_MIN",
    92: "SQUARE",
    94: "FILL",
    97: "RESIZE_NEAREST_NEIGHBOR",
    98: "LEAKY_RELU",
    99: "SQUARED_DIFFERENCE",
    100: "MIRROR_PAD",
    101: "ABS",
    102: "SPLIT_V",
    106: "ADD_N",
    111: "ELU",
    114: "QUANTIZE",
    117: "HARD_SWISH",
    118: "IF",
    119: "WHILE",
    126: "BATCH_MATMUL",
    130: "BROADCAST_TO",
    150: "GELU",
}


@attrs.frozen(eq=False)
class Quantisation:
    """How stored integers stand for numbers: (stored - zero) * scale, for each place along `axis` or for all."""

    scale: tuple[float, ...]
    zero: tuple[int, ...]
    axis: int


@attrs.frozen(eq=False)
class TensorInfo:
    """A tensor: its name, data type, shape (None: of no known rank), and where its values lie if it is a constant."""

    name: str
    kind: int
    shape: tuple[int, ...]
    values: Vector | None
    quantisation: Quantisation | None


@attrs.frozen(eq=False)
class OperatorInfo:
    """An operator: its name, numbers of its tensors (-1: left out), its options."""

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None


@attrs.frozen(eq=False)
class Model:
    """The first subgraph of a model."""

    data: memoryview = attrs.field(repr=False)
    tensors: tuple[TensorInfo, ...]
    operators: tuple[OperatorInfo, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_model(top: Table) -> Model:
    """Return the model of a flatbuffer's root; raises MalformedBuffer."""
    graph = next(top.tables(2), None)
    if graph is None:
        raise MalformedBuffer(top.position, "a model without a graph")
    names = [_operator_name(code) for code in top.tables(1)]
    buffers = [_buffer(table) for table in top.tables(4)]
    tensors = []
    for table in graph.tables(0):
        tensors.append(_tensor(table, buffers))
        if len(tensors) > _MOST_TENSORS:
            raise MalformedBuffer(table.position, f"more than {_MOST_TENSORS:,} tensors")
    operators = []
    for table in graph.tables(3):
        operators.append(_operator(table, names, len(tensors)))
        if len(operators) > MOST_OPERATORS:
            raise MalformedBuffer(table.position, f"more than {MOST_OPERATORS:,} operators")
    inputs, outputs = graph.integers(1), graph.integers(2)
    for number in (*inputs, *outputs):
        _check_number(number, len(tensors), graph)
    return Model(top.data, tuple(tensors), tuple(operators), inputs, outputs)


def _operator_name(code: Table) -> str:
    # Numbers beyond 127 are in a field of their own, which files before 2020 lack.
    number = max(code.integer(0, "b"), code.integer(3))
    name = OPERATORS.get(number, f"operator number {number}")
    return f"custom operator {code.text(1)}" if name == "CUSTOM" else name


def _buffer(table: Table) -> Vector | None:
    vector = table.vector(0, 1)
    if vector is not None and vector.count:
        return vector
    # Beyond 2 GiB values lie behind the flatbuffer, at an offset from the beginning of the file.
    start, count = table.integer(1, "Q"), table.integer(2, "Q")
    if start > 1 and count:
        if start + count > len(table.data):
            raise MalformedBuffer(table.position, f"{count:,} bytes of values from byte {start:,}")
        return Vector(start, count)
    return None


def _tensor(table: Table, buffers: list[Vector | None]) -> TensorInfo:
    number = table.integer(2, "I")
    if number >= len(buffers) > 0:
        raise MalformedBuffer(table.position, f"values in buffer {number} of {len(buffers)}")
    shape = table.integers(0, most=32)
    if any(n < 0 for n in shape):
        raise MalformedBuffer(table.position, f"a shape of {list(shape)}")
    stated = table.table(4)
    quantisation = None
    if stated is not None:
        scale = stated.numbers(2, "f", most=1 << 20)
        zero = stated.integers(3, "q", most=1 << 20)
        if scale:
            quantisation = Quantisation(scale, zero or (0,), stated.integer(6))
    values = buffers[number] if number and buffers else None
    return TensorInfo(table.text(3), table.integer(1, "b"), shape, values, quantisation)


def _operator(table: Table, names: list[str], tensors: int) -> OperatorInfo:
    code = table.integer(0, "I")
    if code >= len(names):
        raise MalformedBuffer(table.position, f"operator code {code} of {len(names)}")
    inputs, outputs = table.integers(1, most=1 << 12), table.integers(2, most=1 << 12)
    for number in (*inputs, *outputs):
        _check_number(number, tensors, table)
    return OperatorInfo(names[code], inputs, outputs, table.table(4))


def _check_number(number: int, tensors: int, table: Table) -> None:
    if not -1 <= number < tensors:
        raise MalformedBuffer(table.position, f"tensor {number} of {tensors}")
