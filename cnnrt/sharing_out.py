"""Sharing layers out between the memories of several devices, and the numbers that decided, for the receipt.

What each layer takes in each memory was measured or is expected; what moving values takes is the backends' to say
(`Backend.transfer_seconds`). `cnnrt.partition` finds the least of both together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import attrs

from cnnrt.backend import Device
from cnnrt.candidates import memory_of
from cnnrt.kernel_choice import Chosen, milliseconds
from cnnrt.partition import Task, Work, least
from cnnrt.passes.split_batch import JoinItems, TakeItems, times_of
from cnnrt.plugins import PluginHost

if TYPE_CHECKING:
    from cnnrt.placement import Competition

DOUBT = 2.0
"""Where one memory's kernel was measured and another's was not, the latter counts for so many times what it expects."""
WORTH_IT = 1.05
"""Times that computing in one memory has to take for a network to be shared out: figures are no better than that, and
each segment costs a little, and what one segment computes may be copied while other parts of the batch are computed."""
AGES = 1e9
"""Seconds that stand for more, and for what is no number."""

Offer = Mapping[str, Chosen]
"""The best candidate for a layer in each memory that has any."""


@attrs.frozen
class Memory:
    """A memory by the title of the device that it belongs to, empty for the process's, and the seconds of moving bytes.

    These are one way: into it, or out of it.
    """

    title: str
    passage: Callable[[int], float]

    @property
    def told(self) -> str:
        """As the receipt names it."""
        return self.title or "the host"


@attrs.frozen
class Share:
    """The candidate for a layer, whether it is the fastest of the memories', and what else decided."""

    chosen: Chosen
    fastest: bool = True
    clauses: tuple[str, ...] = ()


@attrs.frozen
class Shared:
    """A share for each layer (None: no kernel computes it), a note on the whole, and the seconds of all transfers."""

    shares: tuple[Share | None, ...]
    notes: tuple[str, ...] = ()
    transfer_seconds: float = 0.0


def memories_of(devices: Sequence[Device], host: PluginHost) -> list[Memory]:
    """Return the memories that layers can be shared out between, the process's first; none where there is no choice."""
    apart = {title: device for device in devices if (title := memory_of(device, host))}
    if len(devices) < 2 or not apart:
        return []
    backends = host.backends()
    moves = (Memory(title, partial(backends[d.backend].transfer_seconds, d)) for title, d in apart.items())
    return [Memory("", lambda nbytes: 0.0), *moves]


def share_out(
    rivals: Sequence[Competition], offers: Sequence[Offer], memories: Sequence[Memory], wanted: Collection[str]
) -> Shared:
    """Return who computes each layer, so that all of them and the transfers between them take the least time.

    Layers without offers are computed in the process's memory, where inputs come from and `wanted` values go to.
    """
    if not memories or all(rival.view for rival in rivals):
        return Shared(tuple(Share(next(iter(offer.values()))) if offer else None for offer in offers))
    computed = [number for number, rival in enumerate(rivals) if not rival.view]
    decided = _task(rivals, [_weighed(offer) for offer in offers], memories, wanted)
    where = _settled(decided)
    expected = _task(rivals, [{m: _bounded(c.seconds) for m, c in o.items()} for o in offers], memories, wanted)
    moving = expected.moving(where)
    shares: list[Share | None] = [None] * len(rivals)
    for place, number in enumerate(computed):
        offer, title = offers[number], memories[where[place]].title
        if offer:
            weighed = _weighed(offer)
            faster = [m for m in offer if weighed[m] < weighed[title]]
            clauses = _clauses(expected, where, place, moving, offer, memories, faster)
            shares[number] = Share(offer[title], not faster, tuple(clauses))
    return Shared(tuple(shares), (_note(expected, where, memories),), math.fsum(moving))


def _settled(task: Task) -> list[int]:
    """Return the memory for each layer with which all takes the least time, or nearly so and in one memory."""
    best = least(task)
    alone = [where for index in task.memories if set(where := task.mostly_in(index)) == {index}]
    simple = min(alone, key=task.seconds, default=best)
    return simple if task.seconds(simple) <= WORTH_IT * task.seconds(best) else best


