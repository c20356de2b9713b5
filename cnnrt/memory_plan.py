"""What a prepared network takes of memory, added up before anything large is allocated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from cnnrt.backend import Kernel
from cnnrt.buffers import Buffers
from cnnrt.control_groups import read_group_limits
from cnnrt.errors import CnnrtError, DeviceMemoryError, MemoryCeilingError
from cnnrt.layer_call import LayerCall
from cnnrt.placement import ReferenceKernel
from cnnrt.residency import Demand, Residency, Rule, choose_residency, least_room

if TYPE_CHECKING:
    from cnnrt.device_memory import DevicePlan, DeviceUse

MIB = 1 << 20
NAMED = 3
"""Steps that a refusal names."""


@attrs.frozen
class MemoryPlan:
    """Bytes of a prepared network.

    - `arena`: activations and workspaces, shared over time; `arenas` of them for concurrent calls.
    - `device`: the same where a backend keeps them apart from the frame, but in the machine's memory.
    - `devices`: what is on devices that have memory of their own, which is not the process's.
    - `resident`: packed weights that stay; `streamed`: all packed weights that are read for each call.
    - `stream_buffers`: the ring through which those pass, for each concurrent call; `stream_window`: pages of packed
      files in which they are looked at, likewise.
    - `outputs`: arrays handed back; `staging`: through which values are copied to such devices and back.
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
    staging: int
    transient: int
    loading: int
    peak_layer: str
    least: int
    ceiling: int | None
    devices: tuple[DevicePlan, ...] = ()

    @property
    def peak(self) -> int:
        """The most bytes in use at one time."""
        each = self.arena + self.device + self.outputs + self.staging + self.transient + self.streaming
        return max(self.resident + each * self.arenas, self.loading)

    @property
    def streaming(self) -> int:
        """Bytes through which streamed weights pass in one call: ring and window."""
        return self.stream_buffers + self.stream_window

    @property
    def fits(self) -> bool:
        """Whether the peak is below the ceiling, if there is one, and devices have as much memory."""
        return self.keeps_ceiling and all(device.fits for device in self.devices)

    @property
    def keeps_ceiling(self) -> bool:
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
            *(f"on {d.device} {mib(d.peak)} of {mib(d.capacity)}" for d in self.devices),
        ]
        return ", ".join(parts)


@attrs.frozen
class StepMemory:
    """What a step takes: its weights, and what it allocates for itself (`own`).

    `values`: bytes of its inputs, outputs and workspace, in the arena or not. `device`: where all of that is, if the
    device has memory of its own.
    """

    layer: str
    weights: Demand
    own: int
    values: int
    device: str = ""


@attrs.frozen
class Fitted:
    """A memory plan, and what of the weights stays: in the process, and on each device with memory of its own."""

    memory: MemoryPlan
    residency: Residency
    on_devices: Mapping[str, Residency] = attrs.field(factory=dict)

    def residency_on(self, device: str) -> Residency:
        """Return what stays of the weights of the steps on a device, by its title."""
        return self.on_devices.get(device, self.residency)

    @property
    def reading_seconds(self) -> float:
        """What reading the weights that do not stay takes in a call."""
        return self.residency.seconds + sum(r.seconds for r in self.on_devices.values())

    @property
    def reads_ahead(self) -> bool:
        """Whether there is room to read weights while others are computed with."""
        return self.residency.ahead and all(r.ahead for r in self.on_devices.values())


def mib(nbytes: int) -> str:
    """Return bytes as people read them, in MiB."""
    return f"{nbytes / MIB:.3g} MiB" if nbytes < 100 * MIB else f"{nbytes / MIB:.0f} MiB"


