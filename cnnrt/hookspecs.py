"""The hooks by which plugins add to cnnrt: a reference manual.

A plugin is a module named by an entry point in the group `cnnrt.plugins`. The entry point's name carries its
kind (`layer.x`, `backend.x`, `importer.x`, `exporter.x`, `meter.x`), so that a module is imported only when that
kind is needed. The module states the version of this interface that it was written for and implements one or more
hooks:

    from cnnrt import hookimpl
    plugin_api = 1

    @hookimpl
    def cnnrt_layers():
        return [QuickGelu]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from cnnrt.backend import Backend, Kernel
    from cnnrt.exporter import Exporter
    from cnnrt.importer import Importer
    from cnnrt.layer import Layer
    from cnnrt.meter import Meter

PROJECT = "cnnrt"
PLUGIN_API = 1
"""The version of this interface, which a plugin module states as its `plugin_api`."""
OLDEST_PLUGIN_API = 1
"""The oldest version for which plugins still work (docs/plugin-hooks.md has the policy)."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def cnnrt_layers() -> Sequence[type[Layer]]:
    """Return layer classes. Kind `layer`.

    Called once, when the first NetFile is read or written. The types' names, without regard to case, must be new:
    two layers of one type are an error that names both distributions.

        @hookimpl
        def cnnrt_layers():
            return [QuickGelu]
    """
    raise NotImplementedError


@hookspec
def cnnrt_backends() -> Sequence[Backend]:
    """Return backends. Kind `backend`.

    Called once, when the first Net is made or devices are listed. A backend whose libraries or devices are missing
    is returned all the same: its `devices()` say what is missing. Importing them belongs into its methods.

        @hookimpl
        def cnnrt_backends():
            return [SequentialBackend()]
    """
    raise NotImplementedError


@hookspec
def cnnrt_kernels() -> Sequence[Kernel]:
    """Return kernels for any layer on any backend. Kinds `layer` and `backend`.

    Called once, when the first Net is made. Kernels for a backend that is not installed are ignored. Two kernels of
    one (layer, backend, name) are an error that names both distributions; different names compete. A module whose
    kernels are for some backends alone may state them, as `kernels_for = ("threaded",)`: then the hook is called when
    one of these is to compute, and code that nobody runs takes no memory.

        @hookimpl
        def cnnrt_kernels():
            return [QuickGeluOnSequential()]
    """
    raise NotImplementedError


@hookspec
def cnnrt_importers() -> Sequence[Importer]:
    """Return importers. Kind `importer`.

    Called once, when the first model is converted or plugins are listed. Heavy readers are imported in `read`. An
    importer whose packages are missing is returned all the same: its `problem()` says what to install.

        @hookimpl
        def cnnrt_importers():
            return [CaffeImporter()]
    """
    raise NotImplementedError


@hookspec
def cnnrt_exporters() -> Sequence[Exporter]:
    """Return exporters. Kind `exporter`.

    Called once, when the first network is exported or plugins are listed. Heavy writers are imported in `write`. An
    exporter whose packages are missing is returned all the same: its `problem()` says what to install.

        @hookimpl
        def cnnrt_exporters():
            return [OnnxExporter()]
    """
    raise NotImplementedError


@hookspec
def cnnrt_meters() -> Sequence[Meter]:
    """Return meters: what reads the energy that this machine takes. Kind `meter`.

    Called once, when the first energy is measured or plugins are listed. A meter whose counter is missing here is
    returned all the same: its `problem()` says which one, and what to do.

        @hookimpl
        def cnnrt_meters():
            return [RaplMeter()]
    """
    raise NotImplementedError
