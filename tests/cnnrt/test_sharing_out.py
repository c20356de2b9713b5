"""Layers shared out between the process's memory and that of a device apart: transfers counted, and told."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnrt import Net
from cnnrt.errors import PlacementError
from cnnrt.plan import PlanRow
from core_suite.apart_backend import ApartBackend
from core_suite.plugins_in_memory import host_with_backends
from core_suite.random_networks import RandomNetwork, networks
from core_suite.small_networks import filters, images, write_network
from core_suite.toy_backend import ToyBackend, ToyKernel
from core_suite.tunable_kernels import SleepyKernel
from netfile_spec import InputBlock, LayerBlock, layer, write_model

MS = 1e-3
SHAPE = (2, 3, 4)

Times = Mapping[str, tuple[float | None, float | None]]
"""Milliseconds of a type of layer on the host and apart; None: no kernel."""


def net_of(folder: Path, layers: Sequence[LayerBlock], times: Times, apart: ApartBackend, **options: Any) -> Net:
    """Return a net of layers of an image `data`; kernels of each type take so long."""
    kernels = [
        ToyKernel(kind, backend=backend, seconds=ms * MS, folds=())
        for kind, both in times.items()
        for backend, ms in zip(("toy", apart.name), both, strict=True)
        if ms is not None
    ]
    path = write_network(folder, layers, inputs=[InputBlock("data", SHAPE)])
    return Net(path, plugins=host_with_backends([ToyBackend(), apart], kernels), **options)


def chain(*kinds: str) -> list[LayerBlock]:
    return [layer(kind, f"{kind.lower()}{number}") for number, kind in enumerate(kinds)]


def where(net: Net) -> list[str]:
    return [row.backend for row in net.plan.rows]


def row(net: Net, name: str) -> PlanRow:
    return next(row for row in net.plan.rows if row.layer == name)


def check(net: Net) -> None:
    """Compare what a net computes with what the built-in backends do."""
    x = images(2, *SHAPE)
    np.testing.assert_allclose(net.compute(x), Net(net.netfile, root_directory=net.root).compute(x), rtol=1e-5)


def test_no_layer_leaves_for_less_than_its_transfers_take(tmp_path: Path) -> None:
    times = {"Sigmoid": (3.0, 1.0), "TanH": (1.5, 2.0)}
    apart = ApartBackend(latency=1 * MS)
    net = net_of(tmp_path, chain("Sigmoid", "TanH", "Sigmoid"), times, apart)
    assert where(net) == ["apart", "apart", "apart"]
    assert row(net, "tanh1").why == (
        "parallel: the fastest with transfers; expected 2 ms, against toy/toy 1.5 ms; "
        "toy/toy would need 2 ms more of transfers"
    )
    assert row(net, "sigmoid0").why == (
        "parallel: expected to be the fastest; expected 1 ms, against toy/toy 3 ms; 1 ms of transfers"
    )
    assert net.plan.notes[-1] == "all on apart:apart0: 6 ms expected, 2 ms of it transfers; all on the host: 7.5 ms"
    net.compute(images(2, *SHAPE))
    assert [way for way, _ in apart.passed] == ["in", "out"]


def test_a_network_is_split_where_that_pays(tmp_path: Path) -> None:
    times = {"Sigmoid": (9.0, 1.0), "TanH": (1.0, 3.0)}
    apart = ApartBackend(latency=1 * MS)
    net = net_of(tmp_path, chain("Sigmoid", "Sigmoid", "TanH", "TanH"), times, apart)
    assert where(net) == ["apart", "apart", "toy", "toy"]
    assert [row.segment for row in net.plan.rows] == [0, 0, 1, 1]
    assert net.plan.notes[-1] == (
        "shared out between the host and apart:apart0: 6 ms expected, 2 ms of it transfers; "
        "all on the host: 20 ms; all on apart:apart0: 10 ms"
    )
    check(net)
    assert [way for way, _ in apart.passed] == ["in", "out"]


def test_bytes_count(tmp_path: Path) -> None:
    times = {"Sigmoid": (3.0, 1.0)}
    nbytes = 4 * 2 * 3 * 4
    for images_, expected in ((1, ["apart"]), (100, ["toy"])):
        apart = ApartBackend(latency=0.4 * MS, rate=nbytes / (0.01 * MS))
        net = net_of(tmp_path / str(images_), chain("Sigmoid"), times, apart)
        net.prepare((images_, *SHAPE))
        assert where(net) == expected, "0.82 ms of transfers, or 2.8"


def test_a_value_that_several_layers_read_is_brought_once(tmp_path: Path) -> None:
    layers = [
        layer("Sigmoid", "a", bottom="data"),
        layer("TanH", "b", bottom="data"),
        layer("Eltwise", "sum", bottom=["a", "b", "data"]),
    ]
    times = {"Sigmoid": (3.0, 1.0), "TanH": (3.0, 1.0), "Eltwise": (3.0, 1.0)}
    apart = ApartBackend(latency=2.5 * MS)
    net = net_of(tmp_path, layers, times, apart)
    assert where(net) == ["apart"] * 3, "3 + 2 * 2.5 ms against 9; three times in would be 13"
    check(net)
    assert [way for way, _ in apart.passed] == ["in", "out"]


def test_a_layer_that_the_device_lacks_runs_in_between(tmp_path: Path) -> None:
    layers = chain("Sigmoid", "TanH", "Sigmoid")
    apart = ApartBackend(latency=1 * MS)
    pays = net_of(tmp_path / "pays", layers, {"Sigmoid": (9.0, 1.0), "TanH": (1.0, None)}, apart)
    assert where(pays) == ["apart", "toy", "apart"]
    assert pays.plan.notes[-1].endswith("; all on the host: 19 ms"), "all that can be apart is what was chosen"
    check(pays)
    assert len(apart.passed) == 4
    not_worth_it = net_of(tmp_path / "not", layers, {"Sigmoid": (2.0, 1.0), "TanH": (1.0, None)}, apart)
    assert where(not_worth_it) == ["toy"] * 3
    assert not_worth_it.plan.notes[-1] == "all on the host: 5 ms expected; all that can be on apart:apart0: 7 ms"


def test_what_no_backend_has_runs_by_its_reference_and_its_transfers_count(tmp_path: Path) -> None:
    layers = chain("Sigmoid", "TanH", "Sigmoid")
    net = net_of(tmp_path, layers, {"Sigmoid": (2.0, 1.0)}, ApartBackend(latency=1 * MS))
    assert where(net) == ["toy", "core", "toy"]
    check(net)
    near = net_of(tmp_path, layers, {"Sigmoid": (2.0, 1.0)}, ApartBackend(latency=0.1 * MS))
    assert where(near) == ["apart", "core", "apart"]
    with pytest.raises(PlacementError, match="strict forbids"):
        net_of(tmp_path, layers, {"Sigmoid": (2.0, 1.0)}, ApartBackend(), strict=True).prepare()


def test_a_value_that_is_asked_for_has_to_come_out(tmp_path: Path) -> None:
    times = {"Sigmoid": (4.0, 1.0)}
    apart = ApartBackend(latency=2 * MS)
    net = net_of(tmp_path, chain("Sigmoid", "Sigmoid"), times, apart)
    assert where(net) == ["apart", "apart"]
    net.compute(images(1, *SHAPE), outputs=["sigmoid0", "sigmoid1"])
    assert where(net) == ["toy", "toy"], "8 ms, against 2 + 3 * 2"


def test_pinned_layers_stay_and_others_are_placed_around_them(tmp_path: Path) -> None:
    layers = chain("Sigmoid", "TanH")
    times = {"Sigmoid": (1.0, 5.0), "TanH": (3.0, 1.0)}
    far = net_of(tmp_path / "far", layers, times, ApartBackend(latency=2 * MS))
    assert where(far) == ["toy", "toy"]
    saved = net_of(tmp_path / "near", layers, times, ApartBackend(latency=0.1 * MS)).plan.to_dict()
    assert [row["backend"] for row in saved["rows"]] == ["toy", "apart"]
    saved["rows"] = saved["rows"][1:]
    pinned = net_of(tmp_path / "pinned", layers, times, ApartBackend(latency=2 * MS), plan=saved)
    assert where(pinned) == ["toy", "apart"]
    assert row(pinned, "tanh1").why == "pinned by the plan that was handed in; 4 ms of transfers"


def test_one_device_or_one_memory_needs_no_decision(tmp_path: Path) -> None:
    times = {"Sigmoid": (9.0, 1.0)}
    slow = ApartBackend(latency=100 * MS)
    alone = net_of(tmp_path, chain("Sigmoid"), times, slow, execution_mode="apart")
    assert where(alone) == ["apart"]
    assert row(alone, "sigmoid0").why == 'execution_mode "apart"; expected 1 ms'
    assert alone.plan.notes == ()


def test_a_second_device_apart_gets_values_by_way_of_the_process(tmp_path: Path) -> None:
    near, far = ApartBackend("near", latency=1 * MS), ApartBackend("far", latency=3 * MS)
    kernels = [
        ToyKernel(kind, backend=backend, seconds=ms * MS)
        for kind, backend, ms in (
            ("Sigmoid", "toy", 20),
            ("Sigmoid", "near", 1),
            ("Sigmoid", "far", 9),
            ("TanH", "toy", 20),
            ("TanH", "near", 19),
            ("TanH", "far", 1),
        )
    ]
    path = write_network(tmp_path, chain("Sigmoid", "TanH"), inputs=[InputBlock("data", SHAPE)])
    net = Net(path, plugins=host_with_backends([ToyBackend(), near, far], kernels))
    assert where(net) == ["near", "far"]
    assert "10 ms expected, 8 ms of it transfers" in net.plan.notes[-1]
    check(net)
    assert [[way for way, _ in backend.passed] for backend in (near, far)] == [["in", "out"]] * 2


def test_parts_of_a_joined_value_that_come_from_both_sides_are_not_lost(tmp_path: Path) -> None:
    layers = [
        layer("Sigmoid", "a", bottom="data"),
        layer("TanH", "b", bottom="data"),
        layer("Concat", "both", bottom=["a", "b"]),
    ]
    times = {"Sigmoid": (1.0, 9.0), "TanH": (9.0, 1.0), "Concat": (1.0, 9.0)}
    net = net_of(tmp_path, layers, times, ApartBackend(latency=0.1 * MS))
    assert where(net) == ["toy", "apart", "toy"]
    check(net)


@given(networks(most_layers=12), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.5, 2.0]), st.booleans())
@settings(max_examples=60)
def test_random_networks_compute_the_same_and_as_many_values_pass_as_were_counted(
    network: RandomNetwork, seed: int, latency: float, in_place: bool
) -> None:
    generator = np.random.default_rng(seed)
    kinds = ("Convolution", "ReLU", "Pooling", "Eltwise", "Concat", "FullyConnected")
    drawn: dict[tuple[str, str, str], float] = {}

    class Drawn(ToyKernel):
        """A kernel whose calls each take a time of their own."""

        def estimate(self, call: Any, device: Any) -> float:
            return drawn.setdefault((self.backend, self.layer, repr(call)), float(generator.uniform(0.1, 2)) * MS)

    apart = ApartBackend(latency=latency * MS)
    kernels = [
        Drawn(kind, backend=b, folds=("ReLU", "Eltwise"), parts=in_place) for kind in kinds for b in ("toy", "apart")
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = write_model(Path(folder), network.netfile, network.parameters)
        net = Net(path, plugins=host_with_backends([ToyBackend(), apart], kernels))
        plain = Net(path, execution_mode="sequential")
        wanted = list(network.wanted or net.graph.outputs)
        inputs = {i.name: images(2, *i.shape, seed=3) for i in net.graph.needed_inputs(wanted) if i.shape}
        found = net.compute(inputs, outputs=wanted)
        expected = plain.compute(inputs, outputs=wanted)
    for name, value in (expected if isinstance(expected, dict) else {"": expected}).items():
        np.testing.assert_allclose(found[name] if name else found, value, rtol=1e-4, atol=1e-4)
    shared = [note for note in net.plan.notes if " expected" in note]
    if shared and latency and not in_place:  # a Concat in place costs less than was counted
        told = re.search(r"([\d.]+) ms of it transfers", shared[0])
        assert len(apart.passed) * latency == (float(told[1]) if told else 0)


def test_measured_in_each_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is expected to be far slower is measured all the same, once for each memory."""
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path / "cache"))
    kernels = [
        SleepyKernel("Sigmoid", seconds=100 * MS, lasts=1 * MS),
        SleepyKernel("Sigmoid", backend="apart", seconds=1 * MS, lasts=6 * MS),
    ]
    path = write_network(tmp_path / "net", chain("Sigmoid"), inputs=[InputBlock("data", SHAPE)])
    net = Net(path, plugins=host_with_backends([ToyBackend(), ApartBackend()], kernels), auto_tuning=True)
    net.prepare((2, *SHAPE))
    assert where(net) == ["toy"]
    assert row(net, "sigmoid0").why.startswith("parallel: measured to be the fastest; measured ")
    assert "against apart/toy" in row(net, "sigmoid0").why
    far = ApartBackend(latency=0)
    off = Net(path, plugins=host_with_backends([ToyBackend(), far], kernels), auto_tuning=False)
    off.prepare((2, *SHAPE))
    assert where(off) == ["apart"], "by what they expect"