def _weighed(offer: Offer) -> dict[str, float]:
    """Return what counts for each memory: the seconds, doubted where others were measured, and the price of bytes."""
    doubt = DOUBT if any(chosen.measured for chosen in offer.values()) else 1.0
    return {m: _bounded(c.seconds * (1.0 if c.measured else doubt) + c.price) for m, c in offer.items()}


def _bounded(seconds: float) -> float:
    return seconds if 0 <= seconds < AGES else AGES


def _task(
    rivals: Sequence[Competition],
    seconds: Sequence[Mapping[str, float]],
    memories: Sequence[Memory],
    wanted: Collection[str],
) -> Task:
    """Return a network's layers, views left out, with these seconds by memory."""
    root: dict[str, str] = {}
    sizes: dict[str, int] = {}
    kept: list[str] = []
    works = []
    for rival, own, times in zip(rivals, seconds, times_of([rival.node.layer for rival in rivals]), strict=True):
        node, tensors = rival.node, (*rival.call.inputs, *rival.call.outputs)
        reads = tuple(root.get(value, value) for value in node.inputs)
        if rival.view:
            if len(reads) == 1 and not isinstance(node.layer, TakeItems | JoinItems):
                root.update(dict.fromkeys(node.outputs, reads[0]))
            else:
                kept += reads  # windows and the whole of a batch are arrays of the process
            continue
        for value, tensor in zip((*reads, *node.outputs), tensors, strict=True):
            sizes.setdefault(value, tensor.nbytes)
        by_memory = tuple(own.get(m.title, math.inf) for m in memories) if own else (0.0, *[math.inf] * len(memories))
        works.append(Work(by_memory[: len(memories)], reads, node.outputs, times))
    kept += [root.get(value, value) for value in wanted]
    passages = {value: tuple(_bounded(m.passage(nbytes)) for m in memories) for value, nbytes in sizes.items()}
    return Task(tuple(works), passages, frozenset(kept))


def _clauses(
    task: Task,
    where: Sequence[int],
    place: int,
    moving: Sequence[float],
    offer: Offer,
    memories: Sequence[Memory],
    faster: Collection[str],
) -> Iterator[str]:
    """Yield what transfers a layer needs, and why memories did not get it where the numbers do not say so."""
    times, here = task.works[place].times, memories[where[place]].title
    if moving[place]:
        yield f"{milliseconds(moving[place] / times)} of transfers"
    for index, memory in enumerate(memories):
        other = offer.get(memory.title)
        if other is None or memory.title == here:
            continue
        if memory.title in faster:
            moved = [*where[:place], index, *where[place + 1 :]]
            more = (math.fsum(task.moving(moved)) - math.fsum(moving)) / times
            named = f"{other.told}," if other.measured != offer[here].measured else other.candidate.kernel.title
            yield f"{named} would need {milliseconds(more)} more of transfers"
        elif offer[here].measured and not other.measured:
            yield f"{other.told}, was not measured"


def _note(task: Task, where: Sequence[int], memories: Sequence[Memory]) -> str:
    """Return what was decided on the whole, against computing all that can be in one memory."""
    used = [memories[index].told for index in sorted(set(where))]
    transfers = math.fsum(task.moving(where))
    placed = f"shared out between {' and '.join(used)}" if len(used) > 1 else f"all on {used[0]}"
    of_it = f", {milliseconds(transfers)} of it transfers" if transfers else ""
    others = []
    best = least(task)
    if task.seconds(best) < task.seconds(where):
        others.append(f"shared out it would be {milliseconds(task.seconds(best))}")
    for index, memory in enumerate(memories):
        alone = task.mostly_in(index)
        if alone != list(where) and index in alone:
            much = "all" if set(alone) == {index} else "all that can be"
            others.append(f"{much} on {memory.told}: {milliseconds(task.seconds(alone))}")
    return "; ".join((f"{placed}: {milliseconds(task.seconds(where))} expected{of_it}", *others))
