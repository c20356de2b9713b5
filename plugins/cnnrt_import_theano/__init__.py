"""Reads the weights of Theano and Lasagne: lists of arrays as .npz, .npy and pickles; pickled layers of Lasagne.

The way from a file to a model, module by module:

    importer.py        TheanoImporter: which files are Theano's, and the path from a file to tensors or to a model
    stored_arrays.py   .npz, .npy and pickles, of Python 2 and 3, to a value of plain containers and arrays
    theano_globals.py  what a pickle may name: NumPy, shared variables of Theano, layers of Lasagne; all as records
    tensors.py         the walk over such a value: all its arrays, each with a name
    conventions.py     how Theano and Lasagne store each layer's weights
    lasagne_layers.py  pickled layers of Lasagne: each type as a layer of a NetFile
    lasagne_network.py the network that they make up, with its weights
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnrt import hookimpl

if TYPE_CHECKING:
    from cnnrt.importer import Importer

plugin_api = 1


@hookimpl
def cnnrt_importers() -> list[Importer]:
    """Return the importer of Theano's weights."""
    from cnnrt_import_theano.importer import TheanoImporter

    return [TheanoImporter()]
