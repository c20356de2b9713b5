"""What a backend is: devices, kernels for layers, and a way to run a segment of the graph.

Kernels are candidates, keyed by (layer, backend, kernel name): several may serve one layer and compete.
A backend compiles a segment (a run of layers placed on it) once; computing is one call for each segment.
"""

from __future__ import annotations

import abc
import copy
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import attrs
from attrs import field

from cnnrt.layer import Array, Shape
from cnnrt.layer_call import LayerCall
from cnnrt.source_digest import source_digest
from cnnrt.tensor import PLAIN, TensorType

Packed = Any
"""A kernel's weights in the form in which it reads them; only that kernel looks inside."""

Frame = list[Array]
"""The buffers of one call, by slot number."""


@attrs.frozen
class Device:
    """A processor that a backend can see. `problem` says why it cannot be used; empty: it can.

    `aliases` are other names under which users may ask for it.

    `details` are a part of its identity, by which measurements and verifications are remembered: the driver's or
    compiler's version belongs there, nothing that changes from run to run.

    `alone`: layers are never shared out between it and another device; where a backend is asked for whose first device
    is such a one, that computes everything. A phone, for one, or an emulator.
    """

    backend: str
    name: str
    description: str = ""
    problem: str = ""
    details: Mapping[str, str] = field(factory=dict)
    aliases: tuple[str, ...] = ()
    alone: bool = field(default=False, kw_only=True)

    @property
    def title(self) -> str:
        """Backend and name: `threaded:cpu`."""
        return f"{self.backend}:{self.name}"

    @property
    def identity(self) -> str:
        """What tells it from other devices, other drivers, and other uses of it."""
        details = ", ".join(f"{name} {self.details[name]}" for name in sorted(self.details))
        return "; ".join(part for part in (self.title, self.description, details) if part)


@attrs.frozen
class Tunable:
    """A parameter that a kernel can be tuned by, and the values that are worth a try."""

    name: str
    values: tuple[int | str, ...]


Tuning = Mapping[str, int | str]
"""Values of tunables by name."""


