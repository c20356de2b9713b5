"""The sequential backend as the rest of cnnrt sees it: a plugin, a device, one thread, and sensible estimates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from cnnrt.backend import BufferSpec, HostFunction, HostKernel, Packed, Segment, Step
from cnnrt.kernel_trial import Resident
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.plugins import plugin_host
from cnnrt.testing.case import Case, make_case
from cnnrt.testing.kernel_run import run_kernel
from cnnrt_backend_sequential import processor
from cnnrt_backend_sequential.backend import SequentialBackend
from cnnrt_backend_sequential.kernels import sequential_kernels
from cnnrt_layers import Convolution, ReLU

BACKEND = SequentialBackend()
(DEVICE,) = BACKEND.devices()


def convolution(channels: int, size: int, kernel: int, *, batch: int = 1, **keys: int) -> Case:
    layer = Convolution(**keys)
    shape = {"weight": (channels, channels // layer.group, kernel, kernel), "bias": (channels,)}
    return make_case(layer, [(batch, channels, size, size)], shape)


def test_it_comes_in_by_the_plugin_door() -> None:
    assert isinstance(plugin_host().backends()["sequential"], SequentialBackend)
    found = {key[2] for key in plugin_host().kernels() if key[:2] == ("convolution", "sequential")}
    assert found == {"rows", "pointwise", "depthwise"}


def test_it_sees_the_processor() -> None:
    assert (DEVICE.backend, DEVICE.name, DEVICE.problem) == ("sequential", "cpu", "")
    assert DEVICE.description


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ("processor\t: 0\nmodel\t\t: 85\nmodel name\t: AMD EPYC 9554\n", "AMD EPYC 9554"),
        ("processor\t: 0\nBogoMIPS\t: 50\nModel\t\t: Raspberry Pi 5\n", "Raspberry Pi 5"),
        ("processor : 0\n", ""),
    ],
)
def test_a_processor_is_named_as_its_kernel_names_it(tmp_path, cpuinfo: str, name: str) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert processor._from_cpuinfo(tmp_path / "cpuinfo") == name


def test_a_processor_without_a_name_has_its_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "_from_cpuinfo", lambda path: "")
    monkeypatch.setattr(processor, "_from_sysctl", lambda: "")
    assert processor.processor_name()


class Probe(HostKernel):
    """Notes how many threads BLAS has while it runs."""

    layer = "ReLU"
    backend = "sequential"
    name = "probe"

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def bind(self, call: LayerCall) -> HostFunction:
        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            found = ThreadpoolController().info()
            self.threads = {library["num_threads"] for library in found if library["user_api"] == "blas"}

        return run


@pytest.mark.parametrize("threads", [None, 4])
def test_a_segment_runs_on_one_blas_thread_whatever_is_allowed(threads: int | None) -> None:
    probe = Probe()
    case = make_case(ReLU(), [(2, 3)])
    step = Step("probe", case.call, probe, (0,), (1,), Resident({}), 2)
    specs = [BufferSpec(t, None) for t in (*case.call.inputs, *case.call.outputs)]
    with threadpool_limits(2, user_api="blas"):
        runnable = BACKEND.compile(Segment(0, DEVICE, (step,)), specs, threads)
        runnable.run([case.inputs[0], np.empty((2, 3), np.float32), np.empty(0, np.uint8)])
    assert probe.threads == {1}


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (convolution(64, 28, 3), "rows"),
        (convolution(64, 28, 1), "pointwise"),
        (convolution(64, 28, 1, stride=2), "rows"),
        (convolution(64, 28, 3, group=64), "depthwise"),
        (convolution(256, 2, 1, batch=32), "rows"),
    ],
    ids=["3x3", "1x1", "1x1 with stride", "depthwise", "1x1 on many tiny images"],
)
def test_the_cheapest_kernel_is_the_one_made_for_the_call(case: Case, expected: str) -> None:
    able = [k for k in sequential_kernels() if k.layer == "Convolution" and k.can_run(case.call, DEVICE) is True]
    assert min(able, key=lambda k: k.estimate(case.call, DEVICE)).name == expected


def test_a_kernel_that_declines_says_why() -> None:
    kernels = {k.name: k for k in sequential_kernels() if k.layer == "Convolution"}
    answers = {name: k.can_run(convolution(8, 9, 3).call, DEVICE) for name, k in kernels.items()}
    assert answers == {
        "rows": True,
        "pointwise": "the kernel is 3×3, not 1×1",
        "depthwise": "a group has 8 input channels, not 1",
    }
    pointwise = kernels["pointwise"]
    assert pointwise.can_run(convolution(8, 9, 1, stride=2).call, DEVICE) == "the stride is not 1"
    assert pointwise.can_run(convolution(8, 9, 1, pad=1).call, DEVICE) == "the image is padded"


def test_tiny_images_share_products_and_the_last_ones_are_not_forgotten() -> None:
    case = convolution(8, 3, 3, batch=23, pad=1)
    (rows,) = (k for k in sequential_kernels() if k.name == "rows")
    together = rows.parameters(case.call)["images"]
    assert isinstance(together, int)
    assert together > 1
    assert 23 % together
    (result,) = run_kernel(rows, BACKEND, DEVICE, case)
    np.testing.assert_allclose(result, case.call.reference(case.inputs, case.weights)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("slopes", [(0.0, 0.5), (0.5, 0.5), (-0.5, 0.25), (0.1, 0.0)])
def test_relus_folded_one_after_the_other_act_as_one(slopes: tuple[float, ...]) -> None:
    folded = tuple(ReLU(negative_slope=slope) for slope in slopes)
    case = make_case(Convolution(), [(1, 3, 8, 8)], {"weight": (4, 3, 3, 3)}, folded=folded)
    expected = case.call.reference(case.inputs, case.weights)[0]
    (rows,) = (k for k in sequential_kernels() if k.name == "rows")
    np.testing.assert_allclose(run_kernel(rows, BACKEND, DEVICE, case)[0], expected, rtol=1e-4, atol=1e-4)
