"""The renderscript backend as users meet it: by request only, in a NetFile, beside the tuner, on several threads."""

from __future__ import annotations

import functools
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from cnnrt import Net
from cnnrt.backend import Device
from cnnrt.demo import demo_netfile
from cnnrt.errors import CnnrtError
from cnnrt.kernel_trial import make_trial
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.testing.case import make_case
from cnnrt.testing.offered import extended
from cnnrt_backend_renderscript.backend import RenderScriptBackend
from cnnrt_backend_renderscript.kernel_list import renderscript_kernels
from cnnrt_backend_renderscript.program import Launch, output_of
from cnnrt_backend_renderscript.script import Script
from cnnrt_backend_renderscript.script_kernel import ScriptKernel
from cnnrt_layers import ReLU
from core_suite.ceilings import stream_everything

PROBLEM = RenderScriptBackend().devices()[0].problem
pytestmark = pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM)


@functools.cache
def host() -> PluginHost:
    """A host with the sequential backend and this one."""
    return extended(plugin_host(), backends=[RenderScriptBackend(cores=2)], kernels=renderscript_kernels())


def digits(count: int = 8) -> Array:
    return np.random.default_rng(0).random((count, 1, 28, 28), dtype=np.float32) / 4


def expected(x: Array) -> Array:
    with Net(demo_netfile(), execution_mode="sequential", plugins=host()) as net:
        return np.asarray(net.compute(x))


def test_a_netfile_asks_for_it(tmp_path: Path) -> None:
    text = demo_netfile().read_text()
    own = tmp_path / demo_netfile().name
    own.write_text(text.replace('execution_mode: "parallel"', 'execution_mode: "renderscript"'))
    for file in demo_netfile().parent.glob("*.msg*"):
        shutil.copy(file, tmp_path)
    with Net(own, plugins=host(), strict=True) as net:
        np.testing.assert_allclose(net.compute(digits()), expected(digits()), atol=1e-6)
        assert net.plan.backends == ("renderscript",)


def test_parallel_never_shares_layers_out_to_it() -> None:
    with Net(demo_netfile(), plugins=host()) as net:
        net.compute(digits(1))
        assert net.plan.backends == ("sequential",)


@pytest.mark.parametrize("name", ["renderscript", "host", "renderscript:host"])
def test_a_device_can_be_named_instead(name: str) -> None:
    with Net(demo_netfile(), plugins=host(), device=name) as net:
        net.compute(digits(1))
        assert net.plan.backends == ("renderscript",)


class SeveralDevices(RenderScriptBackend):
    """The host, and one that would do everything at once."""

    def devices(self) -> list[Device]:
        return [*super().devices(), Device(self.name, "phone", alone=True)]


def test_one_of_several_devices_computes_alone() -> None:
    """Otherwise a network would be spread over a phone and this processor."""
    own = extended(plugin_host(), backends=[SeveralDevices(cores=2)], kernels=renderscript_kernels())
    with Net(demo_netfile(), plugins=own, execution_mode="renderscript") as net:
        plan = net.prepare((1, 1, 28, 28))
    assert {row.device for row in plan.rows if row.backend == "renderscript"} == {"host"}


def test_weights_that_do_not_stay_are_read_for_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    stream_everything(monkeypatch)
    with Net(demo_netfile(), plugins=host(), execution_mode="renderscript") as net:
        for _ in range(2):
            np.testing.assert_allclose(net.compute(digits()), expected(digits()), atol=1e-6)
        assert net.plan.memory.streamed > 0


def test_it_profiles_each_layer() -> None:
    with Net(demo_netfile(), plugins=host(), execution_mode="renderscript") as net:
        layers = {t.layer for t in net.profile(digits()).layers}
    assert {"conv1", "pool1", "conv2"} <= layers


def test_the_tuner_tries_tiles_and_dot_products() -> None:
    with Net(demo_netfile(), plugins=host(), execution_mode="renderscript", auto_tuning=True, tuning_budget=30) as net:
        np.testing.assert_allclose(net.compute(digits()), expected(digits()), atol=1e-6)
        (row,) = (row for row in net.plan.rows if row.layer == "conv2")
    assert "measured" in row.why


def test_calls_from_several_threads_do_not_meet() -> None:
    inputs = [digits() * scale for scale in (0.25, 0.5, 1.0)]
    wanted = [expected(x) for x in inputs]
    wrong: list[int] = []
    with Net(demo_netfile(), plugins=host(), execution_mode="renderscript", concurrency=2) as net:

        def compute(number: int) -> None:
            for _ in range(20):
                if not np.allclose(net.compute(inputs[number]), wanted[number], atol=1e-6):
                    wrong.append(number)

        threads = [threading.Thread(target=compute, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


class Misfit(ScriptKernel):
    """Asks for a launch that means nothing, or reaches beyond its output."""

    layer = "ReLU"
    name = "misfit"
    script = Script("misfit", text="rs_allocation out;\nvoid __attribute__((kernel)) run(uint32_t x) "
                                   "{ rsSetElementAt_float(out, 1, x + 1); }\n")  # fmt: skip

    def __init__(self, items: int) -> None:
        self.items = items

    def launches(self, call: LayerCall) -> list[Launch]:
        return [Launch(self.script, "run", {"out": output_of()}, self.items)]


@pytest.mark.parametrize(
    ("items", "complaint"),
    [
        (0, "layer 'case': run of misfit.rs: launch 0 cannot be made: it has neither an input, nor an output"),
        (8, r"case: misfit: 1 accesses beyond an allocation, the first at \(8, 0, 0\) of 8"),
    ],
)
def test_a_kernel_at_fault_is_named_with_its_layer(items: int, complaint: str) -> None:
    backend = RenderScriptBackend(checked=True, cores=1)
    case = make_case(ReLU(), [(8,)])
    trial = make_trial(
        Misfit(items), backend, backend.devices()[0], case.call, case.inputs, case.weights, 1, name="case"
    )
    with pytest.raises(CnnrtError, match=complaint):
        trial.run(*trial.buffers())
