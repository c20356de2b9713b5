"""`allocated_ram`: which weights stay, which are read for each call, and what the plan says of it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from cnnrt import CnnrtError, Net
from cnnrt.control_groups import read_group_limits
from cnnrt.errors import InputError, MemoryCeilingError, ParameterFileError
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


def least(path: Path, batch: int = 2) -> int:
    return Net(path).plan_for((batch, 64)).memory.least


def test_with_room_for_all_everything_stays_and_with_less_what_fits_beside_the_buffers(path: Path) -> None:
    whole = Net(path).plan_for((2, 64)).memory
    enough = Net(path, allocated_ram=whole.peak / MIB).plan_for((2, 64)).memory
    assert (enough.resident, enough.streamed) == (whole.resident, 0)
    less = Net(path, allocated_ram=(whole.peak - 1) / MIB).plan_for((2, 64))
    stay = {row.layer for row in less.rows if row.resident}
    assert less.memory.resident == 1024 * sum(KIB[name] for name in stay)
    assert less.memory.streamed == 1024 * sum(KIB[name] for name in KIB if name not in stay) > 0
    assert less.memory.peak < whole.peak
    assert less.memory.streaming > 0


def test_the_least_that_a_plan_states_is_enough_and_a_byte_less_is_refused(path: Path) -> None:
    x = images(2, 64)
    enough = Net(path, allocated_ram=least(path) / MIB)
    assert enough.compute(x).tobytes() == Net(path).compute(x).tobytes()
    assert enough.plan.memory.ceiling == least(path)
    assert enough.plan.memory.peak <= least(path)
    with pytest.raises(MemoryCeilingError):
        Net(path, allocated_ram=(least(path) - 1) / MIB).prepare((2, 64))


def test_a_refusal_names_the_least_that_works_and_the_steps_that_need_it(path: Path) -> None:
    net = Net(path, allocated_ram=0.01)
    with pytest.raises(MemoryCeilingError, match=r"ram is 0.01 MiB.* largest steps are 'large'") as caught:
        net.prepare((2, 64))
    advised = re.search(r"Set allocated_ram to ([0-9.]+)", str(caught.value))
    assert advised
    assert float(advised[1]) * MIB == pytest.approx(least(path), rel=0.02)
    Net(path, allocated_ram=float(advised[1])).prepare((2, 64))


def test_nothing_is_read_before_a_refusal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnrt.weights import WeightSource

    net = Net(path, allocated_ram=0.01)
    monkeypatch.setattr(WeightSource, "opened", None)
    with pytest.raises(MemoryCeilingError):
        net.compute(images(2, 64))


def test_the_rule_of_cnndroid_keeps_the_largest(path: Path) -> None:
    ceiling = (least(path) + 70 * 1024) / MIB
    stays = {}
    for rule in ("fastest", "largest"):
        plan = Net(path, allocated_ram=ceiling, residency=rule).plan_for((2, 64))
        stays[rule] = {row.layer for row in plan.rows if row.resident}
        assert plan.memory.fits
    assert "large" in stays["largest"]
    with pytest.raises(InputError, match="residency"):
        Net(path, residency="smallest")


def test_without_a_ceiling_everything_stays(path: Path) -> None:
    memory = Net(path).plan_for((2, 64)).memory
    assert (memory.resident, memory.streamed, memory.ceiling) == (1024 * sum(KIB.values()), 0, None)
    assert "no ceiling" in str(memory)


def test_streamed_and_resident_weights_give_the_same_bits(path: Path) -> None:
    x = images(8, 64)
    resident = Net(path).compute(x)
    whole = Net(path).plan_for((8, 64)).memory
    for ceiling in np.linspace(least(path, 8), whole.peak - 1, 4):
        net = Net(path, allocated_ram=ceiling / MIB)
        first = net.compute(x)
        assert net.plan.memory.streamed > 0
        assert first.tobytes() == net.compute(x).tobytes() == resident.tobytes()


def test_the_profile_shows_who_waited_for_weights(path: Path) -> None:
    net = Net(path, allocated_ram=least(path) / MIB)
    net.prepare((2, 64))
    times = {t.layer: t.load_seconds for t in net.profile(images(2, 64)).layers}
    streamed = {row.layer for row in net.plan.rows if not row.resident}
    assert streamed == {name for name, seconds in times.items() if seconds > 1e-6}


def test_a_plan_below_the_ceiling_does_not_warn(path: Path) -> None:
    net = Net(path, allocated_ram=1)
    assert net.prepare((2, 64)).memory.peak < MIB


def test_the_peak_counts_what_each_concurrent_call_needs(path: Path) -> None:
    one, three = (Net(path, concurrency=k).plan_for((16, 64)).memory for k in (1, 3))
    each = one.arena + one.outputs + one.transient
    assert one.peak == one.resident + each >= one.loading
    assert three.peak == one.resident + 3 * each
    assert one.outputs == 16 * 32 * 4
    assert one.arena >= 16 * (64 + 512) * 4


def test_the_peak_counts_the_buffers_of_weights_that_are_streamed_and_names_the_layer(path: Path) -> None:
    memory = Net(path, allocated_ram=least(path) / MIB).plan_for((2, 64)).memory
    assert memory.peak_layer == "large"
    assert memory.streaming >= 130 * 1024
    assert memory.peak == memory.resident + memory.arena + memory.outputs + memory.transient + memory.streaming


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
    net = Net(path, allocated_ram=least(path) / MIB if streamed else None)
    write_parameters(path.parent / "large.msg", filters(2, 512, 65))
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


GROUP_TREES = {
    "version 1": {
        "proc/self/cgroup": "4:memory:/job\n",
        "proc/self/mountinfo": "29 23 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
        "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{80 * MIB}\n",
    },
    "version 2": {
        "proc/self/cgroup": "0::/job\n",
        "proc/self/mountinfo": "29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        "sys/fs/cgroup/job/memory.max": f"{80 * MIB}\n",
    },
}


@pytest.mark.parametrize("version", GROUP_TREES)
def test_what_a_container_does_not_have_is_refused_as_what_the_machine_does_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    for name, text in GROUP_TREES[version].items():
        file = tmp_path / "system" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    monkeypatch.setattr("cnnrt.memory_plan.read_group_limits", lambda: read_group_limits(tmp_path / "system"))
    blocks = "\n".join(f'layer {{ type: "LRN" name: "n{i}" }}' for i in range(3))
    net = Net(write_text(tmp_path, blocks))
    assert 40 * MIB < net.plan_for((1, 8, 1024, 640)).memory.peak < 80 * MIB
    with pytest.raises(CnnrtError, match=r"needs 1\d\d MiB, the machine has 80 MiB for this group of processes"):
        net.plan_for((2, 8, 1024, 640))
