"""cuda-convnet's checkpoints as an importer of cnnrt sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from cnnrt.errors import ImportFailure, Problem
from cnnrt.importer import ImportedModel, Importer

if TYPE_CHECKING:
    from cnnrt.model_builder import ModelBuilder


class CudaConvnetImporter(Importer):
    """Reads one checkpoint, whatever its name: they are called after epochs and batches (10.5)."""

    name: ClassVar[str] = "cuda-convnet"
    description: ClassVar[str] = "cuda-convnet: checkpoints (pickled dictionaries of layers)"
    suite: ClassVar[str] = "cnnrt_import_cuda_convnet.conformance:CudaConvnetSuite"

    def recognises(self, files: Sequence[Path]) -> bool:
        """Tell whether it is one pickle that speaks of a model's state."""
        from cnnrt_import_cuda_convnet.checkpoint import is_checkpoint

        return len(files) == 1 and is_checkpoint(files[0])

    def read(self, files: Sequence[Path]) -> ImportedModel:
        """Return the network of one checkpoint; raises ImportFailure with every layer that stands in the way.

        Layers of costs, and the data that only these read, are left out.
        """
        from cnnrt.model_builder import ModelBuilder
        from cnnrt_import_cuda_convnet.checkpoint import read_layers

        if len(files) != 1:
            named = ", ".join(file.name for file in files) or "no file"
            problem = Problem(f"{len(files)} files: {named}", expected="one checkpoint")
            raise ImportFailure([problem], file=str(files[0]) if files else self.name)
        model = ModelBuilder(str(files[0]))
        _add_layers(read_layers(files[0]), model)
        return model.finish()


def _add_layers(layers: Sequence[Mapping[str, Any]], model: ModelBuilder) -> None:
    from cnnrt_import_cuda_convnet.layers import ADVICE, RULES, FoundLayer

    numbers = {layer.get("name"): number for number, layer in enumerate(layers) if isinstance(layer.get("name"), str)}
    given: dict[int, str] = {}
    for number, layer in enumerate(layers):
        type = layer.get("type")
        if type == "data":
            continue  # an input of the network once a layer reads it
        found = FoundLayer(layer, number, model, [])
        if isinstance(type, str) and type.startswith("cost."):
            model.note(f"{found.place}: left out, as it is needed in training only")
            continue
        for source in _sources(layer, numbers):
            if source not in given and 0 <= source < len(layers) and layers[source].get("type") == "data":
                given[source] = model.input("data", _item(layer))
            if source not in given:
                found.problem("it reads a layer that does not come before it")
            found.inputs.append(given.get(source, ""))
        rule = RULES.get(type) if isinstance(type, str) else None
        if rule is None:
            hint = ADVICE.get(str(type)) or f"supported are {', '.join(RULES)}"
            given[number] = found.problem("it is not supported", hint=hint)
        elif not found.inputs:
            given[number] = found.problem("it reads nothing")
        else:
            given[number] = rule(found)


def _sources(layer: Mapping[str, Any], numbers: Mapping[Any, int]) -> list[int]:
    """Return the numbers of the layers that a layer reads: `inputs` holds numbers, in cuda-convnet2 names."""
    stated = layer.get("inputs")
    found = []
    for source in stated if isinstance(stated, list | tuple) else []:
        if isinstance(source, str):
            source = numbers.get(source, -1)
        found.append(source if type(source) is int else -1)
    return found


def _item(layer: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """Return the shape of the square images that a layer reads; None where it does not say."""
    sizes = []
    for key in ("channels", "imgSize"):
        value = layer.get(key)
        value = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
        if type(value) is not int or not 0 < value < 1 << 20:
            return None
        sizes.append(value)
    return sizes[0], sizes[1], sizes[1]
