"""Which suite a layer or an importer is tested by: the one that its class states, or one made up."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cnnrt.errors import PluginError

if TYPE_CHECKING:
    from cnnrt.importer import Importer
    from cnnrt.layer import Layer
    from cnnrt.testing.importer_suite import ImporterSuite
    from cnnrt.testing.layer_suite import LayerSuite


def layer_suite(layer: type[Layer]) -> type[LayerSuite]:
    """Return the suite of a layer class; PluginError where its `suite` names none."""
    from cnnrt.testing.layer_suite import LayerSuite

    if layer.suite:
        return _stated(layer.suite, f"layer {layer.type}", LayerSuite)
    return type(f"{layer.__name__}Suite", (LayerSuite,), {"layer": layer})


def importer_suite(importer: Importer) -> type[ImporterSuite]:
    """Return the suite of an importer; PluginError where its `suite` names none."""
    from cnnrt.testing.importer_suite import ImporterSuite

    if importer.suite:
        return _stated(importer.suite, f"importer {importer.name!r}", ImporterSuite)
    return type("MadeUpImporterSuite", (ImporterSuite,), {"importer": importer})


def _stated(place: str, whose: str, base: type[Any]) -> type[Any]:
    module, _, name = place.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise PluginError(f"{whose}: its suite {place!r} cannot be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PluginError(f"{whose}: its suite {place!r} is {found!r}; expected a subclass of {base.__name__}")
    return found
