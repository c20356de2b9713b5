"""The tuner: measures, layer by layer, the kernels that compete for a network, and remembers what it learns.

Heaviest layers first, each within its share of the time budget; what was measured before is not measured again, and
equal layers are measured once. Where making code for all candidates would take more than a layer's share, the default
and the most promising ones are timed, then the next layer's: all layers get their first candidates before any gets all
of its own. What time is left goes to the others, in the same way. Compiled kernels are verified before they are timed.
A kernel that reads or writes another layout than the default is charged with the reorders.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from cnnrt.backend import Backend, Kernel
from cnnrt.candidates import Candidate
from cnnrt.kernel_trial import KernelTrial, make_trial, plain_bytes, random_arrays, trial_bytes
from cnnrt.kernel_verification import Fault, report, verify
from cnnrt.layer_call import LayerCall
from cnnrt.placement import Competition
from cnnrt.plugins import PluginHost
from cnnrt.profile import Profile
from cnnrt.reorder_pass import reorder_seconds
from cnnrt.tensor import PLAIN, TensorType
from cnnrt.tuning.budget import Clock, Share
from cnnrt.tuning.key import batch_of, measurement_key
from cnnrt.tuning.knowledge import Knowledge
from cnnrt.tuning.measurement import Run, Timing, time_in_turns, winner_of
from cnnrt.tuning.record import Record, Timed
from cnnrt.tuning.tasks import Task, continued, open_tasks, worth_trying
from cnnrt.tuning.turn import turn

log = logging.getLogger("cnnrt.tuning")

PATIENCE = 1.0
"""Seconds to wait for another process that measures."""

Progress = Callable[[int, int, str], None]
"""Called before each layer with the number of layers done, that of all, and the layer's name; and once at the end."""


@attrs.frozen
class Limits:
    """What measuring may take: seconds, and bytes (None: as many as the machine has).

    `strict`: a kernel that computes wrongly ends it.
    """

    seconds: float
    room: int | None = None
    strict: bool = False


def tune(
    rivals: Sequence[Competition],
    host: PluginHost,
    known: Knowledge,
    limits: Limits,
    folder: Path | None,
    progress: Progress | None = None,
) -> str:
    """Measure what is not known yet, and return a sentence where something stays unknown (empty: nothing does).

    What was learned before a KeyboardInterrupt is kept. PlacementError where a kernel computes wrongly and `limits` are
    strict.
    """
    tasks = open_tasks(rivals, known)
    if not tasks:
        return ""
    with turn(folder, PATIENCE) as granted:
        known.store.refresh()  # what another process learned while this one waited
        tasks = open_tasks(rivals, known)
        if not granted:
            note = f"{len(tasks)} layers run on the cost model's choice: another process is measuring"
            log.info(note)
            return note
        return _measure_all(tasks, host, known, limits, progress)


def _measure_all(
    tasks: Sequence[Task], host: PluginHost, known: Knowledge, limits: Limits, progress: Progress | None
) -> str:
    if not tasks:
        return ""
    log.info(
        "measuring the kernels of %d layers for at most %.3g s; what is learned is remembered (auto_tuning)",
        len(tasks),
        limits.seconds,
    )
    clock = Clock(time.perf_counter() + limits.seconds)
    rest, given_up = _measure_in_order(tasks, host, known, limits, clock, progress)
    while rest and not clock.over:
        rest, stopped = _measure_in_order(rest, host, known, limits, clock)
        given_up += stopped
    if progress:
        progress(len(tasks), len(tasks), "")
    unmeasured = [task.name for task in given_up if not task.record]
    unfinished = [task.name for task in (*given_up, *rest) if task.record]
    notes = []
    if unmeasured:
        notes.append(f"not measured within {limits.seconds:.3g} s and the memory allowed: {', '.join(unmeasured)}")
    if unfinished:
        notes.append(f"measured, but not with all kernels, within {limits.seconds:.3g} s: {', '.join(unfinished)}")
    return "; ".join(notes)


def _measure_in_order(
    tasks: Sequence[Task],
    host: PluginHost,
    known: Knowledge,
    limits: Limits,
    clock: Clock,
    progress: Progress | None = None,
) -> tuple[list[Task], list[Task]]:
    """Measure each layer within its share; return what is left to be tried, and those that nothing was learned of."""
    rest: list[Task] = []
    nothing: list[Task] = []
    for number, task in enumerate(tasks):
        if progress:
            progress(number, len(tasks), task.name)
        part = task.weight / sum(t.weight for t in tasks[number:])
        share = Share(clock, part, behind=len(tasks) - number - 1)
        verified, reached = _verified(task, host.backends(), known, limits, share)
        record = _measure(verified, reached, host, known, share) if verified else None
        if verified is None or record is None:
            nothing.append(task)
            continue
        key = measurement_key(verified.call, verified.able, known.threads)
        known.store.put("measurement", key, record.to_json())
        if record.left:
            rest.append(continued(verified, record))
    return rest, nothing


