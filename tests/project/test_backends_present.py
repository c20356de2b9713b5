"""No backend is skipped whole: where this suite runs, each that ships with cnnrt can be used, and is chosen so."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from arm_suite.emulator import missing
from cnnrt import Net
from cnnrt.demo import demo_netfile
from cnnrt.plugins import PluginHost


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> PluginHost:
    """A host that sees everything that is installed."""
    monkeypatch.delenv("CNNRT_PLUGINS_BLOCK", raising=False)
    host = PluginHost()
    host.records()  # now, while nothing is blocked
    return host


@pytest.mark.parametrize("name", ["sequential", "threaded"])
def test_every_backend_that_ships_can_be_used_here(host: PluginHost, name: str) -> None:
    assert [device.problem for device in host.backends()[name].devices()] == [""]


def test_parallel_takes_the_fastest_and_agrees_with_sequential(host: PluginHost) -> None:
    x = np.random.default_rng(0).random((16, 1, 28, 28), dtype=np.float32) / 4
    with (
        Net(demo_netfile(), plugins=host) as net,
        Net(demo_netfile(), execution_mode="sequential", plugins=host) as plain,
    ):
        np.testing.assert_allclose(net.compute(x), plain.compute(x), atol=1e-6)
        assert "threaded" in net.plan.backends
        assert plain.plan.backends == ("sequential",)
        assert not net.plan.fallbacks


@pytest.mark.skipif("CNNRT_RENDERSCRIPT" not in os.environ, reason="only where .ci/run has set up clang-14")
def test_renderscript_can_be_compiled_and_checked_where_that_was_set_up(host: PluginHost) -> None:
    assert shutil.which("clang-14"), "its front end tells whether scripts are legal RenderScript"
    problems = {device.name: device.problem for device in host.backends()["renderscript"].devices()}
    assert {name: problems[name] for name in ("host", "runner", "qemu-aarch64", "qemu-arm")} == dict.fromkeys(
        ("host", "runner", "qemu-aarch64", "qemu-arm"), ""
    )


@pytest.mark.skipif("CNNRT_OPENCL" not in os.environ, reason="only where .ci/run has set up OpenCL")
def test_opencl_has_a_device_and_its_watchdog_where_they_were_set_up(host: PluginHost) -> None:
    found = {device.name: device.problem for device in host.backends()["opencl"].devices()}
    assert found["pocl"] == ""
    if "oclgrind" in os.environ["CNNRT_OPENCL"]:
        assert shutil.which("oclgrind"), "tests/backends/test_opencl_oclgrind.py would be skipped"


@pytest.mark.skipif("CNNRT_ARM" not in os.environ, reason="only where .ci/run has set up an emulator")
def test_code_for_arm_can_be_run_where_it_was_set_up() -> None:
    assert missing() == ""
