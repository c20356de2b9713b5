"""Weights matched to layers by name, as Caffe does, and checked before any of them is loaded.

Blobs that layers share (`param { name: "w" }`) come from the first layer that names them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cnnrt_import_caffe.blobs import Blob
from cnnrt_import_caffe.findings import Findings
from cnnrt_import_caffe.rules import WeightShape
from cnnrt_import_caffe.wiring import Step
from netfile_spec.problems import quoted


@attrs.frozen(eq=False)
class StoredWeight:
    """A weight in the file: its blob, the shape that it gets, and what is done to its values once they are read.

    They are transposed, or divided by the only value of another blob (0 gives zeros, as in Caffe).
    """

    blob: Blob
    shape: tuple[int, ...]
    transpose: bool = False
    divisor: Blob | None = None

    @property
    def identity(self) -> tuple[object, ...]:
        """What is the same for weights of the same values."""
        return id(self.blob), self.shape, self.transpose, id(self.divisor)

    def array(self) -> NDArray[Any]:
        """Return the values, read now, float32."""
        values = self.blob.array().reshape(self.shape)
        if self.divisor is not None:
            divisor = self.divisor.array().reshape(-1)[0]
            values = values / divisor if divisor else np.zeros_like(values)
        return np.ascontiguousarray(values.T) if self.transpose else values


@attrs.frozen(eq=False)
class LayerWeights(Mapping[str, NDArray[Any]]):
    """The weights of one layer by name. Each look-up reads the array from the file, float32 and the caller's own.

    So a model that is converted layer by layer takes the memory of its largest weight, not of all.
    """

    entries: Mapping[str, StoredWeight]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.entries[name].array()

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def match_weights(
    steps: Sequence[tuple[Step, tuple[WeightShape, ...]]],
    stored: Mapping[str, tuple[Blob, ...]],
    model_name: str,
    findings: Findings,
) -> dict[str, LayerWeights]:
    """Return the weights of each layer that has any; findings name all layers whose weights are missing or wrong.

    `stored` holds the blobs of the caffemodel by Caffe's layer names.
    """
    shared = _shared_blobs(steps, stored, findings)
    weights: dict[str, LayerWeights] = {}
    alike: dict[tuple[object, ...], LayerWeights] = {}  # layers with the very same blobs share their parameter file
    for step, wanted in steps:
        if not wanted:
            continue
        own = stored.get(step.layer.name, ())
        names = _shared_names(step, len(wanted))
        blobs = [shared.get(names[i]) or (own[i] if i < len(own) else None) for i in range(len(wanted))]
        if blobs[0] is None:
            findings.of_layer(
                step.layer,
                f"{model_name} has no weights for it",
                "name",
                hint="weights are matched by layer name: is this the caffemodel of another net?",
            )
        else:
            entries = _check(step, wanted, blobs, len(own), findings)
            same = tuple((name, *weight.identity) for name, weight in entries.items())
            weights[step.name] = alike.setdefault(same, LayerWeights(entries))
    return weights


def _shared_blobs(
    steps: Sequence[tuple[Step, tuple[WeightShape, ...]]],
    stored: Mapping[str, tuple[Blob, ...]],
    findings: Findings,
) -> dict[str, Blob]:
    """Return the blobs that have a name of their own, each from the first layer that has it stored."""
    blobs: dict[str, Blob] = {}
    layers: dict[str, list[str]] = {}
    for step, wanted in steps:
        own = stored.get(step.layer.name, ())
        for i, name in enumerate(_shared_names(step, len(wanted))):
            if name:
                layers.setdefault(name, []).append(step.name)
                if i < len(own):
                    blobs.setdefault(name, own[i])
    for name, sharing in layers.items():
        if len(sharing) > 1:
            listed = ", ".join(quoted(layer) for layer in sharing)
            findings.note(f"layers {listed} share the weights {quoted(name)}")
    return blobs


def _shared_names(step: Step, count: int) -> list[str]:
    """Return the names that a layer gives its first `count` blobs; "" for those without one."""
    names = [spec.name for spec in step.layer.param.param[:count]]
    return names + [""] * (count - len(names))


def _check(
    step: Step, wanted: Sequence[WeightShape], blobs: Sequence[Blob | None], stored: int, findings: Findings
) -> dict[str, StoredWeight]:
    found = {}
    if stored > len(wanted):
        message = f"{stored} blobs of weights are stored, but the layer has {len(wanted)}"
        findings.of_layer(
            step.layer, message, hint="is bias_term: false missing from the caffemodel, or too much here?"
        )
    for spec, blob in zip(wanted, blobs, strict=True):
        if blob is None:
            message = f"no {spec.name or 'factor of its statistics'} is stored for it"
            findings.of_layer(step.layer, message, hint="if the layer has none, state bias_term: false")
            continue
        if blob.count == 0:
            message = f"its {spec.name} is stored without values that can be read"
            findings.of_layer(step.layer, message, hint="weights in half precision (NVCaffe) must be saved as float")
            continue
        what = spec.name or "factor of its statistics"
        shape = blob.shape if spec.shape is None else fitted(blob.shape, spec.shape)
        if shape is None:
            want = "×".join("?" if n is None else str(n) for n in spec.shape or ())
            message = f"its {what} is stored as {'×'.join(map(str, blob.shape)) or 'one value'}"
            findings.of_layer(step.layer, message, expected=f"{want}, as the layer's parameters say")
            continue
        if spec.name:
            divisor = None if spec.divisor is None else blobs[spec.divisor]
            found[spec.name] = StoredWeight(blob, shape, spec.transpose, divisor)
    return found


def fitted(stored: tuple[int, ...], wanted: tuple[int | None, ...]) -> tuple[int, ...] | None:
    """Return the shape in which a stored blob fits what a layer wants, or None.

    Blobs of V1 nets have four dimensions, filled up with ones from the left; a bias may have its ones anywhere.
    """
    rank = len(wanted)
    if rank == 1:
        stored = tuple(n for n in stored if n != 1)
    surplus = len(stored) - rank
    shape = (1,) * -surplus + stored[max(0, surplus) :]
    fits = all(n == 1 for n in stored[: max(0, surplus)])
    return shape if fits and all(want in (None, got) for want, got in zip(wanted, shape, strict=True)) else None
