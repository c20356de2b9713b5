"""A segment of host kernels: order, buffers, times, and errors that name layer and kernel."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence

import attrs
import numpy as np
import pytest

from cnnrt.backend import Device, Frame, HostFunction, HostKernel, Kernel, Packed, Segment, Step, WeightPiece
from cnnrt.errors import CnnrtError, ParameterFileError
from cnnrt.host_segment import HostSegment
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import TensorType
from cnnrt_layers import ReLU

VALUES = TensorType((3,))
CALL = LayerCall(ReLU(), (VALUES,), (VALUES,))
HERE = Device("test", "cpu")


class FromFunction(HostKernel):
    """A kernel whose function is given."""

    layer = "ReLU"
    backend = "test"
    name = "given"

    def __init__(self, function: HostFunction) -> None:
        self.function = function

    def bind(self, call: LayerCall) -> HostFunction:
        return self.function


@attrs.frozen
class WeightsFrom:
    """Weights that a function returns."""

    load: Callable[[], Packed] = dict
    resident: bool = True

    def get(self) -> Packed:
        return self.load()

    def pieces(self) -> Iterator[WeightPiece]:
        yield WeightPiece(self.load(), 0, 1)


def one_step(kernel: Kernel, weights: WeightsFrom | None = None) -> Segment:
    return Segment(0, HERE, (Step("relu7", CALL, kernel, (0,), (1,), weights or WeightsFrom(), 2),))


def frame(*buffers: Array) -> Frame:
    return [*buffers, np.empty(0, np.uint8)]


def failing(error: Exception) -> FromFunction:
    def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
        raise error

    return FromFunction(run)


class Times:
    def __init__(self) -> None:
        self.recorded: list[tuple[str, float, float]] = []

    def record(self, layer_name: str, run_seconds: float, load_seconds: float) -> None:
        self.recorded.append((layer_name, run_seconds, load_seconds))


@pytest.mark.parametrize("timer", [None, Times()])
def test_steps_run_in_order_on_their_slots(timer: Times | None) -> None:
    def add_weights(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
        outputs[0][...] = inputs[0] * 10 + weights

    kernel = FromFunction(add_weights)
    first = Step("one", CALL, kernel, (0,), (1,), WeightsFrom(lambda: 1), 3)
    second = Step("two", CALL, kernel, (1,), (2,), WeightsFrom(lambda: 2), 3)
    buffers = frame(np.float32([0, 1, 2]), np.zeros(3, np.float32), np.zeros(3, np.float32))
    HostSegment(Segment(0, HERE, (first, second))).run(buffers, timer)
    assert buffers[2].tolist() == [12, 112, 212]


def test_a_timer_gets_run_and_load_time_of_each_step() -> None:
    def sleep(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
        time.sleep(0.02)

    times = Times()
    HostSegment(one_step(FromFunction(sleep), WeightsFrom(lambda: time.sleep(0.005)))).run(
        frame(np.zeros(3), np.zeros(3)), times
    )
    ((name, run_seconds, load_seconds),) = times.recorded
    assert name == "relu7"
    assert run_seconds >= 0.02
    assert 0.005 <= load_seconds < run_seconds


@pytest.mark.parametrize("timer", [None, Times()])
def test_a_failing_kernel_is_named_with_its_layer(timer: Times | None) -> None:
    segment = HostSegment(one_step(failing(ValueError("no such thing"))))
    with pytest.raises(
        CnnrtError, match=r"layer 'relu7': kernel 'given' of backend 'test' failed: ValueError"
    ) as caught:
        segment.run(frame(np.zeros(3), np.zeros(3)), timer)
    assert isinstance(caught.value.__cause__, ValueError)


def test_running_out_of_memory_says_what_to_do() -> None:
    segment = HostSegment(one_step(failing(MemoryError("Unable to allocate 8 TiB"))))
    with pytest.raises(CnnrtError, match=r"relu7.*out of memory.*8 TiB.*smaller batch"):
        segment.run(frame(np.zeros(3), np.zeros(3)))


def test_what_a_kernel_says_to_the_user_gets_the_layer_added() -> None:
    segment = HostSegment(one_step(failing(CnnrtError("label 11 of image 0 is none of the classes"))))
    with pytest.raises(CnnrtError, match=r"^layer 'relu7': label 11 of image 0"):
        segment.run(frame(np.zeros(3), np.zeros(3)))


@pytest.mark.parametrize("timer", [None, Times()])
def test_an_unreadable_parameter_file_keeps_its_own_error(timer: Times | None) -> None:
    def load() -> Packed:
        raise ParameterFileError("fc6.msg: truncated")

    segment = HostSegment(one_step(failing(AssertionError("never called")), WeightsFrom(load, resident=False)))
    with pytest.raises(ParameterFileError, match=r"^fc6.msg: truncated$"):
        segment.run(frame(np.zeros(3), np.zeros(3)), timer)


def test_a_kernel_that_cannot_be_bound_is_named() -> None:
    class Unbindable(FromFunction):
        def bind(self, call: LayerCall) -> HostFunction:
            raise KeyError("missing")

    with pytest.raises(CnnrtError, match=r"layer 'relu7': kernel 'given'.*could not be prepared: KeyError"):
        HostSegment(one_step(Unbindable(lambda *_: None)))


def test_a_kernel_of_another_kind_is_refused() -> None:
    class Elsewhere(Kernel):
        layer = "ReLU"
        backend = "test"
        name = "elsewhere"

    with pytest.raises(CnnrtError, match=r"'elsewhere'.*is not a HostKernel"):
        HostSegment(one_step(Elsewhere()))


def test_infinities_and_nan_pass_without_warnings() -> None:
    def divide(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
        np.divide(inputs[0], np.float32(0), out=outputs[0])

    buffers = frame(np.float32([0, 1, -1]), np.empty(3, np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        HostSegment(one_step(FromFunction(divide))).run(buffers)
    np.testing.assert_array_equal(buffers[1], np.float32([np.nan, np.inf, -np.inf]))
