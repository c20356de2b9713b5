"""A model's message without its large weights, which stay in the file.

The protobuf library copies whatever it parses, so that a model's weights would be in memory as a whole. Here the
message is written anew without the values of large initializers; in their place stands what ONNX has for values in
another file (`data_location`, `external_data`), and the file is the model's own. Format: onnx.proto.
"""

from __future__ import annotations

from cnnrt.protobuf_wire import BYTES, VARINT, Allowance, WireField, fields, write_varint

LARGE = 1 << 16
"""Bytes from which on values are left where they are."""
_GRAPH, _NODE, _ATTRIBUTE, _TENSOR = "graph", "node", "attribute", "tensor"
_INSIDE = {
    "model": {7: _GRAPH},
    _GRAPH: {1: _NODE, 5: _TENSOR},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH},
}
"""Fields of each message that may hold weights, and what they are."""
_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 9, 13, 14
_DEEPEST = 32


def without_weights(data: memoryview, name: str) -> bytes:
    """Return the message of a model whose file is called `name`, with large values left where they are.

    Raises MalformedMessage where the bytes are no message.
    """
    return _rewritten(data, 0, len(data), "model", name.encode(), Allowance(), 0)


def _rewritten(
    data: memoryview, start: int, end: int, kind: str, name: bytes, allowance: Allowance, depth: int
) -> bytes:
    inside = _INSIDE[kind] if depth < _DEEPEST else {}
    parts: list[bytes] = []
    for field in fields(data, start, end, allowance):
        inner = inside.get(field.number) if field.wire_type == BYTES and field.end - field.start >= LARGE else None
        if inner is None:
            parts.append(bytes(data[field.tag_start : field.end]))
        elif inner is _TENSOR:
            parts.append(_delimited(field.number, _tensor(data, field, name, allowance)))
        else:
            content = _rewritten(data, field.start, field.end, inner, name, allowance, depth + 1)
            parts.append(_delimited(field.number, content))
    return b"".join(parts)


def _tensor(data: memoryview, tensor: WireField, name: bytes, allowance: Allowance) -> bytes:
    parts: list[bytes] = []
    values: list[WireField] = []
    for field in fields(data, tensor.start, tensor.end, allowance):
        if field.number == _RAW_DATA and field.wire_type == BYTES:
            values.append(field)
        elif field.number in (_EXTERNAL_DATA, _DATA_LOCATION):
            return bytes(data[tensor.start : tensor.end])  # its values are said to be elsewhere already
        else:
            parts.append(bytes(data[field.tag_start : field.end]))
    if len(values) != 1 or values[0].end - values[0].start < LARGE:
        return bytes(data[tensor.start : tensor.end])
    (raw,) = values
    stated = {b"location": name, b"offset": b"%d" % raw.start, b"length": b"%d" % (raw.end - raw.start)}
    for key, value in stated.items():
        parts.append(_delimited(_EXTERNAL_DATA, _delimited(1, key) + _delimited(2, value)))
    parts.append(write_varint(_DATA_LOCATION << 3 | VARINT) + write_varint(1))
    return b"".join(parts)


def _delimited(number: int, content: bytes) -> bytes:
    return write_varint(number << 3 | BYTES) + write_varint(len(content)) + content
