"""Reads weights of PyTorch: state dicts in all forms that torch.save has had, and safetensors. Needs no torch.

The way from a file to tensors, module by module:

    importer.py           PyTorchImporter: .pt, .pth, .th, .bin, .ckpt
    safetensors_importer.py   SafetensorsImporter: .safetensors
    conventions.py        how PyTorch stores the weights of each type of layer
    value_types.py        types of stored values, and how they become float32
    stored_tensor.py      a tensor as a view of a storage, checked against it
    torch_globals.py      what stands for the globals that a pickle of torch.save may name
    zip_checkpoint.py     the form since 1.6: an archive of a pickle and storages
    legacy_checkpoint.py  the form of 0.1.11 to 1.5: pickles, then storages
    tar_checkpoint.py     the form before that: an archive of three files
    state_dict.py         where in a checkpoint the tensors are, and their names
    safetensors_file.py   the header of a .safetensors file, checked
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnrt import hookimpl

if TYPE_CHECKING:
    from cnnrt.importer import Importer

plugin_api = 1


@hookimpl
def cnnrt_importers() -> list[Importer]:
    """Return the importers of PyTorch's checkpoints and of safetensors."""
    from cnnrt_import_pytorch.importer import PyTorchImporter
    from cnnrt_import_pytorch.safetensors_importer import SafetensorsImporter

    return [PyTorchImporter(), SafetensorsImporter()]
