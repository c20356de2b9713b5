"""The NetFile language and the parameter files: grammar, model, reader, writer.

Usable alone: it imports nothing of cnnrt. SPEC.md defines the language, PARAMETERS.md the parameter files.
"""

from netfile_spec.errors import (
    CnnrtError,
    CnnrtWarning,
    NetFileError,
    ParameterFileError,
    Position,
    Problem,
    describe_problem,
)
from netfile_spec.model import InputBlock, LayerBlock, NetFile, Scalar, Value, layer
from netfile_spec.model_folder import read_model, write_model
from netfile_spec.parameters import (
    Layout,
    ParameterFile,
    TensorInfo,
    open_parameters,
    read_parameters,
    write_parameters,
)
from netfile_spec.parameters.inside_root import resolve_inside
from netfile_spec.reader import parse_netfile, read_netfile
from netfile_spec.vocabulary import KeySpec, LayerSpec, Vocabulary
from netfile_spec.writer import format_netfile, write_netfile

__all__ = [
    "CnnrtError",
    "CnnrtWarning",
    "InputBlock",
    "KeySpec",
    "LayerBlock",
    "LayerSpec",
    "Layout",
    "NetFile",
    "NetFileError",
    "ParameterFile",
    "ParameterFileError",
    "Position",
    "Problem",
    "Scalar",
    "TensorInfo",
    "Value",
    "Vocabulary",
    "describe_problem",
    "format_netfile",
    "layer",
    "open_parameters",
    "parse_netfile",
    "read_model",
    "read_netfile",
    "read_parameters",
    "resolve_inside",
    "write_model",
    "write_netfile",
    "write_parameters",
]
