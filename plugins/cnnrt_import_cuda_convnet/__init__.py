"""Reads checkpoints of cuda-convnet: pickled dictionaries of layers with their weights.

importer.py     CudaConvnetImporter: which files are checkpoints, and the path from one to an ImportedModel
checkpoint.py   the pickle, alone or in a zip, as data: the list of layers
layers.py       each type of layer as layers of a NetFile
neurons.py      neurons: what is done with each value
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnrt import hookimpl

if TYPE_CHECKING:
    from cnnrt.importer import Importer

plugin_api = 1


@hookimpl
def cnnrt_importers() -> list[Importer]:
    """Return the importer of cuda-convnet's checkpoints."""
    from cnnrt_import_cuda_convnet.importer import CudaConvnetImporter

    return [CudaConvnetImporter()]
