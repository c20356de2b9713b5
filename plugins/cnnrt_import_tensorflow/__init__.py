"""Reads TensorFlow's models: frozen GraphDefs and SavedModels, without TensorFlow.

The way from a file to a model, module by module:

    importer.py          TensorFlowImporter: which files are TensorFlow's, and the path from a file to an ImportedModel
    messages.py          nodes and their attributes in protobuf's wire format
    tensors.py           constants: where their values lie, and how they become arrays
    graph_file.py        a file as nodes: a GraphDef, or the graph in a SavedModel
    calls.py             functions in place of the nodes that call them
    tensor_bundle.py     the variables beside a SavedModel
    variables.py         which of them belongs to which node
    nodes.py             one node: its name in messages, its attributes with their types
    sliding.py           strides, dilations and padding of a node
    window_rules.py      convolutions and poolings
    value_rules.py       arithmetic, activations, normalisation, products with matrices
    arranging_rules.py   what graph_rules.py of cnnrt.channels_last needs options for, and more
    supported.py         the table of all operators, and advice for those that are missing
    walk.py              the nodes that the outputs need, one after the other, by the rules
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnrt import hookimpl

if TYPE_CHECKING:
    from cnnrt.importer import Importer

plugin_api = 1


@hookimpl
def cnnrt_importers() -> list[Importer]:
    """Return the importer of TensorFlow's models."""
    from cnnrt_import_tensorflow.importer import TensorFlowImporter

    return [TensorFlowImporter()]
