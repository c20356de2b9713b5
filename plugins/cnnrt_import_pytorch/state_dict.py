"""Where in a checkpoint the tensors are, and what they are called.

Checkpoints of training hold the state dict of the model beside that of the optimiser; which key it has is a custom.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cnnrt.errors import ImportFailure, Problem
from cnnrt.loose_weights import LooseTensor
from cnnrt.pickles import PickledArray
from cnnrt_import_pytorch.stored_tensor import StoredTensor
from netfile_spec.problems import quoted

_CUSTOMARY = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "params", "weights")
_MOST_DEPTH = 8
_MOST_TENSORS = 100_000
_WHOLE = "a module saved whole depends on its program: torch.save(model.state_dict(), 'weights.pth') saves the weights"


def state_dict_of(value: Any, file: str) -> tuple[list[LooseTensor], tuple[str, ...]]:
    """Return the tensors of a checkpoint in its order, and notes. ImportFailure where there are none."""
    notes: list[str] = []
    depth = 0
    while isinstance(value, dict) and not _holds_tensors(value) and depth < _MOST_DEPTH:
        key = next((k for k in _CUSTOMARY if isinstance(value.get(k), dict)), None)
        if key is None:
            break
        notes.append(f"the weights are those under {quoted(key)} of the checkpoint")
        value = value[key]
        depth += 1
    tensors = list(_named(value, "", 0))[: _MOST_TENSORS + 1]
    if not tensors or len(tensors) > _MOST_TENSORS:
        message = "holds no tensors by name" if not tensors else f"holds more than {_MOST_TENSORS:,} tensors"
        raise ImportFailure([Problem(message, expected="a state dict", hint=_WHOLE)], file=file)
    return tensors, tuple(notes)


def _holds_tensors(value: dict[Any, Any]) -> bool:
    return any(isinstance(item, StoredTensor) for item in value.values())


def _named(value: Any, prefix: str, depth: int) -> Iterator[LooseTensor]:
    if not isinstance(value, dict) or depth > _MOST_DEPTH:
        return
    for key, item in value.items():
        if isinstance(key, str):
            name = f"{prefix}{key}"
            if isinstance(item, StoredTensor):
                yield item.named(name)
            elif isinstance(item, PickledArray) and item.is_numeric:
                yield LooseTensor(name, item.shape, item.array)
            else:
                yield from _named(item, f"{name}.", depth + 1)