def plan_memory(
    steps: Sequence[StepMemory],
    buffers: Buffers,
    arenas: int,
    capacity: int | None,
    rule: Rule = "fastest",
    uses: Sequence[DeviceUse] = (),
) -> Fitted:
    """Return what stays in memory of `capacity` bytes, and what all of it takes: maybe more, see `MemoryPlan.fits`.

    None: there is no ceiling. `uses`: what is on devices with memory of their own.
    """
    outputs = sum(buffers.specs[slot].type.nbytes for slot in buffers.outputs)
    own = max((s.own for s in steps), default=0)
    private = sum(nbytes for home, nbytes in buffers.homes.items() if not home.device)
    staging = sum(use.staging for use in uses)
    each = buffers.arena_bytes + private + outputs + own + staging
    demands = [s.weights for s in steps if not s.device]
    on_devices: dict[str, Residency] = {}
    plans: list[DevicePlan] = []
    leaving: list[Demand] = []  # weights that pass through the process when they are loaded
    passing = None if capacity is None else capacity - arenas * each - least_room(demands, arenas)
    ring = window = packing = 0
    for use in uses:
        from cnnrt.device_memory import plan_device  # there are none on most machines

        there = [_loadable(s.weights, capacity) for s in steps if s.device == use.device]
        plan, on_devices[use.device] = plan_device(use, there, arenas, rule, passing)
        found = on_devices[use.device]
        plans.append(plan)
        leaving += [d for d in there if d.key in found.resident]
        passed = [d for d in there if d.key not in found.resident and d.nbytes]
        ring = max(ring, 0 if all(d.looked_at for d in passed) else found.ring)
        window = max([window, *(d.window(found.piece) for d in passed if d.looked_at)])
        packing = max([packing, *(d.staging(found.piece) for d in passed)])
    taken = arenas * (ring + window + packing)
    room = None if capacity is None else capacity - arenas * each - taken
    residency = choose_residency(demands, room, arenas, rule)
    loading = loading_bytes(demands, residency, leaving)
    while room is not None and capacity is not None and loading > capacity and room > 0:
        room -= max(loading - capacity, capacity // 16)  # less may stay, so that it can be loaded
        residency = choose_residency(demands, room, arenas, rule)
        loading = loading_bytes(demands, residency, leaving)
    where = {s.layer: on_devices.get(s.device, residency) for s in steps}
    streamed = {s.weights.key: s.weights.nbytes for s in steps if s.weights.key not in where[s.layer].resident}
    smallest = choose_residency(demands, 0, arenas)
    transients = {
        s.layer: s.own + (s.weights.piece(where[s.layer].piece) if s.weights.key in streamed else 0) for s in steps
    }
    memory = MemoryPlan(
        arena=buffers.arena_bytes,
        device=private,
        arenas=arenas,
        resident=residency.resident_bytes,
        streamed=sum(streamed.values()),
        stream_buffers=max(residency.ring, ring),
        stream_window=max(residency.window, window),
        outputs=outputs,
        staging=staging,
        transient=own + max(residency.staging, packing),
        loading=loading,
        peak_layer=max(transients, key=lambda name: transients[name], default=""),
        least=max(arenas * each + taken + smallest.room(arenas), loading_bytes(demands, smallest, leaving)),
        ceiling=capacity,
        devices=tuple(plans),
    )
    return Fitted(memory, residency, on_devices)


def _loadable(demand: Demand, capacity: int | None) -> Demand:
    """Return what weights on a device take, which stay there only if the process has room to pack them at once."""
    if capacity is None or demand.nbytes + demand.packing(demand.slices) <= capacity:
        return demand
    return attrs.evolve(demand, may_stay=False)


def loading_bytes(demands: Sequence[Demand], residency: Residency, leaving: Sequence[Demand] = ()) -> int:
    """Return the most in use while resident weights are read and packed, first what takes most beside itself.

    `leaving`: weights that go to memory of a device's own as soon as they are packed.
    """
    loaded, most = 0, 0
    stays = {d.key: (d, d.nbytes) for d in demands if d.key in residency.resident}
    stays.update({d.key: (d, 0) for d in leaving})
    for demand, kept in sorted(stays.values(), key=lambda pair: -pair[0].packing(pair[0].slices)):
        most = max(most, loaded + demand.nbytes + demand.packing(demand.slices))
        loaded += kept
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


def refusal(plans: Sequence[tuple[MemoryPlan, Sequence[StepMemory]]]) -> CnnrtError:
    """Return the error where no plan fits its ceiling: the least that would do, and the steps that need it.

    A DeviceMemoryError where a device has not enough memory, whatever stays there.
    """
    on_devices = [plan for plan in plans if all(device.fits for device in plan[0].devices)]
    if not on_devices:
        return _device_refusal(plans)
    memory, steps = min(on_devices, key=lambda plan: plan[0].least)
    named = _largest_steps(steps, memory.arenas)
    # In whole MiB from some size on, and always rounded up: what is advised must do.
    advised = -(-memory.least // MIB) if memory.least >= 8 * MIB else -(-memory.least * 1000 // MIB) / 1000
    ceiling = mib(memory.ceiling or 0)
    return MemoryCeilingError(
        f"allocated_ram is {ceiling}, and computing this takes at least {mib(memory.least)}: activations "
        f"{mib(memory.arena * memory.arenas)}, outputs {mib(memory.outputs * memory.arenas)}, the rest weights that "
        f"cannot be read in smaller pieces and what steps allocate; the largest steps are {named}. Set allocated_ram "
        f"to {advised:g}, or use a smaller batch or smaller inputs"
    )


def _device_refusal(plans: Sequence[tuple[MemoryPlan, Sequence[StepMemory]]]) -> DeviceMemoryError:
    def asked(plan: tuple[MemoryPlan, Sequence[StepMemory]]) -> int:
        return max(device.least for device in plan[0].devices if not device.fits)

    memory, steps = min(plans, key=asked)
    device = max((d for d in memory.devices if not d.fits), key=lambda d: d.least - d.capacity)
    named = _largest_steps([s for s in steps if s.device == device.device], memory.arenas)
    if device.least > device.capacity:
        lacking = f"has {mib(device.capacity)}, and computing this takes at least {mib(device.least)} there"
    else:
        lacking = f"gives {mib(device.piece)} in one piece, and computing this takes {mib(device.largest)}"
    return DeviceMemoryError(
        f"{device.device} {lacking}: values between layers {mib(device.arena)}, values that come and go "
        f"{mib(device.border)}, the rest weights; the largest steps are {named}"
    )


def _largest_steps(steps: Sequence[StepMemory], arenas: int) -> str:
    smallest = choose_residency([s.weights for s in steps], 0, arenas)

    def taken(step: StepMemory) -> int:
        stays = step.weights.key in smallest.resident
        weights = step.weights.nbytes if stays else step.weights.piece(smallest.piece)
        return step.values + weights + step.own + (0 if stays else step.weights.staging(smallest.piece))

    largest = sorted(steps, key=taken, reverse=True)[:NAMED]
    return ", ".join(f"{s.layer!r} {mib(taken(s))}" for s in largest)


def step_memory(layer: str, call: LayerCall, kernel: Kernel, weights: Demand, device: str = "") -> StepMemory:
    """Return what a kernel's call takes; `device`: where, if that has memory of its own."""
    values = sum(t.nbytes for t in (*call.inputs, *call.outputs)) + kernel.workspace(call)
    return StepMemory(layer, weights, reference_bytes(kernel, call), values, device)
