"""The tuner: measures, layer by layer, the kernels that compete for a network, and remembers what it learns.

Heaviest layers first, each within its share of the time budget; what was measured before is not measured again, and
equal layers are measured once. Candidates are every kernel of every device in use with every variant of its
parameters, those left out that the cost model expects to take more than three times the best. Compiled ones are
verified before they are timed. A kernel that reads or writes another layout than the default is charged with the
reorders.
"""

from __future__ import annotations

import itertools
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
from cnnrt.passes.split_batch import JoinItems
from cnnrt.placement import Competition
from cnnrt.plugins import PluginHost
from cnnrt.profile import Profile
from cnnrt.reorder_pass import reorder_seconds
from cnnrt.tensor import PLAIN, TensorType
from cnnrt.tuning.key import batch_of, in_bucket, measurement_key
from cnnrt.tuning.knowledge import Knowledge
from cnnrt.tuning.measurement import Run, Timing, time_in_turns, winner_of
from cnnrt.tuning.record import Record, Timed
from cnnrt.tuning.turn import turn

log = logging.getLogger("cnnrt.tuning")

WORTH_TRYING = 3.0
"""Times the best estimate; what is expected to take longer is not tried."""
MOST_VARIANTS = 24
LEAST_TIMING = 0.3
"""Seconds of timing for a layer, if the budget has them."""
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


@attrs.frozen
class _Task:
    name: str
    call: LayerCall
    able: tuple[Candidate, ...]
    tried: tuple[Candidate, ...]
    weight: float


def open_tasks(rivals: Sequence[Competition], known: Knowledge) -> list[_Task]:
    """Return what is not known yet, the heaviest first; equal layers once, and nothing for a partial batch."""
    tasks: dict[str, _Task] = {}
    for rival, times in zip(rivals, _times(rivals), strict=True):
        able = rival.candidates.able
        if rival.view or not able or known.record(rival.call, able) is not None:
            continue
        batch = batch_of(rival.call)
        if batch is not None and batch < max(known.largest_batch, 1):
            continue
        tried = worth_trying(rival.call, able)
        if len(tried) > 1:
            key = repr(measurement_key(rival.call, able, known.threads))
            weight = times * able[0].seconds + (tasks[key].weight if key in tasks else 0)
            tasks[key] = _Task(rival.node.name, rival.call, able, tried, weight)
    return sorted(tasks.values(), key=lambda t: -t.weight)


def _times(rivals: Sequence[Competition]) -> list[int]:
    """Return how often each is computed for one batch: what is before a `JoinItems`, part by part."""
    times = [1] * len(rivals)
    for place, rival in enumerate(rivals):
        if isinstance(rival.node.layer, JoinItems):
            times[:place] = [rival.node.layer.parts * own for own in times[:place]]
    return times


def worth_trying(call: LayerCall, able: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return the default and the variants that may beat it, the most promising first."""
    others = [v for c in able for v in (*([] if c is able[0] else [c]), *_variants(call, c))]
    best = min(c.seconds for c in (able[0], *others))
    promising = [c for c in others if c.seconds <= WORTH_TRYING * best]
    return (able[0], *sorted(promising, key=lambda c: c.seconds)[:MOST_VARIANTS])


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
    tasks: Sequence[_Task], host: PluginHost, known: Knowledge, limits: Limits, progress: Progress | None
) -> str:
    if not tasks:
        return ""
    log.info(
        "measuring the kernels of %d layers for at most %.3g s; what is learned is remembered (auto_tuning)",
        len(tasks),
        limits.seconds,
    )
    end = time.perf_counter() + limits.seconds
    left_out = []
    for number, task in enumerate(tasks):
        if progress:
            progress(number, len(tasks), task.name)
        now = time.perf_counter()
        share = (end - now) * task.weight / sum(t.weight for t in tasks[number:])
        verified = _verified(task, host.backends(), known, limits, end)
        # Compiling and verifying may have used up the share; what cost so much is timed all the same.
        until = min(end, max(now + share, time.perf_counter() + LEAST_TIMING))
        record = verified and _measure(verified, host.backends(), host, known, until, end)
        if verified and record:
            key = measurement_key(verified.call, verified.able, known.threads)
            known.store.put("measurement", key, record.to_json())
        else:
            left_out.append(task.name)
    if progress:
        progress(len(tasks), len(tasks), "")
    if not left_out:
        return ""
    return f"not measured within {limits.seconds:.3g} s and the memory allowed: {', '.join(left_out)}"


def _verified(
    task: _Task, backends: Mapping[str, Backend], known: Knowledge, limits: Limits, end: float
) -> _Task | None:
    """Return the task without liars and without what does not fit into memory; None where the time is used up."""
    for c in _fitting(task, limits.room):
        if time.perf_counter() >= end:
            return None
        if c.kernel.compiled and _problem(c, backends, task, known, limits.strict):
            able = tuple(o for o in task.able if not known.quarantine(o.kernel, o.device))
            if not able:
                return None
            # Perhaps with another default, and other variants that may beat it.
            return _verified(
                attrs.evolve(task, able=able, tried=worth_trying(task.call, able)), backends, known, limits, end
            )
    return attrs.evolve(task, tried=tuple(_fitting(task, limits.room)))


def _measure(
    task: _Task, backends: Mapping[str, Backend], host: PluginHost, known: Knowledge, until: float, end: float
) -> Record | None:
    """Return what was timed, None where the default and another candidate could not be."""
    tried = task.tried
    if len(tried) < 2 or tried[0].kernel is not task.able[0].kernel:
        return None
    inputs, weights = random_arrays(task.call)
    trials: list[KernelTrial] = []
    running: list[Candidate] = []
    for c in tried:
        if time.perf_counter() >= end:
            break
        try:
            trials.append(
                make_trial(c.kernel, backends[c.device.backend], c.device, task.call, inputs, weights, known.threads)
            )
            running.append(c)
        except Exception as error:
            log.debug("%s: %s cannot be tried: %s", task.name, c.kernel.title, error)
            if c is tried[0]:
                return None
    del weights
    if len(running) < 2:
        return None
    timings = time_in_turns([_runner(trial) for trial in trials], until)
    charged = [
        Timing(tuple(r + _joins(c.kernel, running[0].kernel, task.call, c, host, known.threads) for r in timing.rounds))
        for c, timing in zip(running, timings, strict=True)
    ]
    timed = [
        Timed(
            c.device.title,
            f"{c.kernel.backend}/{c.kernel.name}",
            dict(c.kernel.tuning),
            timing.seconds,
            timing.noise,
            len(timing.rounds),
        )
        for c, timing in zip(running, charged, strict=True)
        if timing.rounds
    ]
    if len(timed) < len(running):
        return None
    return Record(tuple(timed), winner_of(charged), 0, batch_of(task.call))


def _problem(c: Candidate, backends: Mapping[str, Backend], task: _Task, known: Knowledge, strict: bool) -> str:
    problem = verify(c.kernel, backends[c.device.backend], c.device, task.call, known.threads, known.store, task.name)
    if problem:
        report([Fault(task.name, c.kernel, c.device, problem)], strict=strict)
    return problem


def _fitting(task: _Task, room: int | None) -> list[Candidate]:
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
