"""The kernel for a call: the one that was measured to be the fastest, else is expected to be, or a leaner one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import attrs

from cnnrt.backend import Device, Kernel
from cnnrt.candidates import Candidate
from cnnrt.layer_call import LayerCall

if TYPE_CHECKING:
    from cnnrt.tuning.knowledge import Choice


class Knows(Protocol):
    """What is known of kernels on this machine, for so many threads; see `cnnrt.tuning.knowledge`."""

    @property
    def threads(self) -> int | None:
        """The user's limit of threads; None: there is none."""

    def quarantine(self, kernel: Kernel, device: Device) -> str:
        """Return why a kernel must not be used on a device; empty: it may."""

    def choice(self, call: LayerCall, candidates: Sequence[Candidate], memory: str | None = None) -> Choice | None:
        """Return the candidate that measurements prefer, None where there are none; with `memory`, of those there."""


@attrs.frozen
class Chosen:
    """A candidate, the seconds that it takes, whether these were measured, and the numbers by which it was chosen.

    `price`: what its memory costs, in seconds.
    """

    candidate: Candidate
    seconds: float
    measured: bool
    numbers: str
    price: float = 0.0

    @property
    def told(self) -> str:
        """The kernel with its seconds, and where these are from."""
        origin = "measured" if self.measured else "expected"
        return f"{self.candidate.kernel.title}, {origin} {milliseconds(self.seconds)}"


def choose(
    call: LayerCall, able: Sequence[Candidate], known: Knows, byte_seconds: float, memory: str | None = None
) -> Chosen | None:
    """Return the candidate whose time and memory together cost the least; None: there is none.

    `able`: the one that is expected to be the fastest first. `byte_seconds`: what a byte of packed weights and of
    workspace costs, where memory is scarce. `memory`: only those that compute there.
    """
    own = [c for c in able if memory in (None, c.memory)]
    if not own:
        return None
    choice = known.choice(call, able, memory)
    fastest = choice.candidate if choice else own[0]
    best = _leaner(fastest, own, call, byte_seconds)
    seconds = best.seconds
    if best is not fastest:
        saved = _bytes_of(fastest, call) - _bytes_of(best, call)
        numbers = f"leaner by {saved / 2**20:.3g} MiB than {fastest.kernel.title}, expected {milliseconds(seconds)}"
    elif choice:
        seconds, numbers = choice.seconds, choice.evidence
    else:
        others = [f"{c.device.backend}/{c.kernel.name} {milliseconds(c.seconds)}" for c in able if c is not best]
        numbers = f"expected {milliseconds(seconds)}" + (f", against {', '.join(others)}" if others else "")
    price = byte_seconds and byte_seconds * _bytes_of(best, call)
    return Chosen(best, seconds, choice is not None and best is fastest, numbers, price)


def milliseconds(seconds: float) -> str:
    """Return seconds as the receipt shows them."""
    return f"{seconds * 1e3:.3g} ms"


def _leaner(fastest: Candidate, able: Sequence[Candidate], call: LayerCall, byte_seconds: float) -> Candidate:
    if not byte_seconds:
        return fastest
    return min((fastest, *able), key=lambda c: c.seconds + byte_seconds * _bytes_of(c, call))


def _bytes_of(candidate: Candidate, call: LayerCall) -> int:
    """Return the bytes of packed weights and workspace."""
    return candidate.kernel.packed_bytes(call) + candidate.kernel.workspace(call)
