"""What a prepared network takes of memory, added up before anything large is allocated."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from cnnrt.backend import Kernel
from cnnrt.buffers import Buffers
from cnnrt.control_groups import read_group_limits
from cnnrt.errors import CnnrtError, MemoryCeilingError
from cnnrt.layer_call import LayerCall
from cnnrt.placement import ReferenceKernel
from cnnrt.residency import Demand, Residency, Rule, choose_residency

MIB = 1 << 20
NAMED = 3
"""Steps that a refusal names."""


@attrs.frozen
class MemoryPlan:
    """Bytes of a prepared network.

    - `arena`: activations and workspaces, shared over time; `arenas` of them for concurrent calls.
    - `device`: the same in memory of the backends' own, which on some devices is a part of the machine's.
    - `resident`: packed weights that stay; `streamed`: all packed weights that are read for each call.
    - `stream_buffers`: the ring through which those pass, for each concurrent call; `stream_window`: pages of packed
      files in which they are looked at, likewise.
    - `outputs`: arrays handed back.
    - `transient`: the most that is allocated for a step: a reference's float64 copies, and what packing the next
      streamed weights takes beside them; `peak_layer`: the step that takes the most, streamed weights included.
    - `loading`: the most in use while the resident weights are read and packed, before there is an arena.
    - `peak`: resident, and for each concurrent call an arena, that of devices, a ring, a window, outputs and transient;
      or loading.
    - `least`: a ceiling at which the same kernels still run, with as many weights read for each call as can be.
    - `ceiling`: `allocated_ram` in bytes, or None.
    """

    arena: int
    device: int
    arenas: int
    resident: int
    streamed: int
    stream_buffers: int
    stream_window: int
    outputs: int
    transient: int
    loading: int
    peak_layer: str
    least: int
    ceiling: int | None

    @property
    def peak(self) -> int:
        """The most bytes in use at one time."""
        each = self.arena + self.device + self.outputs + self.transient + self.streaming
        return max(self.resident + each * self.arenas, self.loading)

    @property
    def streaming(self) -> int:
        """Bytes through which streamed weights pass in one call: ring and window."""
        return self.stream_buffers + self.stream_window

    @property
    def fits(self) -> bool:
        """Whether the peak is below the ceiling, if there is one."""
        return self.ceiling is None or self.peak <= self.ceiling

    def __str__(self) -> str:
        """Return the plan in one line."""
        streamed = f" through {mib(self.streaming)}" if self.streamed else ""
        parts = [
            f"peak {mib(self.peak)}",
            f"arena {mib(self.arena)}" + (f" × {self.arenas}" if self.arenas > 1 else ""),
            *([f"on devices {mib(self.device)}"] if self.device else []),
            f"resident weights {mib(self.resident)}",
            f"streamed weights {mib(self.streamed)}{streamed}",
            "no ceiling" if self.ceiling is None else f"ceiling {mib(self.ceiling)}",
        ]
        return ", ".join(parts)


@attrs.frozen
class StepMemory:
    """What a step takes: its weights, and what it allocates for itself (`own`).

    `values`: bytes of its inputs, outputs and workspace, in the arena or not.
    """

    layer: str
    weights: Demand
    own: int
    values: int


@attrs.frozen
class Fitted:
    """A memory plan, and what of the weights stays."""

    memory: MemoryPlan
    residency: Residency


def mib(nbytes: int) -> str:
    """Return bytes as people read them, in MiB."""
    return f"{nbytes / MIB:.3g} MiB" if nbytes < 100 * MIB else f"{nbytes / MIB:.0f} MiB"


def plan_memory(
    steps: Sequence[StepMemory], buffers: Buffers, arenas: int, capacity: int | None, rule: Rule = "fastest"
) -> Fitted:
    """Return what stays in memory of `capacity` bytes, and what all of it takes: maybe more, see `MemoryPlan.fits`.

    None: there is no ceiling.
    """
    outputs = sum(buffers.specs[slot].type.nbytes for slot in buffers.outputs)
    own = max((s.own for s in steps), default=0)
    each = buffers.arena_bytes + buffers.private_bytes + outputs + own
    demands = [s.weights for s in steps]
    room = None if capacity is None else capacity - arenas * each
    residency = choose_residency(demands, room, arenas, rule)
    loading = loading_bytes(demands, residency)
    while room is not None and capacity is not None and loading > capacity and room > 0:
        room -= max(loading - capacity, capacity // 16)  # less may stay, so that it can be loaded
        residency = choose_residency(demands, room, arenas, rule)
        loading = loading_bytes(demands, residency)
    streamed = {d.key: d.nbytes for d in demands if d.key not in residency.resident}
    smallest = choose_residency(demands, 0, arenas)
    transients = {
        s.layer: s.own + (s.weights.piece(residency.piece) if s.weights.key in streamed else 0) for s in steps
    }
    memory = MemoryPlan(
        arena=buffers.arena_bytes,
        device=buffers.private_bytes,
        arenas=arenas,
        resident=residency.resident_bytes,
        streamed=sum(streamed.values()),
        stream_buffers=residency.ring,
        stream_window=residency.window,
        outputs=outputs,
        transient=own + residency.staging,
        loading=loading,
        peak_layer=max(transients, key=lambda name: transients[name], default=""),
        least=max(arenas * each + smallest.room(arenas), loading_bytes(demands, smallest)),
        ceiling=capacity,
    )
    return Fitted(memory, residency)


def loading_bytes(demands: Sequence[Demand], residency: Residency) -> int:
    """Return the most in use while resident weights are read and packed, first what takes most beside itself."""
    loaded, most = 0, 0
    stays = {d.key: d for d in demands if d.key in residency.resident}.values()
    for demand in sorted(stays, key=lambda d: -d.packing(d.slices)):
        loaded += demand.nbytes
        most = max(most, loaded + demand.packing(demand.slices))
    return most


def reference_bytes(kernel: Kernel, call: LayerCall) -> int:
    """Return what a step that runs by its layer's reference allocates for itself."""
    if not isinstance(kernel, ReferenceKernel):
        return 0
    own = call.layer.reference_workspace(call.own(call.input_shapes), call.output_shapes, call.weight_shapes)
    return own + sum(t.nbytes for t in call.outputs)


