"""What placement asks: which kernels must not be used, and which ones were measured to be the fastest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from cnnrt.backend import Device, Kernel, Tuning
from cnnrt.candidates import Candidate
from cnnrt.kernel_verification import quarantine
from cnnrt.layer_call import LayerCall
from cnnrt.tuning.key import batch_of, in_bucket, measurement_key, with_batch
from cnnrt.tuning.measurement import CERTAINTY
from cnnrt.tuning.record import Record, Timed, record_from
from cnnrt.tuning.store import Store


@attrs.frozen
class Choice:
    """A candidate that was measured to be the fastest, with its parameters fixed, its seconds, and the evidence."""

    candidate: Candidate
    seconds: float
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

    def choice(self, call: LayerCall, candidates: Sequence[Candidate], memory: str | None = None) -> Choice | None:
        """Return the candidate that measurements prefer, of those in one memory if one is named.

        None where there are no measurements that fit. Seconds are those of this call: where another batch was measured,
        in the proportion that the kernel's cost model expects.
        """
        record = self.record(call, candidates) if self.measured else None
        if record is None:
            return None
        index = record.winner if memory is None else fastest_of(record, candidates, memory)
        found = find(record.timed[index], call, candidates) if index is not None else None
        if index is None or found is None:
            return None
        return Choice(found, _seconds(record, record.timed[index], call, found), evidence(record, index))


def find(timed: Timed, call: LayerCall, candidates: Sequence[Candidate]) -> Candidate | None:
    """Return the candidate that a record speaks of, None where none is it or none takes these parameters any more."""
    for c in candidates:
        if (c.device.title, f"{c.kernel.backend}/{c.kernel.name}") == (timed.device, timed.kernel):
            if not timed.tuning:
                return c
            if is_variant(timed.tuning, c.kernel, call, c.device):
                return attrs.evolve(c, kernel=c.kernel.tuned(timed.tuning))
    return None


def fastest_of(record: Record, candidates: Sequence[Candidate], memory: str) -> int | None:
    """Return the index of what was timed to be the fastest in a memory; None: nothing was timed there.

    As everywhere, the default (the one that is expected to be the fastest) has to be beaten by more than chance.
    """
    own = [c for c in candidates if c.memory == memory]
    titles = {c.device.title for c in own}
    timed = [index for index, t in enumerate(record.timed) if t.device in titles]
    if not timed or record.winner in timed:
        return record.winner if timed else None
    named: tuple[str, str, Tuning] = (own[0].device.title, f"{own[0].kernel.backend}/{own[0].kernel.name}", {})
    as_named = (i for i in timed if (record.timed[i].device, record.timed[i].kernel, record.timed[i].tuning) == named)
    default = next(as_named, timed[0])
    best = min(timed, key=lambda index: record.timed[index].seconds)
    return best if beyond_chance(record.timed[best], record.timed[default]) else default


def beyond_chance(timed: Timed, default: Timed) -> bool:
    """Tell whether one was timed to be faster than another by more than their noise."""
    return default.seconds - timed.seconds > CERTAINTY * math.hypot(timed.noise, default.noise)


def is_variant(tuning: Tuning, kernel: Kernel, call: LayerCall, device: Device) -> bool:
    """Tell whether a kernel's search space holds these parameters: stored values come from anywhere."""
    space: Mapping[str, Sequence[Any]] = {t.name: t.values for t in kernel.tunables(in_bucket(call), device)}
    return set(tuning) == set(space) and all(v in space[n] for n, v in tuning.items()) and kernel.allows(call, tuning)


def evidence(record: Record, index: int) -> str:
    """Return a record's numbers, those of one candidate first: "measured 1.2 ms ± 0.01 (16 images), against ..."."""
    order = sorted(range(len(record.timed)), key=lambda i: (i != index, record.timed[i].seconds))
    texts = [f"{_title(t)} {_ms(t)}" for t in (record.timed[i] for i in order[1:])]
    images = "" if record.batch is None else f" ({record.batch} image{'s' if record.batch != 1 else ''})"
    against = f", against {', '.join(texts[:6])}" if texts else ""
    return f"measured {_ms(record.timed[index])}{images}{against}"


def _seconds(record: Record, timed: Timed, call: LayerCall, found: Candidate) -> float:
    """Return the seconds of a call, by what was timed on perhaps another batch."""
    if record.batch is None or record.batch < 1 or batch_of(call) in (None, record.batch):
        return timed.seconds
    there, here = (found.kernel.estimate(c, found.device) for c in (with_batch(call, record.batch), call))
    return timed.seconds * here / there if there > 0 else timed.seconds


def _title(timed: Timed) -> str:
    return " ".join((timed.kernel, *(f"{name}={value}" for name, value in timed.tuning.items())))


def _ms(timed: Timed) -> str:
    return f"{timed.seconds * 1e3:.3g} ms" + (f" ± {timed.noise * 1e3:.1g}" if timed.rounds > 1 else "")
