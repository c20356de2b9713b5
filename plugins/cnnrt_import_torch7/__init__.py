"""Reads models of Torch7 (.t7, .net, .nn): trees of modules become a NetFile, tensors its weights. No Lua is involved.

The way from a file to a model, module by module:

    importer.py       Torch7Importer: which files are Torch7's, and the path from a file to an ImportedModel
    objects.py        what a file consists of: tables, objects of classes, tensors, storages
    streams.py        the two encodings, binary and ASCII: numbers and text one after the other
    object_reader.py  from an encoding to objects, within bounds and without recursion
    modules.py        a module: its place in the tree, its fields, its weights
    convolutions.py   convolutions and linear layers
    poolings.py       pooling and normalisation
    activations.py    functions value by value, softmax, dropout
    neighbourhoods.py subtractive, divisive and contrastive normalisation
    shapes.py         View, Reshape, padding and the like
    dimensions.py     parts, sums and padding along one dimension
    containers.py     modules of modules: Sequential, Concat, tables
    graphs.py         nn.gModule: graphs of nngraph
    supported.py      the table of all modules, and advice for those that are missing
    convert.py        all of it together
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnrt import hookimpl

if TYPE_CHECKING:
    from cnnrt.importer import Importer

plugin_api = 1


@hookimpl
def cnnrt_importers() -> list[Importer]:
    """Return the importer of Torch7's models."""
    from cnnrt_import_torch7.importer import Torch7Importer

    return [Torch7Importer()]