def check_machine(memory: MemoryPlan) -> None:
    """Raise CnnrtError where a plan takes more than the machine, or the group of processes, has."""
    if memory.peak < 1 << 26:  # nothing of today is asked too much, and nothing need be looked up
        return
    import psutil

    total, limit = psutil.virtual_memory().total, read_group_limits().memory
    usable = total if limit is None else min(total, limit)
    if memory.peak > usable:
        raise CnnrtError(
            f"computing this needs {mib(memory.peak)}, the machine has {mib(usable)}"
            f"{'' if usable == total else ' for this group of processes'}: "
            "use smaller inputs, a smaller batch, or a lower allocated_ram so that weights are streamed"
        )


def refusal(plans: Sequence[tuple[MemoryPlan, Sequence[StepMemory]]]) -> MemoryCeilingError:
    """Return the error where no plan fits its ceiling: the least that would do, and the steps that need it."""
    memory, steps = min(plans, key=lambda plan: plan[0].least)
    smallest = choose_residency([s.weights for s in steps], 0, memory.arenas)

    def taken(step: StepMemory) -> int:
        stays = step.weights.key in smallest.resident
        weights = step.weights.nbytes if stays else step.weights.piece(smallest.piece)
        return step.values + weights + step.own + (0 if stays else step.weights.staging(smallest.piece))

    largest = sorted(steps, key=taken, reverse=True)[:NAMED]
    named = ", ".join(f"{s.layer!r} {mib(taken(s))}" for s in largest)
    # In whole MiB from some size on, and always rounded up: what is advised must do.
    advised = -(-memory.least // MIB) if memory.least >= 8 * MIB else -(-memory.least * 1000 // MIB) / 1000
    ceiling = mib(memory.ceiling or 0)
    return MemoryCeilingError(
        f"allocated_ram is {ceiling}, and computing this takes at least {mib(memory.least)}: activations "
        f"{mib(memory.arena * memory.arenas)}, outputs {mib(memory.outputs * memory.arenas)}, the rest weights that "
        f"cannot be read in smaller pieces and what steps allocate; the largest steps are {named}. Set allocated_ram "
        f"to {advised:g}, or use a smaller batch or smaller inputs"
    )


def step_memory(layer: str, call: LayerCall, kernel: Kernel, weights: Demand) -> StepMemory:
    """Return what a kernel's call takes."""
    values = sum(t.nbytes for t in (*call.inputs, *call.outputs)) + kernel.workspace(call)
    return StepMemory(layer, weights, reference_bytes(kernel, call), values)
