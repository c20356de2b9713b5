"""Which memory a network's layers are computed in, so that computing and moving values take the least time together.

Layers that follow one another in one memory are a run, which is a segment of the plan: what it reads of others comes in
before it, once; what others read of it goes out behind it; both by way of the process's memory, and what only the run
uses stays where it is. So what a run costs depends on where it begins and ends, and on nothing beside it, whatever the
graph. The least for the first layers of a network then follows from the least for fewer of them (dynamic programming,
as lines of text are broken by Knuth and Plass, "Breaking paragraphs into lines", 1981): exact, the same each time, and
for n layers n steps over arrays of n.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence

import attrs
import numpy as np
import numpy.typing as npt


@attrs.frozen
class Work:
    """What one layer does: the seconds that it takes in each memory (inf: it cannot), the values it reads and gives.

    `times`: how often it runs in a call, each time on other items. A run ends where that changes.
    """

    seconds: tuple[float, ...]
    reads: tuple[str, ...]
    gives: tuple[str, ...]
    times: int = 1


@attrs.frozen
class Task:
    """A network: its layers in order, and what moving its values costs.

    `passages`: for each value, the seconds that it takes into or out of each memory, one way; 0 for the process's own.
    `kept`: the values that have to be in the process's memory. Values that no layer gives are there from the start.
    """

    works: tuple[Work, ...]
    passages: Mapping[str, tuple[float, ...]]
    kept: Collection[str]

    @property
    def memories(self) -> range:
        """The memories, by number."""
        return range(len(self.works[0].seconds)) if self.works else range(0)

    def computing(self, memories: Sequence[int]) -> float:
        """Return the seconds of computing, each layer in the memory that is named for it."""
        return math.fsum(w.times * w.seconds[m] for w, m in zip(self.works, memories, strict=True))

    def moving(self, memories: Sequence[int]) -> list[float]:
        """Return, for each layer, the seconds of bringing what its run has not got yet and taking out what it gives."""
        runs = list(_runs(self.works, memories))
        made = {value: run for work, run in zip(self.works, runs, strict=True) for value in work.gives}
        leaving = {v for w, run in zip(self.works, runs, strict=True) for v in w.reads if made.get(v, run) != run}
        leaving.update(self.kept)
        there = {(run, value) for value, run in made.items()}
        seconds = []
        for work, memory, run in zip(self.works, memories, runs, strict=True):
            missing = [v for v in dict.fromkeys(work.reads) if (run, v) not in there]
            there.update((run, v) for v in missing)
            moved = (*missing, *(v for v in work.gives if v in leaving))
            seconds.append(work.times * math.fsum(self.passages[v][memory] for v in moved))
        return seconds

    def seconds(self, memories: Sequence[int]) -> float:
        """Return the seconds of both together."""
        return self.computing(memories) + math.fsum(self.moving(memories))

    def mostly_in(self, memory: int) -> list[int]:
        """Return one memory for all layers that it can compute, for others that in which they take the least."""
        return [
            memory if math.isfinite(w.seconds[memory]) else min(self.memories, key=w.seconds.__getitem__)
            for w in self.works
        ]


def least(task: Task) -> list[int]:
    """Return the memory for each layer with which all takes the least time; of equals the one with the lower number."""
    count = len(task.works)
    best = np.full(count + 1, math.inf)
    best[0] = 0.0
    came = [(0, 0)] * (count + 1)  # where the last run of the first layers begins, and its memory
    costs = [np.zeros(count) for _ in task.memories]  # of the run from layer i up to the present one
    made = {value: number for number, work in enumerate(task.works) for value in work.gives}
    last = {value: number for number, work in enumerate(task.works) for value in work.reads}
    last.update(dict.fromkeys(task.kept, count))
    seen: dict[str, int] = {}  # the latest layer so far that read a value
    for number, work in enumerate(task.works):
        if number and work.times != task.works[number - 1].times:
            for cost in costs:
                cost[:number] = math.inf
        reads = tuple(dict.fromkeys(work.reads))
        for memory, cost in enumerate(costs):
            cost[: number + 1] += work.times * work.seconds[memory]
            for value in reads:
                if passage := work.times * task.passages[value][memory]:
                    _read(cost, passage, made.get(value, -1), seen.get(value, -1), number, last[value])
            for value in work.gives:
                if last.get(value, -1) > number:
                    cost[: number + 1] += work.times * task.passages[value][memory]
            totals = best[: number + 1] + cost[: number + 1]
            start = int(totals.argmin())
            if totals[start] < best[number + 1]:
                best[number + 1], came[number + 1] = totals[start], (start, memory)
        seen.update(dict.fromkeys(reads, number))
    memories: list[int] = []
    while len(memories) < count:
        end = count - len(memories)
        start, memory = came[end]
        memories += [memory] * (end - start)
    return memories[::-1]


def _read(cost: npt.NDArray[np.float64], passage: float, made: int, seen: int, number: int, last: int) -> None:
    """Add what it costs that layer `number` reads a value, for every layer at which its run may begin."""
    cost[max(made, seen) + 1 : number + 1] += passage  # not there yet
    if number == last and made >= 0:
        cost[: made + 1] -= passage  # nobody else reads it: it need not go out


def _runs(works: Sequence[Work], memories: Sequence[int]) -> Iterator[int]:
    """Yield the number of each layer's run."""
    number, before = -1, None
    for work, memory in zip(works, memories, strict=True):
        if (memory, work.times) != before:
            number, before = number + 1, (memory, work.times)
        yield number
