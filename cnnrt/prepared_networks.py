"""What is prepared of one network, for the latest shapes of its inputs.

    shapes, wanted values --known--> measured (if asked for) --> planned --> verified --> room made --> compiled

Each of these is a function in a file of its own (`tuning/network.py`, `prepare.py`); here is what they share from one
shape to the next: weights, the ceiling, what counts as a partial batch.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from cnnrt.after_fork import renew_after_fork
from cnnrt.device_choice import choose_devices
from cnnrt.errors import CnnrtError, DeviceMemoryError
from cnnrt.executor import Prepared
from cnnrt.finite_inputs import MOST_READERS
from cnnrt.graph import Graph
from cnnrt.kernel_verification import unverified
from cnnrt.layer import Shape
from cnnrt.placement import Competition, competitions
from cnnrt.planning import Question, placement_request, reduce_graph, usual_split
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.prepare import Planned, compile_planned, fit_together, plan_network, plan_verified
from cnnrt.settings import Settings
from cnnrt.tuning.knowledge import Knowledge
from cnnrt.tuning.store import default_store
from cnnrt.weight_store import WeightStore
from netfile_spec import NetFile

if TYPE_CHECKING:
    from cnnrt.tuning.network import Tuned
    from cnnrt.tuning.tuner import Progress

PREPARED_KEPT = 4
"""Input shapes for which everything stays prepared; the least recently used goes first."""


class PreparedNetworks:
    """The latest `Prepared`s of a network, which share weights and a ceiling. Safe to use from several threads.

    - `settings`: how it runs; a device that is lost changes them.
    - `latest`: what was asked for last, None: nothing yet, or it is not there any more.
    - `spare_threads`: of the host, while a call waits for a device.
    """

    def __init__(self, netfile: NetFile, graph: Graph, root: Path, settings: Settings, host: PluginHost) -> None:
        self.graph = graph
        self.settings = settings
        self.host = host
        self.latest: Prepared | None = None
        self.spare_threads = 0
        self._netfile = netfile
        self._root = root
        self._weights = WeightStore()
        self._kept: OrderedDict[Any, Prepared] = OrderedDict()
        self._closed = False
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Make the lock anew, in a forked child; called by `cnnrt.after_fork`."""
        self._lock = threading.Lock()

    def get(self, shapes: Mapping[str, Shape], wanted: Sequence[str]) -> Prepared:
        """Return what computes the wanted values (each once) from inputs of these shapes (batch included).

        Raises CnnrtError where the process's memory does not do, DeviceMemoryError where a device's does not.
        """
        key = (tuple(shapes.items()), tuple(wanted))
        with self._lock:
            self._check_open()
            prepared = self._kept.get(key)
            if prepared is None:
                prepared = self._kept[key] = self._made(shapes, wanted)
                while len(self._kept) > PREPARED_KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            self.latest = prepared
        spare = prepared.spare_threads
        self.spare_threads = spare and min(spare, (self.settings.threads or MOST_READERS + 1) - 1)
        return prepared

    def _made(self, shapes: Mapping[str, Shape], wanted: Sequence[str]) -> Prepared:
        try:
            planned = self._tuned_and_verified(shapes, wanted, self._rehearsal(shapes, wanted))
            self._make_room(planned)
            return compile_planned(planned, self.settings, self._weights, self.host)
        except DeviceMemoryError:
            raise
        except MemoryError as error:
            raise self.out_of_memory(error) from error

    def planned(self, shapes: Mapping[str, Shape], wanted: Sequence[str], known: Knowledge | None = None) -> Planned:
        """Return the plan for these shapes, without reading weights or compiling anything."""
        known = known or self._known(shapes)
        return plan_network(self.graph, shapes, wanted, self.settings, self._weights, self.host, known)

    def tune(
        self, shapes: Mapping[str, Shape], wanted: Sequence[str], budget: float | None, progress: Progress | None
    ) -> Sequence[Tuned]:
        """Measure what is not known yet, forget what is prepared, and return what is known; see `Net.tune`."""
        from cnnrt.tuning.network import tune_network, tuned_layers

        with self._lock:
            self._check_open()
            known = self._known(measured=True)
            rivals = self._competitions(shapes, wanted, known)
            tune_network(rivals, self.host, known, self.settings, self._held_bytes(), budget, progress)
            self._kept.clear()  # what is prepared from now on uses what is known now
            # Verifying may have put some of the candidates in quarantine.
            return tuned_layers(self._competitions(shapes, wanted, known), known)

    def rehearse(self, shapes: Mapping[str, Shape], wanted: Sequence[str]) -> None:
        """Prepare, for what it leaves in the cache folder alone: facts, code, packed weights; see `cnnrt.rehearsal`."""
        with self._lock:
            planned = self._tuned_and_verified(shapes, wanted, lambda: False)
            compile_planned(planned, self.settings, self._weights, self.host)

    def forget(self) -> None:
        """Let go of all that is prepared and of all weights: both are made anew when they are needed."""
        with self._lock:
            self._kept.clear()
            self.latest = None
            self._weights.clear()

    def close(self) -> None:
        """Let go of all that is prepared and of all weights, for good."""
        with self._lock:
            self._closed = True
            self._kept.clear()
            self.latest = None
        self._weights.clear()

    def out_of_memory(self, error: MemoryError) -> CnnrtError:
        """Return what to say where memory does not do."""
        return CnnrtError(f"{self.graph.file}: out of memory: {error}; a smaller batch takes less")

    def _check_open(self) -> None:
        if self._closed:
            raise CnnrtError(f"{self.graph.file}: this Net is closed; make a new one")

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
                note = tune_network(rivals, self.host, known, self.settings, self._held_bytes())
            known = attrs.evolve(known, notes=(note,) if note else ())

        def planned() -> Planned:
            found = self.planned(shapes, wanted, known)
            if unverified(found.segments, self.settings.threads, known.store) and elsewhere():
                known.store.refresh()
            return found

        return plan_verified(planned, self.settings, self.host, known)

    def _rehearsal(self, shapes: Mapping[str, Shape], wanted: Sequence[str]) -> Callable[[], bool]:
        """Return what lets a child find out what is not known, once, and tells whether it did: under a ceiling only."""
        # A child sees what is installed, not a host that was made for this Net.
        possible = self.settings.allocated_ram is not None and self.host is plugin_host()

        @functools.cache
        def elsewhere() -> bool:
            from cnnrt.rehearsal import rehearse

            return possible and rehearse(self._netfile, self._root, self.settings, shapes, wanted)

        return elsewhere

    def _make_room(self, planned: Planned) -> None:
        """Let go of what is prepared for other shapes, the latest used last, until all fits the ceiling and devices."""
        while self._kept and not fit_together([planned, *self._kept.values()]):
            _, oldest = self._kept.popitem(last=False)
            self.latest = None if self.latest is oldest else self.latest
            oldest.release()

    def _known(self, shapes: Mapping[str, Shape] | None = None, *, measured: bool | None = None) -> Knowledge:
        """Return what counts as known. A batch below the largest of its kind that was prepared is a partial one."""
        counts = self.settings.auto_tuning if measured is None else measured
        alike = [p.plan.inputs for p in self._kept.values() if _items(p.plan.inputs) == _items(shapes or {})]
        largest = max((shape[0] for inputs in alike for shape in inputs.values() if shape), default=0)
        partial = any(shape and shape[0] < largest for shape in (shapes or {}).values())
        return Knowledge(default_store(), counts, self.settings.threads, largest if partial else 0)

    def _competitions(self, shapes: Mapping[str, Shape], wanted: Sequence[str], known: Knowledge) -> list[Competition]:
        request = placement_request(self.settings)
        devices = choose_devices(self.host, request)
        question = Question(self.graph, shapes, wanted, self.settings, self.host, known)
        reduced, inferred, _ = reduce_graph(question, usual_split(question))
        return competitions(reduced, inferred, devices, self.host, known, request.weight_storage)

    def _held_bytes(self) -> int:
        """Return the bytes that are in use already: weights that are loaded, and arenas."""
        arenas = sum(p.plan.memory.arena * p.plan.memory.arenas for p in self._kept.values())
        return self._weights.loaded_bytes + arenas


def _items(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return the shapes without the batch dimension."""
    return {name: shape[1:] for name, shape in shapes.items()}
