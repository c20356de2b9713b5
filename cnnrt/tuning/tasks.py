"""What is to be measured: for each layer the kernels and variants that may beat the default.

Candidates are every kernel of every device in use with every variant of its parameters, those left out that the cost
model expects to take more than three times the best, but for the best of each memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import attrs

from cnnrt.candidates import Candidate
from cnnrt.layer_call import LayerCall
from cnnrt.passes.split_batch import times_of
from cnnrt.placement import Competition
from cnnrt.tuning.key import batch_of, in_bucket, measurement_key
from cnnrt.tuning.knowledge import Knowledge
from cnnrt.tuning.record import Record, Timed

WORTH_TRYING = 3.0
"""Times the best estimate; what is expected to take longer is not tried."""
MOST_VARIANTS = 24


@attrs.frozen
class Task:
    """A call to be measured: who is `able`, who is to be `tried` (the default first), and its share of all the time.

    `record`: what an earlier contest gave, in which time was up before all were tried. Its winner is tried again.
    """

    name: str
    call: LayerCall
    able: tuple[Candidate, ...]
    tried: tuple[Candidate, ...]
    weight: float
    record: Record | None = None

    @property
    def fewest(self) -> int:
        """How many of those that are to be tried make a contest: the default, an earlier winner, and a new one."""
        return 2 + (self.record is not None and self.record.winner != self.record.default)


def open_tasks(rivals: Sequence[Competition], known: Knowledge) -> list[Task]:
    """Return what is not known yet, the heaviest first; equal layers once, and nothing for a partial batch."""
    tasks: dict[str, Task] = {}
    for rival, times in zip(rivals, times_of([rival.node.layer for rival in rivals]), strict=True):
        able = rival.candidates.able
        if rival.view or not able:
            continue
        record = known.record(rival.call, able)
        batch = batch_of(rival.call)
        if (record and not record.left) or (batch is not None and batch < max(known.largest_batch, 1)):
            continue
        task = Task(rival.node.name, rival.call, able, worth_trying(rival.call, able), times * able[0].seconds)
        if record:
            task = continued(task, record)
        if len(task.tried) >= task.fewest:
            key = repr(measurement_key(rival.call, able, known.threads))
            weight = task.weight + (tasks[key].weight if key in tasks else 0)
            tasks[key] = attrs.evolve(task, weight=weight)
    return sorted(tasks.values(), key=lambda t: -t.weight)


def continued(task: Task, record: Record) -> Task:
    """Return the task for those that a record does not name, against the default and the winner so far."""
    default, *others = task.tried
    winner = record.timed[record.winner]
    best = [c for c in others if _same(c, winner)]
    untried = [c for c in others if not any(_same(c, timed) for timed in record.timed)]
    return attrs.evolve(task, tried=(default, *best, *untried) if untried else (), record=record)


def worth_trying(call: LayerCall, able: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return the default and the variants that may beat it, the most promising first.

    The best of each other memory comes before them: placement weighs memories against one another, transfers counted.
    """
    others = [v for c in able for v in (*([] if c is able[0] else [c]), *_variants(call, c))]
    others.sort(key=lambda c: c.seconds)
    elsewhere = {c.memory: c for c in reversed(others) if c.memory != able[0].memory}
    best = min(c.seconds for c in (able[0], *others))
    promising = [c for c in others if c.seconds <= WORTH_TRYING * best and c is not elsewhere.get(c.memory)]
    return (able[0], *sorted(elsewhere.values(), key=lambda c: c.seconds), *promising[:MOST_VARIANTS])


def _same(c: Candidate, timed: Timed) -> bool:
    name = f"{c.kernel.backend}/{c.kernel.name}"
    return (c.device.title, name, dict(c.kernel.tuning)) == (timed.device, timed.kernel, dict(timed.tuning))


def _variants(call: LayerCall, c: Candidate) -> list[Candidate]:
    tunables = c.kernel.tunables(in_bucket(call), c.device)
    if not tunables:
        return []
    variants = []
    for values in itertools.product(*(t.values for t in tunables)):
        tuning = dict(zip((t.name for t in tunables), values, strict=True))
        if c.kernel.allows(call, tuning):
            kernel = c.kernel.tuned(tuning)
            variants.append(attrs.evolve(c, kernel=kernel, seconds=kernel.estimate(call, c.device)))
    return variants