def test_measured_the_faster_one_is_passed_over_where_transfers_take_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path / "cache"))
    kernels = [
        SleepyKernel("Sigmoid", seconds=1 * MS, lasts=6 * MS),
        SleepyKernel("Sigmoid", backend="apart", seconds=1 * MS, lasts=1 * MS),
    ]
    path = write_network(tmp_path / "net", chain("Sigmoid"), inputs=[InputBlock("data", SHAPE)])
    far = ApartBackend(latency=50 * MS)
    net = Net(path, plugins=host_with_backends([ToyBackend(), far], kernels), auto_tuning=True)
    net.prepare((2, *SHAPE))
    assert where(net) == ["toy"]
    why = row(net, "sigmoid0").why
    assert why.startswith("parallel: the fastest with transfers; measured ")
    assert why.endswith("; apart/toy would need 100 ms more of transfers")


def test_a_batch_stays_whole_where_the_first_layers_run_on_a_device_apart(tmp_path: Path) -> None:
    """What is cut for a processor's caches would pass to the device in pieces."""

    class InParts(ToyBackend):
        def items_at_once(self, threads: int | None) -> int:
            return 1

    layers = [layer("Convolution", "conv", pad=1), layer("Pooling", "pool", kernel_size=3), layer("ReLU", "relu")]
    inputs = [InputBlock("data", (3, 256, 256))]
    path = write_network(tmp_path, layers, {"conv": filters(0, 8, 3, 3, 3)}, inputs=inputs)
    for seconds, parts in ((0.1 * MS, 1), (2000 * MS, 16)):
        kernels = [
            ToyKernel(kind, backend=b, seconds=s)
            for kind in ("Convolution", "Pooling", "ReLU")
            for b, s in (("toy", 100 * MS), ("apart", seconds))
        ]
        net = Net(path, plugins=host_with_backends([InParts(), ApartBackend(latency=0.1 * MS)], kernels))
        net.prepare((16, 3, 256, 256))
        assert where(net)[-1] == ("apart" if parts == 1 else "toy")
        assert any(f"{parts} times, so that values stay in the cache" in n for n in net.plan.notes) == (parts > 1)
