"""What placement asks: which kernels must not be used, and which ones were measured to be the fastest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from cnnrt.backend import Device, Kernel, Tuning
from cnnrt.candidates import Candidate
from cnnrt.kernel_verification import quarantine
from cnnrt.layer_call import LayerCall
from cnnrt.tuning.key import batch_of, in_bucket, measurement_key, with_batch
from cnnrt.tuning.record import Record, Timed, record_from
from cnnrt.tuning.store import Store


@attrs.frozen
class Choice:
    """A candidate that was measured to be the fastest, with its parameters fixed, and the evidence."""

    candidate: Candidate
    evidence: str


@attrs.frozen
class Knowledge:
    """The store as one network reads it. `measured`: whether measurements count (auto_tuning is on).

    `largest_batch`: the most images that the network was prepared for, 0 where this batch is not smaller. One below it
    is taken for a partial last one, and starts no measurements of its own: what is known of the next larger bucket
    counts. `notes` are for the receipt.
    """

    store: Store
    measured: bool = False
    threads: int | None = None
    largest_batch: int = 0
    notes: tuple[str, ...] = ()

    def quarantine(self, kernel: Kernel, device: Device) -> str:
        """Return why a kernel must not be used on a device; empty: it may."""
        return quarantine(kernel, device, self.store)

    def record(self, call: LayerCall, candidates: Sequence[Candidate]) -> Record | None:
        """Return what is known of a call, or of the same with a larger batch where this one is partial."""
        batch = batch_of(call)
        tried = call
        while True:
            found = record_from(self.store.get("measurement", measurement_key(tried, candidates, self.threads)))
            if found is not None or batch is None or not 0 < batch < self.largest_batch:
                return found
            batch *= 2
            tried = with_batch(call, batch)

    def choice(self, call: LayerCall, candidates: Sequence[Candidate]) -> Choice | None:
        """Return the candidate that measurements prefer, None where there are none that fit."""
        record = self.record(call, candidates) if self.measured else None
        if record is None:
            return None
        winner = record.timed[record.winner]
        found = find(winner, call, candidates)
        return Choice(found, evidence(record)) if found else None


def find(timed: Timed, call: LayerCall, candidates: Sequence[Candidate]) -> Candidate | None:
    """Return the candidate that a record speaks of, None where none is it or none takes these parameters any more."""
    for c in candidates:
        if (c.device.title, f"{c.kernel.backend}/{c.kernel.name}") == (timed.device, timed.kernel):
            if not timed.tuning:
                return c
            if is_variant(timed.tuning, c.kernel, call, c.device):
                return attrs.evolve(c, kernel=c.kernel.tuned(timed.tuning))
    return None


def is_variant(tuning: Tuning, kernel: Kernel, call: LayerCall, device: Device) -> bool:
    """Tell whether a kernel's search space holds these parameters: stored values come from anywhere."""
    space: Mapping[str, Sequence[Any]] = {t.name: t.values for t in kernel.tunables(in_bucket(call), device)}
    return set(tuning) == set(space) and all(v in space[n] for n, v in tuning.items()) and kernel.allows(call, tuning)


def evidence(record: Record) -> str:
    """Return the numbers of a record, the winner's first: "measured 1.2 ms ± 0.01 (16 images), against ..."."""
    order = sorted(range(len(record.timed)), key=lambda i: (i != record.winner, record.timed[i].seconds))
    texts = [f"{_title(t)} {_ms(t)}" for t in (record.timed[i] for i in order[1:])]
    images = "" if record.batch is None else f" ({record.batch} image{'s' if record.batch != 1 else ''})"
    against = f", against {', '.join(texts[:6])}" if texts else ""
    return f"measured {_ms(record.timed[record.winner])}{images}{against}"


def _title(timed: Timed) -> str:
    return " ".join((timed.kernel, *(f"{name}={value}" for name, value in timed.tuning.items())))


def _ms(timed: Timed) -> str:
    return f"{timed.seconds * 1e3:.3g} ms" + (f" ± {timed.noise * 1e3:.1g}" if timed.rounds > 1 else "")
