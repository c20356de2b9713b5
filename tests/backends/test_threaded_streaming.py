"""Weights that come in pieces: units of a step are computed as their slices come, with the same bits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="the threaded backend needs the extra threaded")

from cnnrt import Net
from cnnrt.file_lease import LEASES
from cnnrt.plugins import plugin_host
from cnnrt.testing.offered import offered
from cnnrt_backend_threaded.backend import ThreadedBackend
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
