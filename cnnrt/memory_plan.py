"""What a prepared network takes of memory, added up before anything large is allocated."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from cnnrt.backend import Step
from cnnrt.buffers import Buffers
from cnnrt.caller_warning import warn_caller
from cnnrt.errors import CnnrtError, MemoryCeilingWarning
from cnnrt.placement import ReferenceKernel

MIB = 1 << 20


@attrs.frozen
class MemoryPlan:
    """Bytes of a prepared network.

    - `arena`: activations and workspaces, shared over time; `arenas` of them for concurrent calls.
    - `device`: the same in memory of the backends' own, which on some devices is a part of the machine's.
    - `resident`: packed weights that stay; `streamed`: all packed weights that are read for each call.
    - `outputs`: arrays handed back.
    - `transient`: the most that one step allocates for itself: streamed weights, a reference's float64 copies.
    - `peak`: resident, and for each concurrent call an arena, that of devices, outputs and transient; `peak_layer`:
      where the transient part is largest.
    - `ceiling`: `allocated_ram` in bytes, or None.
    """

    arena: int
    device: int
    arenas: int
    resident: int
    streamed: int
    outputs: int
    transient: int
    peak_layer: str
    ceiling: int | None

    @property
    def peak(self) -> int:
        """The most bytes in use at one time."""
        return (self.arena + self.device + self.outputs + self.transient) * self.arenas + self.resident

    def __str__(self) -> str:
        """Return the plan in one line."""
        parts = [
            f"peak {mib(self.peak)}",
            f"arena {mib(self.arena)}" + (f" × {self.arenas}" if self.arenas > 1 else ""),
            *([f"on devices {mib(self.device)}"] if self.device else []),
            f"resident weights {mib(self.resident)}",
            f"streamed weights {mib(self.streamed)}",
            "no ceiling" if self.ceiling is None else f"ceiling {mib(self.ceiling)}",
        ]
        return ", ".join(parts)


def mib(nbytes: int) -> str:
    """Return bytes as people read them, in MiB."""
    return f"{nbytes / MIB:.3g} MiB" if nbytes < 100 * MIB else f"{nbytes / MIB:.0f} MiB"


def plan_memory(steps: Sequence[Step], buffers: Buffers, arenas: int, allocated_ram: float | None) -> MemoryPlan:
    """Add up the memory of all steps. Warns where it exceeds `allocated_ram` (MiB).

    Raises CnnrtError where it exceeds the machine's whole memory.
    """
    handles = {id(s.weights): s.weights for s in steps}.values()
    transients = {
        step.layer_name: (0 if step.weights.resident else step.weights.nbytes) + _reference_bytes(step)
        for step in steps
    }
    peak_layer = max(transients, key=lambda name: transients[name], default="")
    plan = MemoryPlan(
        arena=buffers.arena_bytes,
        device=buffers.private_bytes,
        arenas=arenas,
        resident=sum(h.nbytes for h in handles if h.resident),
        streamed=sum(h.nbytes for h in handles if not h.resident),
        outputs=sum(buffers.specs[slot].type.nbytes for slot in buffers.outputs),
        transient=transients.get(peak_layer, 0),
        peak_layer=peak_layer,
        ceiling=None if allocated_ram is None else int(allocated_ram * MIB),
    )
    _check(plan)
    return plan


def _reference_bytes(step: Step) -> int:
    if not isinstance(step.kernel, ReferenceKernel):
        return 0
    call = step.call
    own = call.layer.reference_workspace(call.own(call.input_shapes), call.output_shapes, call.weight_shapes)
    return own + sum(t.nbytes for t in call.outputs)


def _check(plan: MemoryPlan) -> None:
    if plan.peak >= 1 << 30:  # below that no machine of today is asked too much, and psutil need not be imported
        import psutil

        total = psutil.virtual_memory().total
        if plan.peak > total:
            raise CnnrtError(
                f"computing this needs {mib(plan.peak)}, the machine has {mib(total)}: "
                "use smaller inputs, a smaller batch, or a lower allocated_ram so that weights are streamed"
            )
    if plan.ceiling is not None and plan.peak > plan.ceiling:
        warn_caller(
            f"the plan needs {mib(plan.peak)}, above allocated_ram ({mib(plan.ceiling)}): {plan}; "
            "so far the ceiling decides which weights stay resident, it does not yet bound activations",
            MemoryCeilingWarning,
        )
