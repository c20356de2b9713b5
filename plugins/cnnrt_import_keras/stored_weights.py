"""Which stored arrays belong to which layer.

HDF5 lists the arrays of each layer of the outermost model; those of a model within it are one list, told apart by
their names ("block1/conv1/kernel:0"). In a .keras each layer has a path made of its class: "layers/conv2d_1" is the
second Conv2D of a model.
"""

from __future__ import annotations

import re
from collections import Counter

import attrs

from cnnrt.channels_last.constants import Constant
from cnnrt_import_keras.keras_file import KerasFile
from cnnrt_import_keras.model_config import LayerConfig, ModelConfig


@attrs.frozen(eq=False)
class Stored:
    """The arrays of one model: of the whole file, or of a model within it at `path`."""

    file: KerasFile
    path: str = ""
    listed: tuple[Constant, ...] | None = None

    def of_layers(self, model: ModelConfig) -> dict[str, Stored]:
        """Return the arrays of each layer of a model, by the layer's name."""
        if self.file.by_path is not None:
            return self._by_class(model)
        if self.listed is None:
            return {layer.name: Stored(self.file, "", self.file.by_layer.get(layer.name, ())) for layer in model.layers}
        names = {layer.name for layer in model.layers}
        found: dict[str, list[Constant]] = {}
        for array in self.listed:
            # From the back, since a model may be called like one of its layers.
            owner = next((part for part in reversed(array.name.split("/")[:-1]) if _plain(part, names)), "")
            found.setdefault(_plain(owner, names), []).append(array)
        return {layer.name: Stored(self.file, "", tuple(found.get(layer.name, ()))) for layer in model.layers}

    def arrays(self) -> tuple[Constant, ...]:
        """Return the arrays themselves, in Keras's order."""
        if self.file.by_path is not None:
            return self.file.by_path.get(self.path, ())
        return self.listed or ()

    def _by_class(self, model: ModelConfig) -> dict[str, Stored]:
        count: Counter[str] = Counter()
        found = {}
        prefix = f"{self.path}/" if self.path else ""
        for layer in model.layers:
            base = snake_case(_class_of(layer))
            name = f"{base}_{count[base]}" if count[base] else base
            count[base] += 1
            found[layer.name] = Stored(self.file, f"{prefix}layers/{name}")
        return found


def _class_of(layer: LayerConfig) -> str:
    return "Functional" if layer.kind == "Model" else layer.kind


def _plain(part: str, names: set[str]) -> str:
    """Return the layer that a part of a name means; Keras 2.0 put a number behind it."""
    return part if part in names else part.rpartition("_")[0] if part.rpartition("_")[0] in names else ""


def snake_case(name: str) -> str:
    """Return a class's name as Keras 3 writes it in paths: Conv2DTranspose is conv2d_transpose."""
    name = re.sub(r"\W+", "", name[:100])
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
