"""The layers that are installed, in the words of the NetFile language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import attrs

from cnnrt.errors import KeyValueError, PluginError, ShapeError
from cnnrt.keys import key_of
from cnnrt.layer import Layer
from cnnrt.plugins import PluginHost, plugin_host
from netfile_spec import KeySpec, LayerSpec, Vocabulary


def vocabulary(host: PluginHost | None = None, *, weights_follow: bool = False) -> Vocabulary:
    """Return what NetFiles are checked against: every installed layer with its keys.

    `weights_follow`: no layer needs a `parameters_file`, since its weights come from elsewhere.
    """
    layers = (host or plugin_host()).layers()
    specs = [layer_spec(layer) for layer in layers.values()]
    if weights_follow:
        specs = [attrs.evolve(s, parameters="optional") if s.parameters == "required" else s for s in specs]
    return Vocabulary(specs)


def layer_spec(layer: type[Layer]) -> LayerSpec:
    """Return a layer class as the NetFile reader sees it."""
    required = any(not w.optional for w in layer.weights)
    return LayerSpec(
        type=layer.type,
        keys=tuple(
            KeySpec(
                name=field.name,
                kind=key.kind,
                required=field.default is attrs.NOTHING,
                choices=dict(key.choices),
                doc=key.doc,
            )
            for field, key in layer_keys(layer)
        ),
        parameters="required" if required else "optional" if layer.weights else "none",
        check=lambda stated: complaints(layer, stated),
    )


def layer_keys(layer: type[Layer]) -> list[tuple[attrs.Attribute[Any], Any]]:
    """Return the fields of a layer class that are NetFile keys, each with its `Key`."""
    fields = attrs.fields(cast(Any, layer))
    return [(field, key) for field in fields if (key := key_of(field)) is not None]


def complaints(layer: type[Layer], stated: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    """Return what is wrong with the stated keys of a layer: (key, message), key None where several are meant."""
    found: list[tuple[str | None, str]] = []
    for field, _ in layer_keys(layer):
        if field.name in stated:
            try:
                cast(Any, field.converter).converter(stated[field.name], field)
            except KeyValueError as error:
                found.append((error.key, error.message))
    required = [f.name for f, _ in layer_keys(layer) if f.default is attrs.NOTHING]
    if not found and all(name in stated for name in required):
        try:
            layer(**stated)
        except KeyValueError as error:
            found.append((error.key, error.message))
        except ShapeError as error:
            found.append((None, str(error)))
    return found


def layer_class(type_name: str, host: PluginHost | None = None) -> type[Layer]:
    """Return the layer class of a type, whatever its case; raises PluginError where there is none or two."""
    found = (host or plugin_host()).layers().find(type_name.lower())
    if found is None:
        raise PluginError(f"no installed plugin provides the layer type {type_name!r}; `cnnrt plugins` lists what is")
    return found
