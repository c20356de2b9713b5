"""The suite of a backend finds what is wrong with it, and skips, with the reason, what cannot be tried."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from cnnrt.backend import (
    Backend,
    BufferSpec,
    Device,
    Frame,
    HostFunction,
    HostKernel,
    Kernel,
    Packed,
    Segment,
    StepTimer,
)
from cnnrt.host_segment import HostSegment
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.testing import BackendSuite
from cnnrt.testing.offered import offered
from cnnrt_layers import ReLU

KEY = ("relu", "wrong", "clip")


class Clip(HostKernel):
    """ReLU, right unless `fault` says otherwise."""

    layer = "ReLU"
    backend = "wrong"
    name = "clip"

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        if self.fault == "refuses without a reason" and call.inputs[0].shape[0] == 3:
            return False
        if self.fault == "allocates to answer":
            np.empty(min(call.inputs[0].nbytes, 1 << 24), np.uint8)
        return call.layer.negative_slope == 0 or "negative_slope is not 0"  # type: ignore[attr-defined]  # a ReLU

    def bind(self, call: LayerCall) -> HostFunction:
        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            if self.fault == "allocates beside its workspace":
                outputs[0][...] = np.maximum(inputs[0], 0)
            else:
                np.maximum(inputs[0], np.float32(0), out=outputs[0])

        return run


class DisturbedByOthers(HostSegment):
    """A segment that is right until another one runs between two of its own runs."""

    latest: HostSegment | None = None
    ran = False

    def run(self, frame: Frame, timer: StepTimer | None = None) -> None:
        super().run(frame, timer)
        if self.ran and DisturbedByOthers.latest is not self:
            frame[self._steps[-1].outputs[0]][...] += 1
        self.ran = True
        DisturbedByOthers.latest = self


class HidesFailures(HostSegment):
    """A segment that swallows every error."""

    def run(self, frame: Frame, timer: StepTimer | None = None) -> None:
        try:
            super().run(frame, timer)
        except Exception:
            frame[-1][...] = 0


class WrongBackend(Backend):
    name = "wrong"
    description = "wrong on purpose"

    def __init__(self, devices: Sequence[Device], segment: type[HostSegment] = HostSegment) -> None:
        self._devices = devices
        self._segment = segment

    def devices(self) -> Sequence[Device]:
        return self._devices

    def compile(self, segment: Segment, buffers: Sequence[BufferSpec], threads: int | None) -> HostSegment:
        return self._segment(segment)


def suite(
    *devices: Device,
    kernels: Sequence[Kernel] | None = None,
    segment: type[HostSegment] = HostSegment,
) -> BackendSuite:
    backend = WrongBackend(devices or [Device("wrong", "cpu")], segment)
    host = offered(layers=[ReLU], backends=[backend], kernels=[Clip("none")] if kernels is None else kernels)
    made = type("WrongSuite", (BackendSuite,), {"backend": "wrong", "host": classmethod(lambda cls: host)})()
    assert isinstance(made, BackendSuite)
    return made


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ([Device("other", "cpu")], "device 'cpu' says that it is of 'other'"),
        ([Device("wrong", "")], "a device without a name"),
        ([Device("wrong", "cpu"), Device("wrong", "cpu")], "two devices have one name"),
    ],
)
def test_devices_that_are_wrong(devices: list[Device], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        suite(*devices).test_devices_are_usable_or_say_why()


def test_a_device_that_cannot_be_used_is_a_skip_with_its_reason() -> None:
    broken = suite(Device("wrong", "gpu0", problem="driver 3.1 is too old"))
    broken.test_devices_are_usable_or_say_why()
    for check in (
        lambda: broken.test_kernel_agrees_with_the_reference(KEY),
        lambda: broken.test_networks_keep_apart("relu"),
    ):
        with pytest.raises(pytest.skip.Exception, match=r"gpu0: driver 3\.1 is too old"):
            check()


@pytest.mark.parametrize(
    ("fault", "check", "message"),
    [
        ("refuses without a reason", "kernel_agrees_with_the_reference", "expected True or a text that says why not"),
        ("allocates to answer", "kernel_answers_for_huge_sizes", r"clip allocates \d+ bytes"),
        (
            "allocates beside its workspace",
            "kernel_allocates_nothing_beside_its_workspace",
            "bytes beside the 0 of its workspace",
        ),
    ],
)
def test_what_is_wrong_with_a_kernel_is_found(fault: str, check: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        getattr(suite(kernels=[Clip(fault)]), f"test_{check}")(KEY)
    getattr(suite(), f"test_{check}")(KEY)


def test_state_that_networks_share_is_found() -> None:
    with pytest.raises(AssertionError, match=r"in turn 2 the network of .* gives something else than alone"):
        suite(segment=DisturbedByOthers).test_networks_keep_apart("relu")
    suite().test_networks_keep_apart("relu")


@pytest.mark.parametrize("when", ["bind", "run"])
def test_failures_that_are_swallowed_are_found(when: str) -> None:
    if when == "run":
        with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
            suite(segment=HidesFailures).test_a_failing_kernel_is_named(when)
    suite().test_a_failing_kernel_is_named(when)


def test_a_backend_without_kernels_runs_everything_by_references() -> None:
    empty = suite(kernels=[])
    empty.test_layers_without_a_kernel_run_by_their_reference()
    empty.test_strict_mode_refuses_what_has_no_kernel()
    with pytest.raises(pytest.skip.Exception, match="has no kernels: every layer runs by its reference"):
        empty.test_kernel_agrees_with_the_reference(None)
    with pytest.raises(pytest.skip.Exception, match="has no kernels: every layer runs by its reference"):
        empty.test_networks_keep_apart(None)


def test_a_layer_that_is_not_installed_is_a_skip_that_names_it() -> None:
    with pytest.raises(pytest.skip.Exception, match="provides the layer 'gone'"):
        suite().test_networks_keep_apart("gone")
