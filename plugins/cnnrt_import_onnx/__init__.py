"""Reads ONNX models: the graph becomes a NetFile, the initialisers its weights.

The way from a file to a model, module by module:

    importer.py      OnnxImporter: which files are ONNX's, and the path from a file to an ImportedModel
    model_file.py    the file as a checked message: format, IR version, operator set
    weights_in_place.py  large weights left in the file while the message is parsed
    tensors.py       constants: where their values lie, in the file or beside it, and how they become arrays
    model_text.py    text in it that need not be UTF-8
    nodes.py         one node: its name in messages, its attributes with their types
    values.py        what flows between nodes: values with what is known of their shapes, weights, layers in the making
    operands.py      inputs of a node as rules want them: values, constants, integers, axes
    *_rules.py       operators as layers, by family: convolution, pooling, normalisation, products, activations,
                     arithmetic, shapes, moves, reductions, resizing; windows.py and window_pads.py place windows
    supported.py     the table of all of them, and advice for those that are missing
    folding.py       nodes of constants, computed while the model is read: fold_arithmetic.py, fold_moves.py
    image_metadata.py  preprocessing that the metadata state
    inputs.py        inputs of the graph as input blocks
    walk.py          node after node, by the rules: those of live_nodes.py; constant_node.py: the node Constant
    places_of_maxima.py  the second output of MaxPool
    layer_list.py    the layers in order, with the shapes of what they give
    graph.py         the whole graph: for any number of images if it can be, else for the sizes that it states
    names.py         names of nodes and values as unique names of layers and tops
    convert.py       all of it together: a NetFile, its weights, notes, problems
    backend.py       cnnrt as a backend of ONNX (`cnnrt.onnx_backend`); bound_inputs.py: inputs that become constants
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
