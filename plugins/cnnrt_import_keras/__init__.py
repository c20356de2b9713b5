"""Reads Keras's models: .h5 and .hdf5 of Keras 1 to 3, .keras.

The way from a file to a model, module by module:

    importer.py        KerasImporter: which files are Keras's, and the path from a file to an ImportedModel
    hdf5_child.py      the program that reads HDF5, in a process of its own with limits
    hdf5.py            starts it, and takes its answer for as hostile as the file
    keras_file.py      a file as a configuration and stored arrays, whichever of the formats it has
    stored_weights.py  which arrays belong to which layer
    model_config.py    the configuration as layers and the nodes by which they are connected
    keras_layer.py     one layer: its settings with their types, its weights
    window_layers.py   convolutions and poolings
    value_layers.py    activations, normalisation, dense layers
    arranging_layers.py reshapes, padding, cropping, upsampling
    merging_layers.py  layers of several inputs
    supported.py       the table of all layers, and advice for those that are missing
    walk.py            node after node by the rules; models within models
    conventions.py     weights without topology
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnrt import hookimpl

if TYPE_CHECKING:
    from cnnrt.importer import Importer

plugin_api = 1


@hookimpl
def cnnrt_importers() -> list[Importer]:
    """Return the importer of Keras's models; h5py is imported in the process that reads a file."""
    from cnnrt_import_keras.importer import KerasImporter

    return [KerasImporter()]