class Kernel(abc.ABC):
    """One way in which one backend computes one layer.

    Attributes, of the class unless one class serves several layers:

    - `layer` (its type), `backend`, `name`.
    - `folds`: the types of element-wise layers that it applies on the way out, in the order of `call.folded`. An
      Eltwise among them is a sum, at most one for each call; its other summand (a residual) is the last of the call's
      inputs, in the layout of the output.
    - `weight_types`: the types in which it can keep weights of two axes and more (`call.weights` tells in which it has
      to). Beside "float32" there is "float16": half of the bytes, read by a kernel that computes in float32 all the
      same. `pack` then gives float16, rounded to the nearest, whether it is given float32 or what was rounded already,
      and `packed_bytes` counts half.
    - `compiled`: True where its code is made for the device and the call, so that the core checks it there before it is
      first used (`cnnrt/kernel_verification.py`).

    `tuning` holds the parameters that are fixed; those left out are the cost model's choice.
    """

    layer: str
    backend: ClassVar[str]
    name: ClassVar[str]
    folds: ClassVar[tuple[str, ...]] = ()
    weight_types: ClassVar[tuple[str, ...]] = ("float32",)
    compiled: ClassVar[bool] = False
    tuning: Tuning = MappingProxyType({})

    @property
    def title(self) -> str:
        """Backend, name and what is fixed: `threaded/direct rows=4`."""
        return " ".join((f"{self.backend}/{self.name}", *(f"{name}={value}" for name, value in self.tuning.items())))

    @property
    def source_digest(self) -> str:
        """What changes when the kernel's code does: measurements and verifications of other code count for nothing.

        The default is a digest of all sources of the package that defines the class.
        """
        return source_digest(type(self).__module__)

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Return True, or the reason why this kernel does not compute this call on this device."""
        return True

    def takes(self, call: LayerCall) -> str:
        """Return the memory layout in which the kernel reads the inputs of a call."""
        return PLAIN

    def gives(self, call: LayerCall) -> str:
        """Return the memory layout in which the kernel writes the outputs of a call."""
        return PLAIN

    def writes_part(self, call: LayerCall) -> bool:
        """Tell whether the kernel writes the (only) output of a call into a part of a larger array, where it belongs.

        There the output begins anywhere, and where its type has a `pitch`, its runs lie that far apart. A Concat whose
        inputs all come from such kernels costs nothing.
        """
        return False

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds that one call is expected to take: the cost model used where nothing was measured.

        The default, 1e9 operations or bytes a second, only ranks kernels against others that use it.
        """
        cost = call.cost
        return max(cost.flops, cost.bytes) / 1e9

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return what the kernel is tuned by, with the values in force, for the receipt."""
        return {}

    def tunables(self, call: LayerCall, device: Device) -> Sequence[Tunable]:
        """Return what the kernel can be tuned by for this call: data that the tuner searches, the best guesses first.

        Every combination of values that `allows` accepts is a variant of its own, so a few values must do.
        """
        return ()

    def allows(self, call: LayerCall, tuning: Tuning) -> bool:
        """Tell whether these values go together, for this call."""
        return True

    def tuned(self, tuning: Tuning) -> Self:
        """Return the kernel with these parameters fixed; whatever it says and does follows them.

        The name stays. `packing` must tell variants apart whose packed weights differ.
        """
        variant = copy.copy(self)
        variant.tuning = MappingProxyType(dict(tuning))
        return variant

    def for_threads(self, threads: int | None) -> Self:
        """Return the kernel for calls that at most so many threads work on; None: as many as can run when it is asked.

        Placement asks it of every candidate, so that what a plan is made of stays as it was planned. A kernel whose
        `workspace` or `packing_bytes` depends on threads fixes their number here; the default knows none. Kernels
        compete before that, so that results do not depend on the number of threads.
        """
        return self

    def error_bound(self, plain: Array) -> Array:
        """Return how far each value of an output may be from the exact result, given the bound of a plain computation.

        The default is that bound. A kernel that computes otherwise than by the layer's formula (Winograd, FFT) widens
        it and says why; the conformance kit holds it to that.
        """
        return plain

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of scratch memory that one call needs; the memory plan provides them."""
        return 0

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of the packed weights."""
        return sum(t.nbytes for t in call.weights.values())

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return the weights (float32, logical shapes) in the form that the kernel reads; by default as they are.

        Layers that share a parameter file share what is packed if layer, weight shapes and `packing` are equal too,
        so the result must depend on nothing else.
        """
        return weights

    def pack_stored(self, call: LayerCall, stored: StoredWeights) -> Packed:
        """Return the same as `pack`, from the weights where they are stored: by default all are read first.

        A kernel that packs rows one after the other saves the memory for a second copy of all weights.
        """
        return self.pack(call, stored.load())

    def slices(self, call: LayerCall) -> int:
        """Return into how many slices the packed weights fall, each enough for its share of the outputs; 1: only whole.

        Where weights are read for each call, a kernel with slices is run on a few of them at a time: `pack_slices`
        gives them, an equal number of rows of each array along the first axis for each slice (fewer for the last).
        """
        return 1

    def slice_bytes(self, call: LayerCall) -> int:
        """Return the bytes of the largest slice."""
        return -(-self.packed_bytes(call) // self.slices(call))

    def pack_slices(self, call: LayerCall, stored: StoredWeights, first: int, last: int) -> Packed:
        """Return the packed slices from `first` to before `last`; the default knows only the whole."""
        return self.pack_stored(call, stored)

    def packing_bytes(self, call: LayerCall, slices: int) -> int:
        """Return the bytes that packing so many slices takes beside the result.

        The default is a second copy of all weights, unless they are packed as they are.
        """
        as_stored = type(self).pack is Kernel.pack and type(self).pack_stored is Kernel.pack_stored
        return 0 if as_stored else call.loaded_bytes

    def stay(self, packed: Packed) -> Packed:
        """Return packed weights in the form in which they stay between calls: by default as they are.

        A backend whose devices have memory of their own moves them there, so that the process need not keep them.
        """
        return packed

    def packing(self, call: LayerCall) -> Hashable:
        """Return what else than the layer and the shapes of its weights decides how they are packed."""
        return ()


class StoredWeights(Protocol):
    """A layer's weights where they are stored: read as a whole, or so many rows at a time."""

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """Their (logical) shapes by name."""

    def load(self) -> dict[str, Array]:
        """Return all of them as float32 arrays."""

    def rows(self, name: str, first: int, last: int, out: Array | None = None) -> Array:
        """Return the rows from `first` to before `last` along the first axis, in float32 and C order.

        `out`: a flat float32 array, at least as large, whose start they fill. May be called from several threads.
        """


HostFunction = Callable[[Sequence[Array], Sequence[Array], Packed, Array], None]
"""A kernel bound to one call: f(inputs, outputs, packed weights, workspace as bytes) fills the outputs."""


SlicesFunction = Callable[[Sequence[Array], Sequence[Array], Packed, Array, int, int], None]
"""The same for some slices of the weights: f(inputs, outputs, packed slices, workspace, first, last)."""


class HostKernel(Kernel):
    """A kernel in Python that reads and writes NumPy arrays in the process's own memory."""

    def writes_part(self, call: LayerCall) -> bool:
        """Return True where the output is C-contiguous there too."""
        return not call.outputs[0].pitch

    @abc.abstractmethod
    def bind(self, call: LayerCall) -> HostFunction:
        """Return the function that computes `call`; everything that depends on shapes alone is done here.

        Inputs are read-only by contract, outputs are C-contiguous (but for those of `writes_part` with a pitch) and
        uninitialised, the workspace has at least `workspace(call)` bytes, aligned to 64.
        """

    def bind_slices(self, call: LayerCall) -> SlicesFunction:
        """Return the function that computes the outputs of some slices; a kernel that has `slices` overrides this.

        All slices together give the same bits as `bind`.
        """
        whole = self.bind(call)

        def run(
            inputs: Sequence[Array], outputs: Sequence[Array], packed: Packed, workspace: Array, first: int, last: int
        ) -> None:
            whole(inputs, outputs, packed, workspace)

        return run


class Weights(Protocol):
    """A step's packed weights: resident, or read for each call."""

    @property
    def resident(self) -> bool:
        """Whether the weights stay in memory between calls."""

    @property
    def nbytes(self) -> int:
        """Bytes of the packed weights."""

    def get(self) -> Packed:
        """Return them; where they are not resident, this reads all of them, now."""

    def pieces(self) -> Iterator[WeightPiece]:
        """Yield them piece by piece; one that is not resident is valid until the next is asked for."""


@attrs.frozen
class WeightPiece:
    """Slices `first` to before `last` of a step's packed weights, as `Kernel.pack_slices` gives them."""

    packed: Packed
    first: int
    last: int


@attrs.frozen
class Step:
    """One kernel call of a segment. `inputs`, `outputs` and `workspace` are slots of the frame."""

    layer_name: str
    call: LayerCall
    kernel: Kernel
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    weights: Weights
    workspace: int


@attrs.frozen
class Segment:
    """A run of steps on one device of one backend. `parts`: how often it runs, each time on other items of a batch."""

    index: int
    device: Device
    steps: tuple[Step, ...]
    parts: int = 1

    @property
    def backend(self) -> str:
        """Name of the backend."""
        return self.device.backend


@attrs.frozen
class BufferSpec:
    """What a slot of the frame holds. `offset`: its place in the arena; None: an array handed in for each call.

    `private`: only the steps of one segment use it, and its backend has memory of its own (`Backend.own_memory`): the
    frame holds nothing there, and the place is one in that segment's own arena. `root`: the slot whose bytes it shows,
    where it is a view.
    """

    type: TensorType
    offset: int | None
    private: bool = False
    root: int | None = None


class StepTimer(Protocol):
    """Receives the times of a profiled call."""

    def record(self, layer_name: str, run_seconds: float, load_seconds: float) -> None:
        """Note that a step took `run_seconds`, and loading its weights `load_seconds` before that."""


class Runnable(Protocol):
    """A compiled segment."""

    def run(self, frame: Frame, timer: StepTimer | None = None) -> None:
        """Compute every step on the frame's buffers; with a timer, report each step to it."""


@runtime_checkable
class Overlapping(Runnable, Protocol):
    """A compiled segment of which a second call may be begun before the first is waited for, on the same frame."""

    def begin(self, frame: Frame) -> Callable[[], None]:
        """Begin to compute every step on the frame's arrays as they are now; return what waits for the outputs."""


@attrs.frozen
class OwnMemory:
    """Memory in which a device keeps what only the steps on it use.

    - `alignment` of values there, in bytes.
    - `nbytes` that it has; None: it is the machine's, and counts as the process's. `largest`: the most in one piece.
    - `staging`: the most bytes of the process's memory through which one value goes there, or comes back.
    """

    alignment: int
    nbytes: int | None = None
    largest: int | None = None
    staging: int = 0


class Backend(abc.ABC):
    """A kind of processor and how layers run there. One instance for each process; it keeps no state of a Net.

    `reads_ahead`: its segments take weights that do not stay resident by `Weights.pieces`, which are then read ahead;
    others call `Weights.get`, which reads them then.
    """

    name: ClassVar[str]
    description: ClassVar[str] = ""
    reads_ahead: ClassVar[bool] = False

    @abc.abstractmethod
    def devices(self) -> Sequence[Device]:
        """Return the devices in sight, the preferred one first, unusable ones with the reason."""

    def devices_beside(self) -> Sequence[Device]:
        """Return those that count where only speed was asked for (`"parallel"`): by default all.

        Left out is what is another backend's processor under another name, without a look where a look takes long.
        """
        return self.devices()

    def own_memory(self, device: Device) -> OwnMemory | None:
        """Return a device's own memory, where values and weights that only its steps use lie.

        None, the default: they all lie in the process's memory.
        """
        return None

    def transfer_seconds(self, device: Device, nbytes: int) -> float:
        """Return the seconds that bringing a value of so many bytes into a device's own memory takes, or out of it.

        0, the default, is right where `own_memory` is None. `"parallel"` counts it where layers of two memories meet.
        """
        return 0.0

    def items_at_once(self, threads: int | None) -> int:
        """Return how many items of a large batch are best computed at a time; 0, the default: all.

        Answered by backends whose processor has caches that the values of a few items fit, and those of a batch don't.
        """
        return 0

    def thread_note(self, device: Device, threads: int | None) -> str:
        """Return what users should know of their limit of threads on a device; empty, the default: nothing."""
        return ""

    def parts_to_overlap(self, device: Device, nbytes: int) -> int:
        """Return into how many parts a batch is best cut whose inputs and outputs have so many bytes.

        So that one part is copied while another is computed; 1, the default: none. Asked where a device with memory of
        its own computes the whole network, by segments that are `Overlapping`.
        """
        return 1

    @abc.abstractmethod
    def compile(self, segment: Segment, buffers: Sequence[BufferSpec], threads: int | None) -> Runnable:
        """Return one runnable for the segment.

        `buffers` describes the slots of the frame that `run` will get; `threads` is the user's limit, None
        where there is none.
        """
