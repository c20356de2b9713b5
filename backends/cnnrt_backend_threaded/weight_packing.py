"""Packing weights into panels by all cores, from the rows as they are read: no second copy of all weights is made."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cnnrt.backend import StoredWeights
from cnnrt.layer import Array
from cnnrt_backend_threaded.aligned import aligned_floats, aligned_words
from cnnrt_backend_threaded.packing_code import packing_function
from cnnrt_backend_threaded.target import host_target

T = TypeVar("T")

SMALL = 1 << 20
"""Bytes of weights that one thread packs sooner than several are begun."""
PIECE = 1 << 19
"""Bytes that are read at a time, if a panel has not more: they are in the second cache when they are packed."""


def pack_panels(
    stored: StoredWeights, groups: int, channels: int, positions: int, outputs: int, threads: int
) -> tuple[Array, Array]:
    """Return panels [group, panel, position, channel, output] of so many outputs, and biases [group, panel, output].

    The rows of "weight" are outputs, group after group, of `channels` × `positions` values. Outputs are filled up by 0.
    """
    rows = stored.shapes["weight"][0]
    group_rows = rows // groups
    panels = -(-group_rows // outputs)
    packed = aligned_floats((groups, panels, positions, channels, outputs))
    biases = aligned_floats((groups, panels, outputs))
    biases[...] = 0
    if "bias" in stored.shapes:
        bias = stored.rows("bias", 0, rows).reshape(groups, group_rows)
        biases.reshape(groups, -1)[:, :group_rows] = bias

    depth = channels * positions
    at_once = max(1, PIECE // max(4 * depth * outputs, 1))
    pieces = [
        (group, first, min(first + at_once, panels)) for group in range(groups) for first in range(0, panels, at_once)
    ]

    def pack(piece: tuple[int, int, int]) -> None:
        group, first, last = piece
        start, end = group * group_rows + first * outputs, group * group_rows + min(last * outputs, group_rows)
        found = stored.rows("weight", start, end).reshape(-1, depth)
        for panel in range(first, last):
            own = found[(panel - first) * outputs : (panel - first + 1) * outputs]
            pack_panel(own, packed[group, panel])

    for_each(pack, pieces if depth else [], threads, 4 * rows * depth)
    return packed, biases


def rows_bytes(depth: int, outputs: int, panels: int, threads: int) -> int:
    """Return the bytes of the rows that `pack_panels` holds at a time."""
    panel = 4 * depth * outputs
    together = min(panels, max(1, PIECE // max(panel, 1)))
    return min(threads, -(-panels // together)) * together * panel


def pack_panel(rows: Array, panel: Array) -> None:
    """Write rows [output, channel × position] into a panel [position, channel, output]; both C-contiguous float32."""
    positions, channels, width = panel.shape
    arguments = aligned_words(6)
    arguments[:] = (rows.ctypes.data, panel.ctypes.data, len(rows), channels, positions, width)
    lanes = common_lanes(width)
    packing_function(lanes)(arguments.ctypes.data, 0, width // lanes, 0)


def common_lanes(width: int) -> int:
    """Return the lanes of the host's vectors, or fewer where a panel is not so many wide: for lesser processors."""
    return math.gcd(width, host_target().lanes)


def for_each(function: Callable[[T], None], pieces: Sequence[T], threads: int, nbytes: int) -> None:
    """Call a function with each piece, on several threads if there is enough to do; a failure is raised.

    Where the system starts no thread, this one does everything: the same once more does no harm.
    """
    if threads > 1 and len(pieces) > 1 and nbytes >= SMALL:
        with ThreadPoolExecutor(min(threads, len(pieces)), "cnnrt-packing") as pool:
            try:
                begun = [pool.submit(function, piece) for piece in pieces]
            except RuntimeError:
                pool.shutdown(cancel_futures=True)
            else:
                for future in begun:
                    future.result()
                return
    for piece in pieces:
        function(piece)
