"""A file as the nodes of a graph: a frozen GraphDef, or the graph of a SavedModel with its signature.

Formats: GraphDef, SavedModel, MetaGraphDef and SignatureDef of TensorFlow (tensorflow/core/protobuf).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from cnnrt.errors import ImportFailure, Problem
from cnnrt.protobuf_wire import BYTES, VARINT, MalformedMessage, WireField
from cnnrt_import_tensorflow.messages import MOST_NODES, NodeDef, Source, read_entry, read_node

_OTHER_FORMATS = {
    b"\x89HDF": ("an HDF5 file", "it is one of Keras: rename it to .h5"),
    b"version https://git-lfs": ("a Git LFS pointer, not the model itself", "fetch it with `git lfs pull`"),
    b"PK\x03\x04": ("a zip archive", "unpack it"),
    b"\x1f\x8b": ("a gzip file", "unpack it"),
    b"<": ("a web page or XML file", "download the model again"),
    b"node {": ("a graph written as text", "save it in binary (as_text=False)"),
    b"node{": ("a graph written as text", "save it in binary (as_text=False)"),
}
_NODE, _LIBRARY, _META_GRAPH, _GRAPH, _SIGNATURE = 1, 2, 2, 2, 5


@attrs.frozen(eq=False)
class Function:
    """A function of a graph's library: the names of its arguments, its nodes, and what gives each result."""

    arguments: tuple[str, ...]
    nodes: tuple[NodeDef, ...]
    results: tuple[str, ...]


@attrs.frozen(eq=False)
class StoredGraph:
    """The nodes of a file.

    `outputs` by name ("node:number"), where the file states them; `saved`: it is a SavedModel.
    """

    nodes: Sequence[NodeDef]
    functions: dict[str, Function] = attrs.field(factory=dict)
    outputs: dict[str, str] = attrs.field(factory=dict)
    saved: bool = False


def read_graph(path: Path) -> StoredGraph:
    """Return the graph at `path`; raises ImportFailure where the file is something else or damaged."""
    data = _opened(path)
    source = Source(data)
    try:
        tops = source.fields(0, len(data))
        first = next(tops, None)
        # A SavedModel begins with its version, a number; a GraphDef with a node.
        saved = first is not None and (first.number, first.wire_type) == (1, VARINT)
        graph = _saved_model(source, tops) if saved else _graph(source, source.fields(0, len(data)))
    except MalformedMessage as error:
        hint = "it is damaged, incomplete, or another kind of file"
        raise failure(path, f"not a readable graph: {error}", hint) from None
    if not graph.nodes:
        raise failure(path, "not a graph of TensorFlow: it holds no nodes", "give the .pb file that was saved")
    return graph


def _graph(source: Source, parts: Iterable[WireField]) -> StoredGraph:
    nodes: list[NodeDef] = []
    functions: dict[str, Function] = {}
    for part in parts:
        if part.number == _NODE and part.wire_type == BYTES:
            nodes.append(_checked_node(source, part, len(nodes)))
        elif part.number == _LIBRARY and part.wire_type == BYTES:
            functions |= _library(source, part)
    return StoredGraph(nodes, functions)


def _checked_node(source: Source, part: WireField, number: int) -> NodeDef:
    if number >= MOST_NODES:
        raise MalformedMessage(part.tag_start, f"more than {MOST_NODES:,} nodes")
    return read_node(source, part)


def _library(source: Source, field: WireField) -> dict[str, Function]:
    """Return the FunctionDefs of a FunctionDefLibrary by name."""
    functions = {}
    for part in source.fields(field.start, field.end):
        if part.number != 1 or part.wire_type != BYTES:
            continue
        name = ""
        arguments: list[str] = []
        results: list[str] = []
        nodes: list[NodeDef] = []
        given: dict[str, str] = {}
        for inner in source.fields(part.start, part.end):
            if inner.number == 1 and inner.wire_type == BYTES:
                for said in source.fields(inner.start, inner.end):
                    if said.number == 1:
                        name = source.text(said)
                    elif said.number in (2, 3) and said.wire_type == BYTES:
                        (arguments if said.number == 2 else results).append(_name_of(source, said))
            elif inner.number == 3 and inner.wire_type == BYTES:
                nodes.append(_checked_node(source, inner, len(nodes)))
            elif inner.number == 4 and inner.wire_type == BYTES:
                key, value = _text_entry(source, inner)
                given[key] = value
        functions[name] = Function(tuple(arguments), tuple(nodes), tuple(given.get(r, "") for r in results))
    return functions


def _name_of(source: Source, field: WireField) -> str:
    return next((source.text(p) for p in source.fields(field.start, field.end) if p.number == 1), "")


def _text_entry(source: Source, field: WireField) -> tuple[str, str]:
    texts = {p.number: source.text(p) for p in source.fields(field.start, field.end) if p.number in (1, 2)}
    return texts.get(1, ""), texts.get(2, "")


def _saved_model(source: Source, tops: Iterable[WireField]) -> StoredGraph:
    """Return the graph of the first MetaGraphDef for serving, with the outputs of its signature."""
    meta = next((p for p in tops if p.number == _META_GRAPH and p.wire_type == BYTES), None)
    if meta is None:
        raise MalformedMessage(0, "a SavedModel without a graph")
    parts = source.fields(meta.start, meta.end)
    graph = StoredGraph(())
    outputs: dict[str, dict[str, str]] = {}
    for part in parts:
        if part.number == _GRAPH and part.wire_type == BYTES:
            graph = _graph(source, source.fields(part.start, part.end))
        elif part.number == _SIGNATURE and part.wire_type == BYTES:
            key, value = read_entry(source, part)
            if value is not None:
                outputs[key] = _signature_outputs(source, value)
    chosen = outputs.get("serving_default") or next((o for name, o in outputs.items() if not name.startswith("__")), {})
    return attrs.evolve(graph, outputs=chosen, saved=True)


def _signature_outputs(source: Source, field: WireField) -> dict[str, str]:
    """Return the tensors of a SignatureDef's outputs by name."""
    outputs = {}
    for part in source.fields(field.start, field.end):
        if part.number == 2 and part.wire_type == BYTES:
            key, value = read_entry(source, part)
            if value is not None:
                outputs[key] = _name_of(source, value)
    return outputs


def _opened(path: Path) -> memoryview:
    try:
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except ValueError:
        raise failure(path, "the file is empty", "download or save it again") from None
    except OSError as error:
        raise failure(path, f"cannot be read: {error.strerror or error}", "") from None
    start = bytes(data[:64])
    for magic, (what, hint) in _OTHER_FORMATS.items():
        if start.startswith(magic):
            raise failure(path, f"this is {what}", hint)
    return data


def failure(path: Path, message: str, hint: str) -> ImportFailure:
    """Return the error that one thing is wrong with a file."""
    return ImportFailure([Problem(message, hint=hint)], file=str(path))
