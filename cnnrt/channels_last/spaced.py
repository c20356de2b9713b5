"""Convolutions with gaps as three operators: SpaceToBatchND, a convolution without padding, BatchToSpaceND.

The first puts zeros around an image and takes it apart into images of every second (third, ...) pixel, which become
items of the batch; the last puts the results together and cuts off what was padded too much. Together they are one
dilated convolution (tensorflow.org/api_docs/python/tf/nn/with_space_to_batch).
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from cnnrt.channels_last.constants import Constant
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.operands import failed
from cnnrt.channels_last.values import FAILED, Flow, Place
from cnnrt.channels_last.windows import Sliding

Convolve = Callable[[Place, Flow, Sliding], Flow]
_EXPECTED = "one convolution of stride 1 without padding between the two operators"


@attrs.frozen(eq=False)
class Spaced:
    """A value that was taken apart: zeros around it (top, bottom, left, right), and the convolution that came since."""

    value: Flow
    gaps: tuple[int, int]
    pads: tuple[int, int, int, int]
    convolve: Convolve | None = None


def space_to_batch(net: Network, place: Place, value: Flow, gaps: object, pads: object) -> Spaced | Flow:
    """Take a value apart."""
    block, around = _integers(gaps), _integers(pads)
    if value.failed:
        return FAILED
    if len(block) != 2 or len(around) != 4 or min(block) < 1 or min(around) < 0:
        return net.problem(place, f"blocks {list(block)[:8]} with paddings {list(around)[:8]}", expected=_EXPECTED)
    return Spaced(value, (block[0], block[1]), (around[0], around[1], around[2], around[3]))


def convolve_apart(net: Network, place: Place, given: Spaced, sliding: Sliding, convolve: Convolve) -> Spaced | Flow:
    """Convolve what was taken apart; it is done when it is put together again."""
    if given.convolve is not None or sliding.padding != "valid" or sliding.stride != (1, 1):
        return net.problem(place, "of what SpaceToBatchND took apart", expected=_EXPECTED)
    return attrs.evolve(given, convolve=convolve)


def batch_to_space(net: Network, place: Place, given: object, gaps: object, crops: object) -> Flow:
    """Put together what was taken apart: here the convolution is made, with gaps."""
    block, cut = _integers(gaps), _integers(crops)
    if failed([given]):
        return FAILED
    if not isinstance(given, Spaced) or given.convolve is None or block != given.gaps or len(cut) != 4:
        return net.problem(place, "not the end of a convolution with gaps", expected=_EXPECTED)
    pads = [pad - crop for pad, crop in zip(given.pads, cut, strict=True)]
    if min(pads) < 0:
        return net.problem(place, f"it cuts {list(cut)} off of paddings {list(given.pads)}")
    return given.convolve(place, given.value, Sliding((pads[0], pads[2], pads[1], pads[3]), (1, 1), given.gaps))


def _integers(given: object) -> tuple[int, ...]:
    if isinstance(given, Constant) and given.kind == "integer" and given.count <= 16:
        return tuple(int(n) for n in given.array().reshape(-1))
    return ()
