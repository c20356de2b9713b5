"""What a prepared network takes of the memory of devices that have one of their own: the same rules as for the process.

There lie the values between the layers of a segment, copies of those that come and go, and the packed weights of its
steps: those that stay, and two pieces of those that pass through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from cnnrt.backend import BufferSpec, OwnMemory
from cnnrt.buffers import ALIGNMENT, Buffers, Home
from cnnrt.mapped_file import HUGE_PAGE
from cnnrt.placement import Placed
from cnnrt.residency import Demand, Residency, Rule, choose_residency


@attrs.frozen
class DevicePlan:
    """Bytes on a device with memory of its own.

    - `arena`: values and workspaces of all segments there, for each concurrent call; `border`: copies of values that
      come from the process or go there, likewise.
    - `resident`: packed weights that stay; `streamed`: all that are copied there for each call, through
      `stream_buffers` for each concurrent call.
    - `peak`: all of that. `least`: what the same kernels take with as many weights copied for each call as can be.
    - `largest`: the largest piece of memory beside weights.
    - `capacity`, `piece`: what there is, and in one piece.
    """

    device: str
    arena: int
    border: int
    resident: int
    streamed: int
    stream_buffers: int
    peak: int
    least: int
    largest: int
    capacity: int
    piece: int

    @property
    def fits(self) -> bool:
        """Whether the device has so much."""
        return self.peak <= self.capacity and self.largest <= self.piece


@attrs.frozen
class DeviceUse:
    """What a call takes on a device beside weights: see `DevicePlan`. `staging`: of the process, to copy values."""

    device: str
    memory: OwnMemory
    arena: int
    border: int
    largest: int
    staging: int


def device_uses(
    placed: Sequence[Placed],
    homes: Sequence[Home | None],
    buffers: Buffers,
    memories: Mapping[str, OwnMemory],
    at_once: int = 1,
) -> list[DeviceUse]:
    """Return what the steps on each device with memory of its own take there; `memories` by the device's title.

    `at_once`: parts of a batch that are under way at the same time.
    """
    borders: dict[str, set[tuple[int, int]]] = {title: set() for title in memories}
    beside = dict.fromkeys(memories, 0)
    for p, home in zip(placed, homes, strict=True):
        if p.kernel is None or home is None or not home.device:
            continue
        slots = [buffers.slots[v] for v in (*p.node.inputs, *p.node.outputs)]
        borders[home.device].update(
            (home.segment, _root(s, buffers.specs)) for s in slots if not buffers.specs[s].private
        )
        slices = p.kernel.slices(p.call)
        if slices > 1:  # the outputs of one slice, before they get to their place
            beside[home.device] += max(-(-t.nbytes // slices) for t in p.call.outputs) + home.alignment
    found = []
    for title, memory in memories.items():
        arenas = [nbytes for home, nbytes in buffers.homes.items() if home.device == title]
        values = [buffers.specs[slot].type.nbytes for _, slot in borders[title]]
        found.append(
            DeviceUse(
                device=title,
                memory=memory,
                arena=at_once * (sum(arenas) + beside[title]),
                border=at_once * sum(-(-nbytes // ALIGNMENT) * ALIGNMENT for nbytes in values),
                largest=max((*arenas, *values), default=0),
                staging=at_once * sum(min(memory.staging, nbytes) for nbytes in values),
            )
        )
    return found


def plan_device(
    use: DeviceUse, demands: Sequence[Demand], arenas: int, rule: Rule, passing: int | None
) -> tuple[DevicePlan, Residency]:
    """Return what of these weights stays on the device, and what all of it takes: maybe more than there is.

    `passing`: bytes of the process that there are for weights on their way; None: any number.
    """
    capacity = use.memory.nbytes or 0
    piece = capacity if use.memory.largest is None else use.memory.largest
    # There they are copied from wherever they are in the process, looked at or read.
    there = [attrs.evolve(d, looked_at=False, may_stay=d.may_stay and d.nbytes <= piece) for d in demands]
    each = use.arena + use.border
    if passing is not None and any(d.looked_at for d in demands):
        passing = max(passing - arenas * 2 * HUGE_PAGE, passing // 2)
    passing = arenas * piece if passing is None else min(passing, arenas * piece)
    residency = choose_residency(there, capacity - arenas * each, arenas, rule, passing)
    smallest = choose_residency(there, 0, arenas)
    plan = DevicePlan(
        device=use.device,
        arena=use.arena,
        border=use.border,
        resident=residency.resident_bytes,
        streamed=sum({d.key: d.nbytes for d in there if d.key not in residency.resident}.values()),
        stream_buffers=residency.ring,
        peak=residency.resident_bytes + arenas * (each + residency.ring),
        least=smallest.resident_bytes + arenas * (each + smallest.ring),
        largest=max(use.largest, residency.piece),
        capacity=capacity,
        piece=piece,
    )
    return plan, residency


def _root(slot: int, specs: Sequence[BufferSpec]) -> int:
    root = specs[slot].root
    return slot if root is None else root
