"""Weights that come in pieces: units of a step are computed as their slices come, with the same bits."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="the threaded backend needs the extra threaded")

from cnnrt import Net
from cnnrt.backend import Kernel, Packed, StoredWeights
from cnnrt.errors import PlacementError
from cnnrt.file_lease import LEASES
from cnnrt.layer_call import LayerCall
from cnnrt.plan import Plan
from cnnrt.plugins import plugin_host
from cnnrt.testing.offered import offered
from cnnrt.tuning.store import default_store
from cnnrt_backend_threaded.backend import ThreadedBackend
from cnnrt_backend_threaded.fully_connected import PanelProduct
from cnnrt_backend_threaded.kernels import threaded_kernels
from core_suite.ceilings import stream_everything
from core_suite.small_networks import filters, images, write_network
from netfile_spec import layer

MIB = 1 << 20
LAYERS = [
    layer("Convolution", "conv", pad=1),
    layer("ReLU", "relu"),
    layer("FullyConnected", "wide"),
    layer("ReLU", "relu_wide"),
    layer("FullyConnected", "long"),
    layer("Softmax", "prob"),
]
PARAMETERS = {
    "conv": filters(1, 24, 8, 3, 3),
    "wide": filters(2, 1001, 24 * 144),  # 13.2 MiB; the last panel is not full
    "long": filters(3, 70, 1001),
}


def threaded(netfile: Path, **options: Any) -> Net:
    layers = list(plugin_host().layers().values())
    host = offered(layers=layers, backends=[ThreadedBackend()], kernels=threaded_kernels())
    return Net(netfile, execution_mode="threaded", plugins=host, **options)


@pytest.fixture(scope="module")
def netfile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("streamed"), LAYERS, PARAMETERS)


class InSlices(PanelProduct):
    """Notes how many panels of the wide layer are packed at a time, and never packs it as a whole."""

    packed: ClassVar[list[int]] = []

    def pack_stored(self, call: LayerCall, stored: StoredWeights) -> Packed:
        assert stored.shapes["weight"] != PARAMETERS["wide"]["weight"].shape, "packed as a whole"
        return super().pack_stored(call, stored)

    def pack_slices(self, call: LayerCall, stored: StoredWeights, first: int, last: int) -> Packed:
        self.packed.append(last - first)
        return super().pack_slices(call, stored, first, last)


class ForgetsSlices(InSlices):
    """Loses the biases of what does not begin with the first panel."""

    def pack_slices(self, call: LayerCall, stored: StoredWeights, first: int, last: int) -> Packed:
        panels, biases = super().pack_slices(call, stored, first, last)
        return panels, biases if first == 0 else biases + 1


@pytest.fixture
def in_ten_mebibytes(netfile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Kernel], Plan]:
    """Return what prepares the network with a kernel for its products, and gives the plan; nothing is known before."""
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path))
    monkeypatch.setattr(InSlices, "packed", [])

    def prepare(product: Kernel) -> Plan:
        layers = list(plugin_host().layers().values())
        others = [kernel for kernel in threaded_kernels() if kernel.layer != "FullyConnected"]
        host = offered(layers=layers, backends=[ThreadedBackend()], kernels=[product, *others])
        with Net(netfile, execution_mode="threaded", plugins=host, allocated_ram=10, strict=True) as net:
            return net.prepare((1, 8, 12, 12))

    return prepare


def test_weights_that_pass_are_verified_piece_by_piece(in_ten_mebibytes: Callable[[Kernel], Plan]) -> None:
    """So no second copy of them is there while a kernel is verified, in the child that does so under a ceiling."""
    plan = in_ten_mebibytes(InSlices())
    assert not {row.layer: row.resident for row in plan.rows}["wide"]
    assert len(InSlices.packed) > 5
    panel = 4 * 24 * 144 * 1001 / sum(InSlices.packed)
    assert max(InSlices.packed) * panel < 3 * MIB
    keys = [fact.key for fact in default_store().facts("verification")]
    assert any("1001" in str(key["call"]["outputs"]) for key in keys)


def test_a_kernel_that_is_wrong_in_pieces_is_found(in_ten_mebibytes: Callable[[Kernel], Plan]) -> None:
    with pytest.raises(PlacementError, match="layer 'wide': kernel 'threaded/panels' computes wrongly"):
        in_ten_mebibytes(ForgetsSlices())


@pytest.mark.parametrize("batch", [1, 3, 120])
@pytest.mark.parametrize(("threads", "leases"), [(1, LEASES), (2, LEASES), (2, False)])
def test_a_layer_larger_than_the_ceiling_is_computed_in_slices_with_the_same_bits(
    netfile: Path, batch: int, threads: int, leases: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnnrt.weight_store.LEASES", leases)
    x = images(batch, 8, 12, 12)
    whole = threaded(netfile, threads=threads)
    expected = whole.compute(x)
    with threaded(netfile, threads=threads, allocated_ram=10, plan=whole.plan) as net:
        for _ in range(3):
            assert net.compute(x).tobytes() == expected.tobytes()
        rows = {row.layer: row for row in net.plan.rows}
        assert not rows["wide"].resident
        assert rows["wide"].weight_bytes > 13 * MIB
        assert 0 < net.plan.memory.streaming < 10 * MIB
        assert (net.plan.memory.stream_window > 0) == leases
        assert net.plan.memory.peak <= 10 * MIB
        times = {t.layer: t.load_seconds for t in net.profile(x).layers}
        assert times["wide"] > 0


def test_all_layers_in_pieces_and_several_calls_at_a_time(netfile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [images(2, 8, 12, 12, seed=seed) for seed in range(6)]
    whole = threaded(netfile)
    expected = [whole.compute(x) for x in batches]
    stream_everything(monkeypatch)
    with threaded(netfile, concurrency=3) as net, ThreadPoolExecutor(3) as pool:
        for found, right in zip(pool.map(net.compute, batches), expected, strict=True):
            np.testing.assert_array_equal(found, right)
        assert net.plan.memory.resident == 0
