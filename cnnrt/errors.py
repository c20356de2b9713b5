"""The errors and warnings of cnnrt, drawn once.

CnnrtError
├── NetFileError            a NetFile or the graph in it: every problem at once, with file:line:column
├── ParameterFileError      a parameter file
├── KeyValueError           a value that a layer's key does not take
├── ShapeError              shapes that a layer cannot take (the core adds layer and place)
├── InputError              what was handed to `compute` or `prepare`
├── MemoryCeilingError      no plan fits allocated_ram
├── PlacementError          no backend, device or kernel for what was asked
├── DeviceLostError         a device, or what was there, is gone while it computes
├── DeviceMemoryError       a device's own memory does not do
├── PluginError             a plugin that is missing, broken, too old, or collides with another
├── MeterError              a counter of energy that cannot be read
├── ImportFailure           a model that an importer cannot read; every problem at once
└── ExportFailure           a network that a format cannot express; every layer of it at once
CnnrtWarning
├── RootDirectoryWarning    the NetFile's root_directory does not exist; its own folder is used
├── MemoryCeilingWarning    allocated_ram is kept, but at a cost that could be avoided
├── DeviceWarning           a device was lost or has too little memory; what is done instead
├── KernelWarning           a kernel was found to compute wrongly, and is not used any more
├── PreprocessingWarning    the NetFile does not say how an image becomes numbers
└── PluginWarning           a plugin failed to load; the rest goes on
"""

from __future__ import annotations

from collections.abc import Sequence

from netfile_spec.errors import (
    CnnrtError,
    CnnrtWarning,
    NetFileError,
    ParameterFileError,
    Position,
    Problem,
    describe_problem,
)

__all__ = [
    "CnnrtError",
    "CnnrtWarning",
    "DeviceLostError",
    "DeviceMemoryError",
    "DeviceWarning",
    "ExportFailure",
    "ImportFailure",
    "InputError",
    "KernelWarning",
    "KeyValueError",
    "MemoryCeilingError",
    "MemoryCeilingWarning",
    "MeterError",
    "NetFileError",
    "ParameterFileError",
    "PlacementError",
    "PluginError",
    "PluginWarning",
    "Position",
    "PreprocessingWarning",
    "Problem",
    "RootDirectoryWarning",
    "ShapeError",
    "describe_problem",
]


class KeyValueError(CnnrtError, ValueError):
    """A layer's key was given a value that it does not take; `key` names it."""

    def __init__(self, key: str, message: str) -> None:
        self.key = key
        self.message = message
        super().__init__(f"{key}: {message}")


class ShapeError(CnnrtError):
    """A layer cannot take inputs or weights of these shapes.

    Raised by shape rules with what was expected and got; the core adds the layer's name and place.
    """


class InputError(CnnrtError):
    """Wrong shape, dtype, name or value of what was handed to `compute`, `prepare` or the command line."""


class MemoryCeilingError(CnnrtError):
    """No plan fits `allocated_ram`: the least that would do, and the steps that need it."""


class PlacementError(CnnrtError):
    """No usable backend, device or kernel for what was asked, or a fallback that `strict` forbids."""


class DeviceLostError(CnnrtError):
    """A device is gone, or everything that a process had there: nothing is wrong with the model or the kernel."""


class DeviceMemoryError(CnnrtError, MemoryError):
    """A device has not enough memory of its own, or none in one piece."""


class PluginError(CnnrtError):
    """A plugin is missing, broken, written for another plugin API, or collides with another one."""


class MeterError(CnnrtError):
    """A counter of energy is missing or cannot be read: which one, and what to do."""


class ImportFailure(CnnrtError):
    """A model that cannot be imported; `problems` lists everything that stands in the way."""

    def __init__(self, problems: Sequence[Problem], *, file: str, source: str = "") -> None:
        self.problems = tuple(problems)
        self.file = file
        super().__init__("\n".join(describe_problem(p, file, source) for p in self.problems))


class ExportFailure(CnnrtError):
    """A network that a format cannot express; `problems` lists every layer that stands in the way."""

    def __init__(self, problems: Sequence[Problem], *, file: str, source: str = "") -> None:
        self.problems = tuple(problems)
        self.file = file
        super().__init__("\n".join(describe_problem(p, file, source) for p in self.problems))


class RootDirectoryWarning(CnnrtWarning):
    """The NetFile names a root_directory that does not exist here; the NetFile's own folder is used."""


class MemoryCeilingWarning(CnnrtWarning):
    """`allocated_ram` is kept, but slowly: weights cannot be kept on disk as the kernels read them."""


class PluginWarning(CnnrtWarning):
    """A plugin could not be loaded; everything else works on."""


class DeviceWarning(CnnrtWarning):
    """A device was lost, or has too little memory: it says what the network does instead."""


class KernelWarning(CnnrtWarning):
    """A compiled kernel was verified on the device and computes wrongly; it is quarantined."""


class PreprocessingWarning(CnnrtWarning):
    """The NetFile does not say how an image becomes numbers; raw pixels are used."""
