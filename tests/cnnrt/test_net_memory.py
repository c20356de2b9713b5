"""`allocated_ram`: which weights stay, which are read for each call, and what the plan says of it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from cnnrt import CnnrtError, Net
from cnnrt.errors import MemoryCeilingWarning, ParameterFileError
from core_suite.small_networks import filters, images, write_network, write_text
from netfile_spec import layer, write_parameters

MIB = 1 << 20
LAYERS = [layer("FullyConnected", name) for name in ("small", "large", "middle")]
PARAMETERS = {
    "small": filters(1, 64, 64),  # 16.25 KiB
    "large": filters(2, 512, 64),  # 130 KiB
    "middle": filters(3, 32, 512),  # 64.125 KiB
}
KIB = {"small": 16.25, "large": 130, "middle": 64.125}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_network(tmp_path, LAYERS, PARAMETERS)


@pytest.mark.parametrize(
    ("kib", "stay"),
    [
        (1, set()),
        (17, {"small"}),
        (65, {"middle"}),
        (81, {"middle", "small"}),
        (131, {"large"}),
        (147, {"large", "small"}),
        (195, {"large", "middle"}),
        (211, {"large", "middle", "small"}),
    ],
)
def test_the_largest_files_stay_while_they_fit_and_the_sum_is_in_the_plan(
    path: Path, kib: float, stay: set[str]
) -> None:
    net = Net(path, allocated_ram=kib / 1024)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MemoryCeilingWarning)
        memory = net.plan_for((2, 64)).memory
    assert memory.resident == 1024 * sum(KIB[name] for name in stay)
    assert memory.streamed == 1024 * sum(KIB[name] for name in KIB if name not in stay)
    assert memory.ceiling == int(kib * 1024)


def test_without_a_ceiling_everything_stays(path: Path) -> None:
    memory = Net(path).plan_for((2, 64)).memory
    assert (memory.resident, memory.streamed, memory.ceiling) == (1024 * sum(KIB.values()), 0, None)
    assert "no ceiling" in str(memory)


def test_streamed_and_resident_weights_give_the_same_bits(path: Path) -> None:
    x = images(8, 64)
    resident = Net(path).compute(x)
    for kib in (1, 81, 147):
        net = Net(path, allocated_ram=kib / 1024)
        with pytest.warns(MemoryCeilingWarning):
            first = net.compute(x)
        assert first.tobytes() == net.compute(x).tobytes() == resident.tobytes()


def test_the_profile_shows_who_was_loaded_for_the_call(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnrt.weights import WeightSource

    loads: list[str] = []
    original = WeightSource.opened

    def counted(self: WeightSource, *rest: object) -> object:
        loads.append(self.path.stem)
        return original(self, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(WeightSource, "opened", counted)
    net = Net(path, allocated_ram=147 / 1024)
    with pytest.warns(MemoryCeilingWarning):
        net.prepare((2, 64))
    assert sorted(loads) == ["large", "small"]
    loads.clear()
    times = {t.layer: t.load_seconds for t in net.profile(images(2, 64)).layers}
    assert loads == ["middle"]
    assert times["middle"] > 0


def test_a_plan_above_the_ceiling_warns_with_the_callers_line(path: Path) -> None:
    net = Net(path, allocated_ram=0.001)
    with pytest.warns(MemoryCeilingWarning, match=r"the plan needs .* above allocated_ram") as caught:
        net.prepare((2, 64))
    assert caught[0].filename == __file__


def test_a_plan_below_the_ceiling_does_not_warn(path: Path) -> None:
    net = Net(path, allocated_ram=1)
    assert net.prepare((2, 64)).memory.peak < MIB


def test_the_peak_counts_what_each_concurrent_call_needs(path: Path) -> None:
    one, three = (Net(path, concurrency=k).plan_for((16, 64)).memory for k in (1, 3))
    each = one.arena + one.outputs + one.transient
    assert one.peak == one.resident + each
    assert three.peak == one.resident + 3 * each
    assert one.outputs == 16 * 32 * 4
    assert one.arena >= 16 * (64 + 512) * 4


def test_the_peak_counts_weights_that_are_streamed_and_names_the_layer(path: Path) -> None:
    net = Net(path, allocated_ram=1 / 1024)
    with pytest.warns(MemoryCeilingWarning):
        memory = net.plan_for((2, 64)).memory
    assert memory.peak_layer == "large"
    assert memory.transient >= 130 * 1024


def test_layers_that_share_a_file_share_its_weights(tmp_path: Path) -> None:
    weights = filters(0, 64, 64)
    layers = [layer("FullyConnected", name) for name in "abc"]
    net = Net(write_network(tmp_path, layers, dict.fromkeys("abc", weights)))
    assert len(list(tmp_path.glob("*.msg"))) == 1
    assert net.plan_for((2, 64)).memory.resident == 4 * (64 * 64 + 64)
    x = images(2, 64).astype(np.float64)
    expected = x
    for _ in range(3):
        expected = expected @ weights["weight"].astype(np.float64).T + weights["bias"]
    np.testing.assert_allclose(net.compute(x.astype(np.float32)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_parameter_file_that_was_replaced_meanwhile_is_noticed(path: Path, streamed: bool) -> None:
    net = Net(path, allocated_ram=0.01 if streamed else None)
    write_parameters(path.parent / "large.msg", filters(2, 512, 65))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MemoryCeilingWarning)
        with pytest.raises(CnnrtError, match=r"large\.msg: .*has changed since the network was read"):
            net.compute(images(2, 64))


def test_damaged_weights_are_an_error_of_the_file_and_not_of_the_kernel(path: Path) -> None:
    file = path.parent / "large.msg"
    data = bytearray(file.read_bytes())
    data[-100] ^= 0xFF
    file.write_bytes(data)
    with pytest.raises(ParameterFileError, match=r"large\.msg"):
        Net(path).compute(images(2, 64))


@pytest.mark.parametrize("ceiling", ["1e308", "1" + "0" * 40])
def test_a_ceiling_beyond_any_machine_is_none(tmp_path: Path, ceiling: str) -> None:
    net = Net(write_text(tmp_path, f'allocated_ram: {ceiling}\nlayer {{ type: "ReLU" name: "r" }}'))
    assert net.plan_for((1, 1, 4, 4)).memory.ceiling is None
