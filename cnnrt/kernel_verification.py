"""The verification of compiled kernels, on the device itself, at the real shape, before they are first used.

A kernel whose code is made for the device (`Kernel.compiled`) computes random inputs once, and a few dozen of its
outputs are compared with the layer's reference in float64: corners, edges, the last tile, the last channel, some at
random, and whatever it left unwritten. That it passed is remembered for its source, the device with its driver, its
parameters and the shapes, so that later starts pay nothing. One that fails is quarantined by name: it is reported, and
no layer runs on it until its source changes.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Iterable, Mapping, Sequence

import attrs
import numpy as np

from cnnrt.backend import Backend, BufferSpec, Device, Kernel, Segment
from cnnrt.blas_guard import one_blas_thread
from cnnrt.caller_warning import warn_caller
from cnnrt.errors import DeviceLostError, KernelWarning, PlacementError
from cnnrt.layer import Array, Part, Place, Shape
from cnnrt.layer_call import LayerCall
from cnnrt.rounding import FLOAT32, disagreements
from cnnrt.tuning.key import kernel_key, verification_key
from cnnrt.tuning.store import Store
from cnnrt.weight_storage import rounded_weights

log = logging.getLogger("cnnrt.tuning")

TILE = 16
"""Places from the end of each axis that count as the last tile."""
SOME = 12
"""Places of each kind that are drawn at random."""
SEED = 1602
VIEWED = 4
"""Places that a kernel left unwritten which are looked at."""


@attrs.frozen
class Fault:
    """A kernel that was found to compute wrongly, for which layer, and how far off."""

    layer_name: str
    kernel: Kernel
    device: Device
    problem: str

    def __str__(self) -> str:
        """Return it in one sentence."""
        return (
            f"layer {self.layer_name!r}: kernel {self.kernel.title!r} computes wrongly on {self.device.title}: "
            f"{self.problem}"
        )


def verify_segments(
    segments: Iterable[Segment],
    backends: Mapping[str, Backend],
    buffers: Sequence[BufferSpec],
    threads: int | None,
    store: Store,
) -> list[Fault]:
    """Verify every compiled kernel that was not verified before, for its call; quarantine those that fail.

    Raises MemoryError where there is not enough for a kernel's inputs, weights and outputs.
    """
    faults: list[Fault] = []
    for segment in segments:
        new = [
            s
            for s in segment.steps
            if s.kernel.compiled and not _passed(s.kernel, segment.device, s.call, threads, store)
        ]
        if not new:
            continue
        backend = backends[segment.backend]
        if len(new) > 1:
            # At once, so that a compiler may use all cores; what it made is there when each is compiled alone.
            with contextlib.suppress(Exception):
                backend.compile(segment, buffers, threads)
        for step in new:
            if not any(f.kernel is step.kernel for f in faults):
                streamed = not step.weights.resident
                problem = verify(
                    step.kernel, backend, segment.device, step.call, threads, store, step.layer_name, streamed=streamed
                )
                if problem:
                    faults.append(Fault(step.layer_name, step.kernel, segment.device, problem))
    return faults


def unverified(segments: Iterable[Segment], threads: int | None, store: Store) -> bool:
    """Tell whether a compiled kernel among these was not verified for its call."""
    return any(
        step.kernel.compiled and not _passed(step.kernel, segment.device, step.call, threads, store)
        for segment in segments
        for step in segment.steps
    )


def report(faults: Sequence[Fault], *, strict: bool) -> None:
    """Warn of kernels that compute wrongly; PlacementError where `strict` forbids doing without them."""
    listed = "\n".join(f"    {fault}" for fault in faults)
    if strict:
        raise PlacementError(f"strict forbids doing without kernels that compute wrongly:\n{listed}")
    warn_caller(f"kernels that compute wrongly are not used any more:\n{listed}", KernelWarning)


def verify(
    kernel: Kernel,
    backend: Backend,
    device: Device,
    call: LayerCall,
    threads: int | None,
    store: Store,
    layer_name: str,
    *,
    streamed: bool = False,
) -> str:
    """Return what is wrong with a kernel, empty: nothing; what was found before is not tried again.

    `streamed`: it is tried with weights that pass slice by slice.
    """
    if _passed(kernel, device, call, threads, store):
        return ""
    if known := quarantine(kernel, device, store):
        return known
    problem = problem_of(kernel, backend, device, call, threads, streamed=streamed)
    if problem:
        store.put("quarantine", kernel_key(kernel, device), {"layer": layer_name, "problem": problem})
    elif problem is not None:
        store.put("verification", verification_key(kernel, device, call, threads), True)
    return problem or ""


def _passed(kernel: Kernel, device: Device, call: LayerCall, threads: int | None, store: Store) -> bool:
    return store.get("verification", verification_key(kernel, device, call, threads)) is True


def quarantine(kernel: Kernel, device: Device, store: Store) -> str:
    """Return why a kernel must not be used on a device; empty: it may."""
    found = store.get("quarantine", kernel_key(kernel, device))
    problem = found.get("problem") if isinstance(found, dict) else None
    return problem if isinstance(problem, str) else ""


def problem_of(
    kernel: Kernel, backend: Backend, device: Device, call: LayerCall, threads: int | None, *, streamed: bool = False
) -> str | None:
    """Run a kernel once on a call, and return how it fails or where it is wrong; empty: all is well.

    None where that cannot be told, since the layer's reference fails on random numbers too.
    """
    if not any(np.prod(t.shape) for t in call.outputs):
        return ""
    from cnnrt.kernel_trial import make_trial, random_arrays  # where nothing is compiled, or all is known, not needed

    inputs, weights = random_arrays(call, SEED)
    failure = ""
    try:
        trial = make_trial(kernel, backend, device, call, inputs, weights, threads, streamed=streamed)
        outputs, workspace = trial.buffers()
        trial.run(outputs, workspace)
        results = trial.plain(outputs)
    except MemoryError:
        raise
    except DeviceLostError as error:
        if not any(d.name == device.name and not d.problem for d in backend.devices()):
            raise  # nothing can be told of kernels on a device that is gone
        failure = f"it fails: {error}"[:500]
    except Exception as error:
        failure = f"it fails: {type(error).__name__}: {error}"[:500]
        results = [np.broadcast_to(np.float32(0), t.shape) for t in call.outputs]
    try:
        with one_blas_thread:
            wrong = wrong_value(kernel, call, inputs, weights, results)
    except MemoryError:
        raise
    except Exception as error:
        name = type(error).__name__
        log.warning("%s cannot be verified: %s cannot be computed: %s: %s", kernel.title, call.layer, name, error)
        return None
    return failure or wrong


def wrong_value(
    kernel: Kernel, call: LayerCall, inputs: Sequence[Array], weights: Mapping[str, Array], results: Sequence[Array]
) -> str:
    """Return where a result (axes in logical order) is wrong by most, of the places looked at; empty: nowhere."""
    for output, result in enumerate(results):
        places = places_of(result.shape)
        places += [p for p in _unwritten(result) if p not in places]
        if not places:
            continue
        parts = call.layer.parts_at(call.own(inputs), weights, places, output)
        values = [_exact_and_bound(call, part, output, inputs) for part in parts]
        told = [place for part in parts for place, _ in part.places]
        exact, plain_bound = (np.concatenate(column) for column in zip(*values, strict=True))
        # As if all places were pixels of one image's channel: kernels may widen a bound by what is around it.
        shape = tuple(len(told) if axis == min(2, result.ndim - 1) else 1 for axis in range(result.ndim))
        bound = kernel.error_bound(plain_bound.reshape(shape)).reshape(-1)
        got = np.array([result[place] for place in told])
        wrong, difference = disagreements(got, exact, bound)
        if wrong.any():
            worst = int(np.argmax(np.where(wrong, np.nan_to_num(difference, nan=np.inf), -1)))
            return (
                f"at {told[worst]} it gives {got[worst]:.6g}, expected {exact[worst]:.6g} within {bound[worst]:.2g}; "
                f"{int(wrong.sum())} of {len(told)} values that were looked at are wrong"
            )
    return ""


def places_of(shape: Shape) -> list[Place]:
    """Return the places that are looked at: corners, edges, the last tile and channel, others; the same for a shape."""
    if 0 in shape:
        return []
    random = np.random.default_rng(SEED)
    ends = [(0, size - 1) for size in shape]
    chosen = list(itertools.islice(itertools.product(*ends), 32))
    for number in range(SOME):
        anywhere = [int(random.integers(size)) for size in shape]
        chosen.append(tuple(anywhere))
        axis = int(random.integers(len(shape))) if shape else 0
        chosen.append(tuple(ends[a][number % 2] if a == axis else i for a, i in enumerate(anywhere)))
        chosen.append(tuple(size - 1 - int(random.integers(min(TILE, size))) for size in shape))
        if len(shape) > 1:
            chosen.append((anywhere[0], shape[1] - 1, *anywhere[2:]))
    return list(dict.fromkeys(chosen))


def _unwritten(result: Array) -> list[Place]:
    """Return some places that hold NaN: the outputs were full of it."""
    nans = np.flatnonzero(np.isnan(result))
    chosen = nans[np.linspace(0, len(nans) - 1, min(VIEWED, len(nans))).astype(np.intp)]
    return [tuple(int(i) for i in np.unravel_index(n, result.shape)) for n in chosen]


def _exact_and_bound(call: LayerCall, part: Part, output: int, all_inputs: Sequence[Array]) -> tuple[Array, Array]:
    """Return the exact values of a part at its places, and how far each may be off, after what is folded in."""
    inputs = [x.astype(np.float64) for x in part.inputs]
    weights = {name: w.astype(np.float64) for name, w in rounded_weights(call, part.weights).items()}
    with np.errstate(all="ignore"):
        whole = part.layer.reference(inputs, weights)
        bounds = part.layer.error_bound(inputs, weights, whole)
        at = tuple(np.array([place for _, place in part.places], np.intp).reshape(len(part.places), -1).T)
        exact, bound = whole[output][at], bounds[output][at]
        for folded, further in call.folded_with(all_inputs):
            added = [np.array([x[place] for place, _ in part.places], np.float64) for x in further]
            # Differences grow by at most the slope (1 where there is none), and product or sum is rounded once more.
            slope = max(1.0, abs(getattr(folded, "negative_slope", 1.0)))
            bound = slope * (bound + 2 * FLOAT32 * (np.abs(exact) + sum(map(np.abs, added))))
            exact = folded.reference([exact, *added], {})[0]
    return exact, bound
