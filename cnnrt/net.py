"""`Net`: a network, ready to compute.

    NetFile --read, built--> Graph
    images --checked--> shapes --`PreparedNetworks`--> Prepared --run--> answers

What is prepared for which shapes is the affair of `prepared_networks.py`; what happens where a device fails, of
`recovery.py`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cnnrt.arguments import names_from
from cnnrt.errors import InputError
from cnnrt.finite_inputs import FiniteInputs, check_finite
from cnnrt.graph import Graph, GraphInput
from cnnrt.graph_builder import build_graph
from cnnrt.inputs import check_inputs, check_shapes
from cnnrt.layer import Array
from cnnrt.loading import load_netfile
from cnnrt.plan import Plan
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.prepared_networks import PreparedNetworks
from cnnrt.profile import Profile
from cnnrt.recovery import Arrays, Recovery
from cnnrt.root_directory import root_directory as find_root
from cnnrt.settings import Settings, settle
from netfile_spec import NetFile

if TYPE_CHECKING:
    from cnnrt.tuning.network import Tuned
    from cnnrt.tuning.tuner import Progress

log = logging.getLogger("cnnrt")

Images = NDArray[np.float32] | Mapping[str, NDArray[np.float32]]
Result = Any  # an array, or a dict of arrays by name: the number of outputs decides


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
        host = plugins or plugin_host()
        self.netfile = netfile if isinstance(netfile, NetFile) else load_netfile(netfile, host)
        settings = settle(
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
        self.graph: Graph = build_graph(self.netfile, self.root, host)
        self._needed: dict[tuple[str, ...], Sequence[GraphInput]] = {}
        self._prepared = PreparedNetworks(self.netfile, self.graph, self.root, settings, host)
        self._recovery = Recovery(self._prepared)

    @property
    def settings(self) -> Settings:
        """How the network runs, settled from the NetFile and what the caller stated; a lost device changes it."""
        return self._prepared.settings

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
        return self._recovery.retried(lambda: self._prepared.get(checked, wanted)).plan

    def plan_for(self, shapes: Any = None, outputs: Iterable[str] | None = None) -> Plan:
        """Return the plan for these input shapes without loading weights or compiling anything; see `prepare`."""
        wanted = self._wanted(outputs)
        return self._prepared.planned(check_shapes(self._needed_inputs(wanted), shapes), wanted).plan

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
        wanted = self._wanted(outputs)
        return self._prepared.tune(check_shapes(self._needed_inputs(wanted), shapes), wanted, budget, progress)

    @property
    def plan(self) -> Plan:
        """The receipt of the latest call (or `prepare`): what ran where, by which kernel, and why."""
        latest = self._prepared.latest
        return self.prepare() if latest is None else latest.plan

    def close(self) -> None:
        """Let go of weights and arenas; computing afterwards is an error. Closing twice is not."""
        self._prepared.close()

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
        spare = self._prepared.spare_threads
        if spare:
            with FiniteInputs(batch.arrays, threads=spare):
                computed = self._recovered(batch.arrays, wanted, profile)
        else:
            check_finite(batch.arrays)
            computed = self._recovered(batch.arrays, wanted, profile)
        # A value without a batch dimension (the accuracy over the batch) is one value however it was asked for.
        results = [r.reshape(r.shape[1:]) if batch.single and r.shape[:1] == (1,) else r for r in computed]
        if names is None:
            return results[0] if len(results) == 1 else dict(zip(wanted, results, strict=True))
        by_value = dict(zip(wanted, results, strict=True))
        return {name: by_value[self.graph.resolve(name)] for name in names}

    def _recovered(self, arrays: Arrays, wanted: Sequence[str], profile: Profile | None) -> list[Array]:
        """Return the wanted values, whatever becomes of devices meanwhile."""
        return self._recovery.computed(lambda given: self._computed(given, wanted, profile), arrays, wanted)

    def _computed(self, arrays: Arrays, wanted: Sequence[str], profile: Profile | None) -> list[Array]:
        """Return the wanted values, as they are prepared for inputs of these shapes."""
        prepared = self._prepared.get({name: array.shape for name, array in arrays.items()}, wanted)
        started = time.perf_counter()
        computed = prepared.run(list(arrays.values()), profile)
        if profile is not None:
            profile.seconds += time.perf_counter() - started
        return computed

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
