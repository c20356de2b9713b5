"""Reads TensorFlow Lite's models: float ones, and quantised ones as the float networks that they stand for.

The way from a file to a model, module by module:

    importer.py        TFLiteImporter: which files are TFLite's, and the path from a file to an ImportedModel
    flatbuffer.py      tables and vectors of a flatbuffer, every offset checked
    schema.py          the tables of a TFLite model: tensors, operators, their options
    tensors.py         constants: where their values lie, dequantised when they are asked for
    operands.py        an operator with its options
    window_rules.py    convolutions and poolings
    value_rules.py     arithmetic, activations, products with matrices
    arranging_rules.py what graph_rules.py of cnnrt.channels_last needs options for, and more
    supported.py       the table of all operators, and advice for those that are missing
    walk.py            one operator after the other by the rules
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnrt import hookimpl

if TYPE_CHECKING:
    from cnnrt.importer import Importer

plugin_api = 1


@hookimpl
def cnnrt_importers() -> list[Importer]:
    """Return the importer of TFLite's models."""
    from cnnrt_import_tflite.importer import TFLiteImporter

    return [TFLiteImporter()]
