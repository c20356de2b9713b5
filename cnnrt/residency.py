"""Which weights stay in memory and which are read for each call, so that a call takes the least time in the room given.

Nothing here knows where the memory is: the same rules hold for the process's own and for a device's.

What is not resident is *looked at* or *read*. Packed weights in a file of the cache are looked at where the system
keeps the file: the pages of a piece are in the process while it is computed with, the window. Everything else is read
through a ring of buffers, twice as large as the largest piece that is read at a time: one piece is computed with while
the next one comes. Where that is too much, it is as large as one.

Layers whose packed weights fall into slices pass in pieces of any size down to a slice. Small pieces leave more room
for what stays, and those that are read are still in the processor's cache when they are computed with; large pieces are
begun less often. (A ring of three times the size took longer, though it reads further ahead.)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Sequence
from typing import Literal

import attrs
import numpy as np

from cnnrt.mapped_file import HUGE_PAGE

ALIGNMENT = 64
READ_BYTES = 18e9
"""Bytes of a file that one thread reads in a second from the page cache, in pieces of 1 to 2 MiB."""
SLOWER_BYTES = 20 << 20
"""A piece of so many bytes takes twice as long for each of them: measured from 1 to 16 MiB, where the caches end."""
PIECE_SECONDS = 30e-6
"""What it costs to begin a piece: reading, waking up who waits for it, and one call of the kernel more."""
LOOK_BYTES = 110e9
"""Bytes by which a second of computing grows for their being looked at in huge pages of a file, on two cores."""
LOOK_SECONDS = 150e-6
"""What it costs to begin a piece of them: pages given back, and threads that wait for the last one."""
PIECES = (*(1 << bits for bits in range(19, 26)), 3 << 20, 6 << 20, 12 << 20, 24 << 20)
"""Sizes of pieces that are tried, in bytes, beside those that layers ask for."""
BUCKETS = 2048
"""Parts of the room in which the best choice is looked for."""

Rule = Literal["fastest", "largest"]
"""What stays: what takes longest to read, or, as in CNNdroid, the largest."""


def _nothing(slices: int) -> int:
    return 0


@attrs.frozen
class Demand:
    """What a step's weights take: `nbytes` packed, in `slices` of at most `slice_bytes`, read `times` in a call.

    `packing`: the bytes that packing so many slices takes beside them. `looked_at`: where they do not stay, they are
    looked at in a packed file. `may_stay`: False where nothing is large enough to keep them in one piece. Steps with
    equal keys share their weights where these stay.
    """

    key: Hashable
    layer: str
    nbytes: int
    slices: int = 1
    slice_bytes: int = 0
    times: int = 1
    packing: Callable[[int], int] = _nothing
    looked_at: bool = False
    may_stay: bool = True

    @property
    def least(self) -> int:
        """Bytes of the smallest piece in which they can be read."""
        return room_of(self.slice_bytes if self.slices > 1 else self.nbytes)

    def slices_in(self, piece: int) -> int:
        """Return how many slices are read at a time where a piece has at most so many bytes: pieces of equal size."""
        if self.slices == 1:
            return 1
        most = max(1, min(self.slices, (piece - room_of(0)) // max(1, self.slice_bytes)))
        return -(-self.slices // -(-self.slices // most))

    def piece(self, limit: int) -> int:
        """Return the bytes of the pieces in which they are read where a piece has at most so many."""
        return room_of(self.slices_in(limit) * self.slice_bytes if self.slices > 1 else self.nbytes)

    def window(self, limit: int) -> int:
        """Return the bytes of the pages in which a piece lies: huge ones reach beyond it, but not beyond the file."""
        return min(self.piece(limit) + 2 * HUGE_PAGE, room_of(self.nbytes))

    def staging(self, limit: int) -> int:
        """Return the bytes that packing a piece takes beside it."""
        return self.packing(self.slices_in(limit)) if self.nbytes else 0

    def pieces(self, limit: int) -> int:
        """Return how many pieces are read in a call."""
        return self.times * -(-self.slices // self.slices_in(limit))


@attrs.frozen
class Residency:
    """The keys that stay, the largest piece in which the others pass, and the bytes of ring and window for each call.

    `staging`: what packing a piece takes beside it; `seconds`: what reading takes; `ahead`: whether a piece can be read
    while another one is computed with.
    """

    resident: frozenset[Hashable]
    resident_bytes: int = 0
    piece: int = 0
    ring: int = 0
    window: int = 0
    staging: int = 0
    seconds: float = 0.0
    ahead: bool = True

    def room(self, calls: int) -> int:
        """Return the bytes that all of it takes with so many concurrent calls."""
        return self.resident_bytes + self.passing(calls)

    def passing(self, calls: int) -> int:
        """Return the bytes that weights take on their way, with so many concurrent calls."""
        return calls * (self.ring + self.window + self.staging)


def room_of(nbytes: int) -> int:
    """Return the bytes that a piece takes in the ring: its arrays begin on cache lines."""
    return (-(-nbytes // ALIGNMENT) + 8) * ALIGNMENT


def choose_residency(
    demands: Sequence[Demand], room: int | None, calls: int = 1, rule: Rule = "fastest", passing: int | None = None
) -> Residency:
    """Return what stays where resident weights and the rings of so many concurrent calls have `room` bytes.

    `passing`: bytes that the rings alone may take, if that is less, since they are elsewhere too.

    `room` None: there is no limit, everything stays. Where there is no way, the result is the one that takes the least,
    and takes more than `room`: `least_room`.
    """
    shared = _shared(demands)
    whole = sum(nbytes for nbytes, _ in shared.values())
    everything = Residency(frozenset(shared), whole)
    all_may = all(d.may_stay for d in demands)
    if all_may and (room is None or whole <= room):
        return everything
    room = whole if room is None else room
    ways = itertools.product(_limits(demands), (True, False))
    found = [
        _with_pieces(demands, shared, limit, ahead, room, calls, rule)
        for limit, ahead in ways
        if all(d.may_stay or d.least <= limit for d in demands)
    ]
    found += [everything] if all_may else []
    fitting = [r for r in found if r.room(calls) <= room and (passing is None or r.passing(calls) <= passing)]
    if fitting:
        # Without reading ahead, what is computed meanwhile waits: counted as if all reading were done twice.
        return min(fitting, key=lambda r: ((1 if r.ahead else 2) * r.seconds, r.ring + r.window, -r.resident_bytes))
    return min(found, key=lambda r: (r.room(calls), r.ring + r.window))


def least_room(demands: Sequence[Demand], calls: int = 1) -> int:
    """Return the least bytes in which resident weights and rings have room."""
    return choose_residency(demands, 0, calls).room(calls)


def _shared(demands: Sequence[Demand]) -> dict[Hashable, tuple[int, float]]:
    """Return, for each key, the bytes of its weights and how often in a call they would be read."""
    shared: dict[Hashable, tuple[int, float]] = {}
    for demand in demands:
        _, times = shared.get(demand.key, (0, 0))
        shared[demand.key] = (demand.nbytes, times + demand.times)
    return shared


def _limits(demands: Sequence[Demand]) -> list[int]:
    """Return the largest pieces that are worth a try."""
    wanted = sorted({d.least for d in demands if d.nbytes})
    some = {wanted[i] for i in np.linspace(0, len(wanted) - 1, min(len(wanted), 32)).astype(int)} if wanted else set()
    return sorted({*some, *(room_of(p) for p in PIECES)})


def _with_pieces(
    demands: Sequence[Demand],
    shared: dict[Hashable, tuple[int, float]],
    limit: int,
    ahead: bool,
    room: int,
    calls: int,
    rule: Rule,
) -> Residency:
    """Return the best choice where no piece is larger than `limit`: what cannot be read so must stay."""
    must = {d.key for d in demands if d.least > limit}
    reading = [d for d in demands if d.key not in must and d.nbytes]
    staging = max((d.staging(limit) for d in reading), default=0)
    beside = _ring(reading, limit, ahead) + _window(reading, limit) + staging
    left = room - calls * beside - sum(shared[key][0] for key in must)
    may = sorted({d.key for d in reading if d.may_stay}, key=lambda key: (-shared[key][0], str(key)))
    seconds = {key: sum(_seconds(d, limit) for d in reading if d.key == key) for key in may}
    sizes = [shared[key][0] for key in may]
    chosen = _largest_first(sizes, left) if rule == "largest" else _knapsack(sizes, [seconds[k] for k in may], left)
    resident = frozenset(
        {*must, *(may[i] for i in chosen), *(key for key, (nbytes, _) in shared.items() if not nbytes)}
    )
    streamed = [d for d in reading if d.key not in resident]
    return Residency(
        resident=resident,
        resident_bytes=sum(shared[key][0] for key in resident),
        piece=max((d.piece(limit) for d in streamed), default=0),
        ring=_ring(streamed, limit, ahead),
        window=_window(streamed, limit),
        staging=max((d.staging(limit) for d in streamed), default=0),
        seconds=sum(_seconds(d, limit) for d in streamed),
        ahead=ahead,
    )


def _ring(demands: Sequence[Demand], limit: int, ahead: bool) -> int:
    """Return the bytes of a ring: two of the largest pieces, or one where there is no second or none is read ahead."""
    read = [d for d in demands if not d.looked_at]
    count = sum(d.pieces(limit) for d in read)
    return min(2 if ahead else 1, count) * max((d.piece(limit) for d in read), default=0)


def _window(demands: Sequence[Demand], limit: int) -> int:
    """Return the bytes of the largest piece that is looked at."""
    return max((d.window(limit) for d in demands if d.looked_at), default=0)


def _seconds(demand: Demand, limit: int) -> float:
    if demand.looked_at:
        return demand.times * demand.nbytes / LOOK_BYTES + demand.pieces(limit) * LOOK_SECONDS
    reading = demand.times * demand.nbytes / READ_BYTES * (1 + demand.piece(limit) / SLOWER_BYTES)
    return reading + demand.pieces(limit) * PIECE_SECONDS


def _largest_first(sizes: Sequence[int], room: int) -> list[int]:
    """Return the places of what stays; `sizes` fall."""
    chosen = []
    for place, size in enumerate(sizes):
        if size <= room:
            chosen.append(place)
            room -= size
    return chosen


def _knapsack(sizes: Sequence[int], values: Sequence[float], room: int) -> list[int]:
    """Return the places that together have the largest value and fit: exact but for sizes rounded up to a bucket.

    The result of taking the dearest byte first is kept where rounding makes it the better one.
    """
    if room <= 0:
        return []
    order = sorted(range(len(sizes)), key=lambda i: (-values[i] / max(1, sizes[i]), -sizes[i]))
    greedy, left = [], room
    for i in order:
        if sizes[i] <= left:
            greedy.append(i)
            left -= sizes[i]
    bucket = max(1, -(-room // BUCKETS))
    capacity = room // bucket
    best = np.zeros(capacity + 1)
    taken = np.zeros((len(sizes), capacity + 1), bool)
    for i, size in enumerate(sizes):
        need = -(-size // bucket)
        if need > capacity:
            continue
        with_it = np.full(capacity + 1, -1.0)
        with_it[need:] = best[: capacity + 1 - need] + values[i]
        taken[i] = with_it > best
        best = np.maximum(best, with_it)
    exact, left = [], capacity
    for i in range(len(sizes) - 1, -1, -1):
        if taken[i, left]:
            exact.append(i)
            left -= -(-sizes[i] // bucket)
    return max(greedy, exact, key=lambda chosen: sum(values[i] for i in chosen))
