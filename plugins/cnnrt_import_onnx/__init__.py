"""Reads ONNX models: the graph becomes a NetFile, the initialisers its weights.

The way from a file to a model, module by module:

    importer.py      OnnxImporter: which files are ONNX's, and the path from a file to an ImportedModel
    model_file.py    the file as a checked message: format, IR version, operator set
    tensors.py       constants: where their values lie, in the file or beside it, and how they become arrays
    model_text.py    text in it that need not be UTF-8
    nodes.py         one node: its name in messages, its attributes with their types
    values.py        what flows between nodes: values with what is known of their shapes, weights of layers
    window_pads.py   pads and auto_pad of convolutions and poolings
    layer_rules.py   each supported operator as a layer
    join_rules.py    operators that join values, or add a constant
    shape_rules.py   operators that only arrange values: Flatten, Reshape, Identity
    supported.py     the table of all of them, and advice for those that are missing
    inputs.py        inputs of the graph as input blocks
    graph.py         the nodes that the outputs need, one after the other, by the rules
    names.py         names of nodes and values as unique names of layers and tops
    findings.py      problems and notes, collected
    convert.py       all of it together: a NetFile, its weights, notes, problems
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnrt import hookimpl

if TYPE_CHECKING:
    from cnnrt.importer import Importer

plugin_api = 1


@hookimpl
def cnnrt_importers() -> list[Importer]:
    """Return the importer of ONNX models; the onnx package is imported when a model is read."""
    from cnnrt_import_onnx.importer import OnnxImporter

    return [OnnxImporter()]