def _verified(
    task: Task, backends: Mapping[str, Backend], known: Knowledge, limits: Limits, share: Share
) -> tuple[Task | None, int]:
    """Return the task without liars and without what does not fit into memory, and how many of it can be timed now.

    None where the time does not do for a contest.
    """
    fitting = _fitting(task, limits.room)
    honest: list[Candidate] = []
    for place, c in enumerate(fitting):
        if share.clock.over or (len(honest) >= task.fewest and share.made_enough):
            left = fitting[place:]
            break
        if not c.kernel.compiled:
            honest.append(c)
            continue
        started = time.perf_counter()
        problem = _problem(c, backends, task, known, limits.strict)
        share.made(time.perf_counter() - started)
        if not problem:
            honest.append(c)
        elif c is task.tried[0]:
            able = tuple(o for o in task.able if not known.quarantine(o.kernel, o.device))
            # Perhaps with another default, and other variants that may beat it.
            again = attrs.evolve(task, able=able, tried=worth_trying(task.call, able), record=None) if able else None
            return _verified(again, backends, known, limits, share) if again else (None, 0)
    else:
        left = []
    able = tuple(o for o in task.able if not known.quarantine(o.kernel, o.device))
    left = [c for c in left if not known.quarantine(c.kernel, c.device)]
    if len(honest) < task.fewest:
        return None, 0
    return attrs.evolve(task, able=able, tried=(*honest, *left)), len(honest)


def _measure(task: Task, reached: int, host: PluginHost, known: Knowledge, share: Share) -> Record | None:
    """Return what was timed, of the first `reached` candidates; None where that is no contest."""
    if task.tried[0].kernel is not task.able[0].kernel:
        return None
    backends = host.backends()
    inputs, weights = random_arrays(task.call)
    trials: list[KernelTrial] = []
    running: list[Candidate] = []
    left = len(task.tried) - reached
    for place, c in enumerate(task.tried[:reached]):
        if share.clock.over or (len(running) >= task.fewest and share.over):
            left += reached - place
            break
        try:
            trials.append(
                make_trial(c.kernel, backends[c.device.backend], c.device, task.call, inputs, weights, known.threads)
            )
            running.append(c)
        except Exception as error:
            log.debug("%s: %s cannot be tried: %s", task.name, c.kernel.title, error)
            if c is task.tried[0]:
                return None
    del weights
    if len(running) < task.fewest:
        return attrs.evolve(task.record, left=0) if task.record and not left else None
    timings = time_in_turns([_runner(trial) for trial in trials], share.timing_ends())
    timings = [timing for timing in timings if timing.rounds]  # where time was up, the last have none
    left += len(running) - len(timings)
    if len(timings) < task.fewest:
        return None
    charged = [
        Timing(tuple(r + _joins(c.kernel, running[0].kernel, task.call, c, host, known.threads) for r in timing.rounds))
        for c, timing in zip(running, timings, strict=False)
    ]
    return _joined(
        task.record,
        [_timed(c, timing) for c, timing in zip(running, charged, strict=False)],
        winner_of(charged),
        left,
        batch_of(task.call),
    )


def _timed(c: Candidate, timing: Timing) -> Timed:
    name = f"{c.kernel.backend}/{c.kernel.name}"
    return Timed(c.device.title, name, dict(c.kernel.tuning), timing.seconds, timing.noise, len(timing.rounds))


def _joined(before: Record | None, timed: Sequence[Timed], winner: int, left: int, batch: int | None) -> Record:
    """Return a record of what was timed now, the default first, and earlier."""
    now = [(t.device, t.kernel, dict(t.tuning)) for t in timed]
    earlier = [t for t in before.timed if (t.device, t.kernel, dict(t.tuning)) not in now] if before else []
    return Record((*timed, *earlier), winner, 0, batch, left)


def _problem(c: Candidate, backends: Mapping[str, Backend], task: Task, known: Knowledge, strict: bool) -> str:
    problem = verify(c.kernel, backends[c.device.backend], c.device, task.call, known.threads, known.store, task.name)
    if problem:
        report([Fault(task.name, c.kernel, c.device, problem)], strict=strict)
    return problem


def _fitting(task: Task, room: int | None) -> list[Candidate]:
    """Return the candidates whose trials fit into memory together."""
    if room is None:
        from cnnrt.hardware import detect_hardware

        room = detect_hardware().memory_available // 2
    room -= plain_bytes(task.call)
    fitting = []
    for c in task.tried:
        needed = trial_bytes(c.kernel, task.call)
        if needed <= room:
            room -= needed
            fitting.append(c)
    return fitting


def _runner(trial: KernelTrial) -> Run:
    """Return what computes a call once; on a device apart, by its own clock: transfers are the plan's affair."""
    outputs, workspace = trial.buffers()

    def by_its_clock() -> float:
        profile = Profile()
        trial.run(outputs, workspace, profile)
        return sum(layer.run_seconds for layer in profile.layers)

    return by_its_clock if trial.apart else lambda: trial.run(outputs, workspace)


def _joins(
    kernel: Kernel, default: Kernel, call: LayerCall, c: Candidate, host: PluginHost, threads: int | None
) -> float:
    """Return the seconds of the reorders that a kernel needs where the default needs none, and the other way round."""

    def moved(tensors: Sequence[TensorType], ours: str, theirs: str) -> float:
        if ours == theirs or any(len(t.shape) != 4 and PLAIN not in (ours, theirs) for t in tensors):
            return 0.0
        return sum(reorder_seconds(t, theirs, ours, c.device, host, threads) for t in tensors)

    own = call.own(call.inputs)
    further = call.inputs[len(own) :]
    return (
        moved(own, kernel.takes(call), default.takes(call))
        + moved(further, kernel.gives(call), default.gives(call))
        + moved(call.outputs, default.gives(call), kernel.gives(call))
    )
