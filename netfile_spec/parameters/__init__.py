"""Parameter files: the tensors of a layer, in CNNdroid's layout or cnnrt's own (see PARAMETERS.md one folder up)."""

from netfile_spec.parameters.any_layout import open_parameters, read_parameters, write_parameters
from netfile_spec.parameters.parameter_file import Layout, ParameterFile, TensorInfo

__all__ = [
    "Layout",
    "ParameterFile",
    "TensorInfo",
    "open_parameters",
    "read_parameters",
    "write_parameters",
]
