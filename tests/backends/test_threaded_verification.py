"""The threaded kernels are verified on the processor before they are first used; a liar in machine code is caught."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="the threaded backend needs llvmlite")

from cnnrt import Net
from cnnrt.backend import Device, Packed, StoredWeights
from cnnrt.errors import KernelWarning
from cnnrt.layer_call import LayerCall
from cnnrt.stored_weights import HeldWeights
from cnnrt.tuning.store import default_store
from cnnrt_backend_threaded.backend import ThreadedBackend
from cnnrt_backend_threaded.convolution_direct import DirectConvolution
from cnnrt_backend_threaded.kernels import threaded_kernels
from core_suite.plugins_in_memory import host_with_backends
from core_suite.small_networks import images, write_chain


class ForgetsLastOutput(DirectConvolution):
    """Packs zeros for the last channel of the outputs."""

    name = "forgetful"

    def estimate(self, call: LayerCall, device: Device) -> float:
        return 0.0

    def pack_stored(self, call: LayerCall, stored: StoredWeights) -> Packed:
        weights = {name: w.copy() for name, w in stored.load().items()}
        weights["weight"][-1] = 0
        return super().pack_stored(call, HeldWeights(weights))

    def pack(self, call: LayerCall, weights: Mapping[str, np.ndarray]) -> Packed:
        return self.pack_stored(call, HeldWeights(weights))


@pytest.fixture(autouse=True)
def fresh_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path / "cache"))


def test_each_kernel_that_runs_was_verified(tmp_path: Path) -> None:
    host = host_with_backends([ThreadedBackend()], threaded_kernels())
    net = Net(write_chain(tmp_path / "net"), plugins=host, execution_mode="threaded", strict=True)
    plan = net.prepare((2, 3, 8, 8))
    ran = {row.kernel for row in plan.rows if row.segment >= 0}
    verified = {f.key["kernel"].rpartition("/")[2] for f in default_store().facts("verification")}
    assert ran <= verified
    assert default_store().facts("quarantine") == []


def test_a_kernel_that_lies_in_machine_code_is_not_used(tmp_path: Path) -> None:
    host = host_with_backends([ThreadedBackend()], [ForgetsLastOutput(), *threaded_kernels()])
    net = Net(write_chain(tmp_path / "net"), plugins=host, execution_mode="threaded")
    honest = Net(net.netfile, root_directory=tmp_path / "net", execution_mode="sequential")
    x = images(2, 3, 8, 8)
    with pytest.warns(KernelWarning, match="'threaded/forgetful' computes wrongly"):
        got = net.compute(x)
    np.testing.assert_allclose(got, honest.compute(x), atol=1e-6)
    row = next(row for row in net.plan.rows if row.layer == "conv")
    assert row.kernel != "forgetful"
    assert "threaded/forgetful is quarantined" in row.why
