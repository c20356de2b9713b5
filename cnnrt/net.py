"""`Net`: a network, ready to compute."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray

from cnnrt.after_fork import renew_after_fork
from cnnrt.arguments import names_from
from cnnrt.caller_warning import warn_caller
from cnnrt.errors import CnnrtError, DeviceLostError, DeviceMemoryError, DeviceWarning, InputError
from cnnrt.executor import Prepared
from cnnrt.finite_inputs import MOST_READERS, FiniteInputs
from cnnrt.graph import Graph, GraphInput
from cnnrt.graph_builder import build_graph
from cnnrt.inputs import check_inputs, check_shapes
from cnnrt.kernel_verification import unverified
from cnnrt.layer import Array, Shape
from cnnrt.loading import load_netfile
from cnnrt.placement import Competition, choose_devices, competitions
from cnnrt.plan import Plan
from cnnrt.planning import Question, placement_request, reduce_graph, usual_split
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.prepare import Planned, compile_planned, fit_together, plan_network, plan_verified
from cnnrt.profile import Profile
from cnnrt.recovery import MOST_LOSSES, Arrays, halves, request_without_lost
from cnnrt.root_directory import root_directory as find_root
from cnnrt.settings import settle
from cnnrt.tuning.knowledge import Knowledge
from cnnrt.tuning.store import default_store
from cnnrt.weight_store import WeightStore
from netfile_spec import NetFile

if TYPE_CHECKING:
    from cnnrt.tuning.network import Tuned
    from cnnrt.tuning.tuner import Progress

log = logging.getLogger("cnnrt")

Images = NDArray[np.float32] | Mapping[str, NDArray[np.float32]]
T = TypeVar("T")
Result = Any  # an array, or a dict of arrays by name: the number of outputs decides
PREPARED_KEPT = 4
"""Input shapes for which everything stays prepared; the least recently used goes first."""


class Net:
    """A network from its NetFile.

        with Net("lenet/net.netfile") as net:
            probabilities = net.compute(images)

    What the caller states wins over what the NetFile states:

    - `execution_mode`: "parallel" (for each layer the fastest of what is here) or a backend's name.
    - `allocated_ram`: ceiling in MiB for all that the Net adds to the process; weights that do not fit are read for
      each call, and what cannot be computed in it is refused (MemoryCeilingError).
    - `residency`: which weights stay in memory under a ceiling: "fastest", those without which a call takes longest, or
      "largest", the largest files, as in CNNdroid.
    - `auto_tuning`: "on" or "off" (or a bool). On, kernels are measured once on this device, for at most
      `tuning_budget` seconds for each network, and remembered; off, a cost model chooses, and what was measured counts
      for nothing.
    - `plan`: a saved plan (`Plan.to_dict`, or a Plan) whose choices of kernels and parameters are kept.
    - `threads`: most threads to use, for compiling and packing weights as well. A call takes as many of those that were
      planned for as the process may use at its time (affinity, a control group's quota).
    - `device`: name of a device. `strict`: refuse fallbacks on references.
    - `weight_storage`: "float32" (the default), or "float16": weights of two axes and more, matrices and filters, are
      rounded to half precision and take half of the memory; all arithmetic stays in float32. A backend whose
      kernels cannot refuses (PlacementError); where some can, the plan names the layers of the others.
    - `root_directory`: folder of the parameter files.
    - `concurrency`: calls of `compute` that may run at the same time, each with an arena of its own.

    Raises NetFileError (all problems at once), ParameterFileError, PluginError or InputError: all CnnrtErrors.
    Safe to use from several threads.
    """

    def __init__(
        self,
        netfile: str | Path | NetFile,
        *,
        execution_mode: str | None = None,
        allocated_ram: float | None = None,
        auto_tuning: bool | str | None = None,
        threads: int | None = None,
        device: str | None = None,
        strict: bool = False,
        root_directory: str | Path | None = None,
        concurrency: int = 1,
        tuning_budget: float | None = None,
        plan: Plan | Mapping[str, Any] | None = None,
        residency: str = "fastest",
        weight_storage: str | None = None,
        plugins: PluginHost | None = None,
    ) -> None:
        if not isinstance(netfile, str | Path | NetFile):
            raise InputError(f"netfile: expected a path or a NetFile, got {netfile!r:.60}")
        if root_directory is not None and not isinstance(root_directory, str | Path):
            raise InputError(f"root_directory: expected a path, got {root_directory!r:.60}")
        self._host = plugins or plugin_host()
        self.netfile = netfile if isinstance(netfile, NetFile) else load_netfile(netfile, self._host)
        self.settings = settle(
            self.netfile,
            execution_mode,
            allocated_ram,
            auto_tuning,
            threads,
            device,
            strict,
            concurrency,
            tuning_budget,
            plan,
            residency,
            weight_storage,
        )
        self.root = find_root(self.netfile, root_directory)
        self.graph: Graph = build_graph(self.netfile, self.root, self._host)
        self._weights = WeightStore()
        self._prepared: OrderedDict[Any, Prepared] = OrderedDict()
        self._needed: dict[tuple[str, ...], Sequence[GraphInput]] = {}
        self._halved: set[Any] = set()
        self._spare_threads = 0  # of the host, while it waits for a device
        self._last: Prepared | None = None
        self._closed = False
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Make the lock anew, in a forked child; called by `cnnrt.after_fork`."""
        self._lock = threading.Lock()

    def compute(self, images: Images, outputs: Iterable[str] | None = None) -> Result:
        """Run the network on a batch (N, C, H, W) or a single item (C, H, W) of float32.

        Returns an array, or a dict of arrays by name where the network has several outputs or `outputs` names
        the wanted values (layers, or blob names of Caffe). For a single item they lack the batch dimension.
        Several inputs are handed in as a dict by name. The arrays belong to the caller.
        Raises InputError for a wrong name, shape, dtype, or values that are not finite.
        """
        if log.isEnabledFor(logging.DEBUG):
            profile = Profile()
            result = self._run(images, outputs, profile)
            for times in profile.layers:
                log.debug(
                    "%s: run %.3f ms, parameters loaded in %.3f ms",
                    times.layer,
                    times.run_seconds * 1e3,
                    times.load_seconds * 1e3,
                )
            return result
        return self._run(images, outputs, None)

    def profile(self, images: Images, outputs: Iterable[str] | None = None) -> Profile:
        """Run the network once and return run time and parameter load time of each layer."""
        profile = Profile()
        self._run(images, outputs, profile)
        return profile

    def prepare(self, shapes: Any = None, outputs: Iterable[str] | None = None) -> Plan:
        """Make everything ready for these input shapes (with the batch dimension) and return the plan.

        `shapes`: a dict by input name, one shape for an only input, or None for what the NetFile states (batch 1).
        `compute` does the same at its first call for a shape.
        """
        wanted = self._wanted(outputs)
        checked = check_shapes(self._needed_inputs(wanted), shapes)
        return self._recovering(lambda: self._prepare(checked, wanted)).plan

    def plan_for(self, shapes: Any = None, outputs: Iterable[str] | None = None) -> Plan:
        """Return the plan for these input shapes without loading weights or compiling anything; see `prepare`."""
        wanted = self._wanted(outputs)
        return self._planned(check_shapes(self._needed_inputs(wanted), shapes), wanted).plan

    def tune(
        self,
        shapes: Any = None,
        outputs: Iterable[str] | None = None,
        *,
        budget: float | None = None,
        progress: Progress | None = None,
    ) -> Sequence[Tuned]:
        """Measure the kernels of each layer for these input shapes (see `prepare`), remember, and return what is known.

        Nothing that is known already is measured again. `budget` in seconds, the Net's `tuning_budget` by default. With
        auto_tuning on, `prepare` and `compute` do the same. A KeyboardInterrupt comes through; what was learned is
        kept.
        """
        from cnnrt.tuning.network import tune_network, tuned_layers

        wanted = self._wanted(outputs)
        checked = check_shapes(self._needed_inputs(wanted), shapes)
        with self._lock:
            self._check_open()
            known = self._known(measured=True)
            rivals = self._competitions(checked, wanted, known)
            tune_network(rivals, self._host, known, self.settings, self._held_bytes(), budget, progress)
            self._prepared.clear()  # what is prepared from now on uses what is known now
            # Verifying may have put some of the candidates in quarantine.
            return tuned_layers(self._competitions(checked, wanted, known), known)

    @property
    def plan(self) -> Plan:
        """The receipt of the latest call (or `prepare`): what ran where, by which kernel, and why."""
        last = self._last
        return self.prepare() if last is None else last.plan

    def rehearse(self, shapes: Mapping[str, Shape], wanted: Sequence[str]) -> None:
        """Prepare, for what it leaves in the cache folder alone: facts, code, packed weights; see `cnnrt.rehearsal`."""
        with self._lock:
            planned = self._tuned_and_verified(shapes, wanted, lambda: False)
            compile_planned(planned, self.settings, self._weights, self._host)

    def close(self) -> None:
        """Let go of weights and arenas; computing afterwards is an error. Closing twice is not."""
        with self._lock:
            self._closed = True
            self._prepared.clear()
            self._last = None
        self._weights.clear()

    def __enter__(self) -> Net:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> Any:
        """Refuse to be pickled or copied: devices, their memory and locks belong to one process, and to one Net."""
        raise InputError(
            f"{self.graph.file}: a Net is neither pickled nor copied; make one from the NetFile in each process"
        )

    def __repr__(self) -> str:
        return f"<Net {self.graph.file!r}: {len(self.graph.nodes)} layers>"

    def _run(self, images: Images, outputs: Iterable[str] | None, profile: Profile | None) -> Result:
        names = None if outputs is None else names_from("outputs", outputs)
        wanted = self._wanted(names)
        batch = check_inputs(self._needed_inputs(wanted), images)
        with FiniteInputs(batch.arrays, threads=self._spare_threads):
            computed = self._recovering(lambda: self._computed(batch.arrays, wanted, profile))
        # A value without a batch dimension (the accuracy over the batch) is one value however it was asked for.
        results = [r.reshape(r.shape[1:]) if batch.single and r.shape[:1] == (1,) else r for r in computed]
        if names is None:
            return results[0] if len(results) == 1 else dict(zip(wanted, results, strict=True))
        by_value = dict(zip(wanted, results, strict=True))
        return {name: by_value[self.graph.resolve(name)] for name in names}

    def _computed(self, arrays: Arrays, wanted: Sequence[str], profile: Profile | None) -> list[Array]:
        """Return the wanted values; in halves where a device has not enough memory for the whole batch."""
        shapes = {name: array.shape for name, array in arrays.items()}
        key = (tuple(shapes.items()), tuple(wanted))
        try:
            if key in self._halved:
                raise DeviceMemoryError("it was not enough before")
            prepared = self._prepare(shapes, wanted)
            self._spare_threads = min(prepared.spare_threads, (self.settings.threads or MOST_READERS + 1) - 1)
            started = time.perf_counter()
            computed = prepared.run(list(arrays.values()), profile)
        except DeviceMemoryError as error:
            parts = halves(self.graph, arrays)
            if parts is None:
                raise self._out_of_memory(error) from error
            if key not in self._halved:
                self._halved.add(key)
                self._forget_prepared()
                items = len(next(iter(arrays.values())))
                warn_caller(f"{self.graph.file}: {items} items are computed in halves: {error}", DeviceWarning)
            results = [self._computed(part, wanted, profile) for part in parts]
            return [np.concatenate(both) for both in zip(*results, strict=True)]
        except MemoryError as error:
            raise self._out_of_memory(error) from error
        if profile is not None:
            profile.seconds += time.perf_counter() - started
        return computed

    def _recovering(self, attempt: Callable[[], T]) -> T:
        """Return what an attempt gives: again, on what is left, after a device was lost, unless the Net is strict."""
        for _ in range(MOST_LOSSES):
            try:
                return attempt()
            except DeviceLostError as error:
                if self.settings.strict:
                    raise
                self._forget_prepared()
                request, done = request_without_lost(self._host, placement_request(self.settings))
                with self._lock:
                    self.settings = attrs.evolve(self.settings, execution_mode=request.mode, device=request.device)
                warn_caller(f"{self.graph.file}: a device was lost: {error}; {done}", DeviceWarning)
        return attempt()

    def _check_open(self) -> None:
        if self._closed:
            raise CnnrtError(f"{self.graph.file}: this Net is closed; make a new one")

    def _forget_prepared(self) -> None:
        """Let go of all that is prepared and of all weights: both are made anew when they are needed."""
        with self._lock:
            self._prepared.clear()
            self._last = None
            self._weights.clear()

    def _wanted(self, outputs: Iterable[str] | None) -> tuple[str, ...]:
        """Return the values that are asked for, each once: two names may stand for the same one."""
        if outputs is None:
            return self.graph.outputs
        names = (outputs,) if isinstance(outputs, str) else tuple(outputs)
        if not names:
            raise InputError("outputs names no value; leave it out for the network's own outputs")
        return tuple(dict.fromkeys(self.graph.resolve(name) for name in names))

    def _needed_inputs(self, wanted: tuple[str, ...]) -> Sequence[GraphInput]:
        if len(self.graph.inputs) == 1:
            return self.graph.inputs
        if wanted not in self._needed:  # remembered, so that computing does not walk through the graph
            self._needed[wanted] = self.graph.needed_inputs(wanted)
        return self._needed[wanted]

    def _out_of_memory(self, error: MemoryError) -> CnnrtError:
        return CnnrtError(f"{self.graph.file}: out of memory: {error}; a smaller batch takes less")

    def _known(self, shapes: Mapping[str, Shape] | None = None, *, measured: bool | None = None) -> Knowledge:
        """Return what counts as known. A batch below the largest of its kind that was prepared is a partial one."""
        counts = self.settings.auto_tuning if measured is None else measured
        alike = [p.plan.inputs for p in self._prepared.values() if _items(p.plan.inputs) == _items(shapes or {})]
        largest = max((shape[0] for inputs in alike for shape in inputs.values() if shape), default=0)
        partial = any(shape and shape[0] < largest for shape in (shapes or {}).values())
        return Knowledge(default_store(), counts, self.settings.threads, largest if partial else 0)

    def _competitions(self, shapes: Mapping[str, Shape], wanted: Sequence[str], known: Knowledge) -> list[Competition]:
        request = placement_request(self.settings)
        devices = choose_devices(self._host, request)
        question = Question(self.graph, shapes, wanted, self.settings, self._host, known)
        reduced, inferred, _ = reduce_graph(question, usual_split(question))
        return competitions(reduced, inferred, devices, self._host, known, request.weight_storage)

    def _held_bytes(self) -> int:
        """Return the bytes that are in use already: weights that are loaded, and arenas."""
        arenas = sum(p.plan.memory.arena * p.plan.memory.arenas for p in self._prepared.values())
        return self._weights.loaded_bytes + arenas

    def _planned(self, shapes: Mapping[str, Shape], wanted: Sequence[str], known: Knowledge | None = None) -> Planned:
        known = known or self._known(shapes)
        return plan_network(self.graph, shapes, wanted, self.settings, self._weights, self._host, known)

    def _tuned_and_verified(
        self, shapes: Mapping[str, Shape], wanted: Sequence[str], elsewhere: Callable[[], bool]
    ) -> Planned:
        """Return a plan after measuring what is not known, if that is asked for, and verifying what it uses.

        `elsewhere` lets another process do so first, and tells whether it did.
        """
        known = self._known(shapes)
        if self.settings.auto_tuning:
            from cnnrt.tuning.network import tune_network, tuning_left

            rivals = self._competitions(shapes, wanted, known)
            rivals = [rival for rival in rivals if rival.node.name not in self.settings.pinned]
            if tuning_left(rivals, known) and elsewhere():
                known.store.refresh()
                note = tuning_left(rivals, known)
            else:
                note = tune_network(rivals, self._host, known, self.settings, self._held_bytes())
            known = attrs.evolve(known, notes=(note,) if note else ())

        def planned() -> Planned:
            found = self._planned(shapes, wanted, known)
            if unverified(found.segments, self.settings.threads, known.store) and elsewhere():
                known.store.refresh()
            return found

        return plan_verified(planned, self.settings, self._host, known)

    def _rehearsal(self, shapes: Mapping[str, Shape], wanted: Sequence[str]) -> Callable[[], bool]:
        """Return what lets a child find out what is not known, once, and tells whether it did: under a ceiling only."""
        # A child sees what is installed, not a host that was made for this Net.
        possible = self.settings.allocated_ram is not None and self._host is plugin_host()

        @functools.cache
        def elsewhere() -> bool:
            from cnnrt.rehearsal import rehearse

            return possible and rehearse(self.netfile, self.root, self.settings, shapes, wanted)

        return elsewhere

    def _make_room(self, planned: Planned) -> None:
        """Let go of what is prepared for other shapes, the latest used last, until all fits the ceiling and devices."""
        while self._prepared and not fit_together([planned, *self._prepared.values()]):
            _, oldest = self._prepared.popitem(last=False)
            self._last = None if self._last is oldest else self._last
            oldest.release()

    def _prepare(self, shapes: Mapping[str, Shape], wanted: Sequence[str]) -> Prepared:
        key = (tuple(shapes.items()), tuple(wanted))
        with self._lock:
            self._check_open()
            prepared = self._prepared.get(key)
            if prepared is None:
                try:
                    planned = self._tuned_and_verified(shapes, wanted, self._rehearsal(shapes, wanted))
                    self._make_room(planned)
                    prepared = compile_planned(planned, self.settings, self._weights, self._host)
                except DeviceMemoryError:
                    raise
                except MemoryError as error:
                    raise self._out_of_memory(error) from error
                self._prepared[key] = prepared
                while len(self._prepared) > PREPARED_KEPT:
                    self._prepared.popitem(last=False)
            self._prepared.move_to_end(key)
            self._last = prepared
        return prepared


def _items(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return the shapes without the batch dimension."""
    return {name: shape[1:] for name, shape in shapes.items()}
