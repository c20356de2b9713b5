"""How PyTorch stores the weights of each type of layer, by the names of `torch.nn`."""

from __future__ import annotations

from cnnrt.loose_weights import Conventions, StoredWeight

_NORM = (
    StoredWeight("scale", ("weight",)),
    StoredWeight("shift", ("bias",)),
    StoredWeight("mean", ("running_mean",)),
    StoredWeight("variance", ("running_var",)),
)
CONVENTIONS: Conventions = {
    "BatchNorm": _NORM,
    "InstanceNorm": _NORM[:2],
    "PReLU": (StoredWeight("slope", ("weight",)),),
    "Scale": (StoredWeight("scale", ("weight",)), StoredWeight("bias", ("bias",))),
}


def is_counter(name: str) -> bool:
    """Tell whether a tensor only counts what training saw."""
    return name.rpartition(".")[2] == "num_batches_tracked"
