"""What a process grows by is what the plan says: measured from outside, as the system counts it."""

from __future__ import annotations

import mmap
import os
import re
import resource
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from cnnrt import CnnrtError, Net
from cnnrt.memory_trial import Growth, Trial, measure_growth, possible
from cnnrt.memory_trial_process import values
from cnnrt.process_memory import memory_of
from core_suite.small_networks import Parameters, filters, write_network, write_text
from netfile_spec import InputBlock, layer

MIB = 1 << 20
SPARE = 8 * MIB
"""What code that is loaded late, the C library's heap and rounding to pages may take beyond the plan."""
RUNTIME = 16 * MIB
"""The most that cnnrt with the sequential backend may take over the interpreter with NumPy."""

pytestmark = pytest.mark.skipif(not possible(), reason="this system does not tell a process's peak from a moment on")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of 36.6 MiB of weights, 24 MiB of them in one layer."""
    layers = [
        layer("Convolution", "conv", pad=1),
        layer("ReLU", "relu"),
        layer("Pooling", "pool", kernel_size=2, stride=2),
        *(layer("FullyConnected", name) for name in ("wide", "long", "scores")),
        layer("Softmax", "prob"),
    ]
    parameters: Parameters = {
        "conv": filters(1, 32, 3, 3, 3),
        "wide": filters(2, 192, 32 * 32 * 32),
        "long": filters(3, 16384, 192),
        "scores": filters(4, 10, 16384),
    }
    folder = tmp_path_factory.mktemp("large")
    return write_network(folder, layers, parameters, inputs=[InputBlock("data", (3, 64, 64))])


def grown(path: Path, items: int = 2, limit: Callable[[int], None] | None = None, **options: object) -> Growth:
    trial = Trial(path, {"data": (items, 3, 64, 64)}, {"execution_mode": "sequential", **options})
    return measure_growth(trial, limit)


def test_a_process_is_seen_to_grow_by_what_it_holds() -> None:
    before = memory_of(os.getpid())
    # New pages, whatever memory earlier tests have left in this process.
    held = mmap.mmap(-1, 32 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    held.write(os.urandom(1 << 16) * (32 * MIB >> 16))
    after = memory_of(os.getpid())
    assert before
    assert after
    assert len(held) * 0.9 < after.anonymous - before.anonymous < len(held) * 1.5
    assert after.peak >= after.resident >= after.anonymous + after.file
    assert memory_of(1 << 30) is None


@pytest.fixture(scope="module")
def one_item(large: Path) -> Growth:
    return grown(large, items=1)


def test_the_network_computes_in_the_measured_process_what_it_computes_here(large: Path, one_item: Growth) -> None:
    here = Net(large, execution_mode="sequential").compute(values((1, 3, 64, 64)))
    assert one_item.checksum == zlib.crc32(here.tobytes())
    assert len(one_item.milliseconds) == 2


@pytest.mark.parametrize("items", [1, 16])
def test_without_a_ceiling_a_process_grows_by_what_is_planned(large: Path, one_item: Growth, items: int) -> None:
    growth = one_item if items == 1 else grown(large, items)
    planned = growth.planned["peak"]
    assert planned > 36 * MIB
    assert 0.9 * planned < growth.peak < planned + SPARE
    assert growth.own_peak <= growth.peak + MIB


def test_cnnrt_and_the_sequential_backend_take_little_over_numpy(one_item: Growth) -> None:
    assert MIB < one_item.runtime < RUNTIME


def test_small_networks_grow_by_next_to_nothing(tmp_path: Path) -> None:
    path = write_text(tmp_path, 'layer { type: "ReLU" name: "r" } layer { type: "LRN" name: "n" }')
    growth = measure_growth(Trial(path, {"data": (1, 3, 64, 64)}, {"execution_mode": "sequential"}))
    assert growth.peak < 2 * MIB


def test_a_refusal_is_told_and_takes_nothing(large: Path) -> None:
    growth = measure_growth(Trial(large, {"data": (2, 5, 64, 64)}, {"execution_mode": "sequential"}))
    assert "expected 3×64×64" in growth.refused
    assert growth.peak < MIB


def test_a_process_that_dies_is_an_error_that_says_what_it_said(large: Path) -> None:
    with pytest.raises(CnnrtError, match=r"died: exit code 1: (.|\n)*no_such_option"):
        grown(large, no_such_option=1)


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of twelve tensors of 8 MiB."""
    layers = [layer("FullyConnected", f"fc{i}") for i in range(12)]
    parameters: Parameters = {f"fc{i}": filters(i, 1448, 1448) for i in range(12)}
    return write_network(tmp_path_factory.mktemp("deep"), layers, parameters, inputs=[InputBlock("data", (1448,))])


@pytest.mark.parametrize("mode", ["sequential", "threaded"])
def test_loading_without_a_ceiling_takes_little_beside_what_stays(
    deep: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mode == "threaded":
        pytest.importorskip("llvmlite", reason="the threaded backend needs llvmlite")
        monkeypatch.delenv("CNNRT_PLUGINS_BLOCK", raising=False)
    trial = Trial(deep, {"data": (1, 1448)}, {"execution_mode": mode}, calls=1)
    if mode == "threaded":
        measure_growth(trial)  # the first start compiles
    growth = measure_growth(trial)
    largest, all_of_them = 8 * MIB, 12 * 8 * MIB
    assert all_of_them <= growth.planned["resident"] <= growth.peak
    assert growth.peak - growth.planned["resident"] <= 2 * largest + 32 * MIB < all_of_them, "no second copy of a model"


@pytest.mark.parametrize("mode", ["sequential", "threaded"])
@pytest.mark.parametrize("ceiling", [32, 16])
def test_a_ceiling_is_kept_and_changes_no_result(
    large: Path, mode: str, ceiling: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mode == "threaded":
        pytest.importorskip("llvmlite", reason="the threaded backend needs llvmlite")
        monkeypatch.delenv("CNNRT_PLUGINS_BLOCK", raising=False)
    growth = grown(large, execution_mode=mode, allocated_ram=ceiling)
    assert not growth.refused
    assert growth.planned["streamed"] >= 36.6 * MIB - ceiling * MIB
    assert growth.planned["peak"] <= ceiling * MIB
    assert growth.peak <= ceiling * MIB + SPARE
    pinned = Net(large, execution_mode="sequential").compute(values((2, 3, 64, 64)))
    if mode == "sequential":
        assert growth.checksum == zlib.crc32(pinned.tobytes())


def test_what_cannot_be_kept_is_refused_before_anything_large_is_allocated(large: Path) -> None:
    growth = grown(large, items=64, allocated_ram=1)
    assert "allocated_ram" in growth.refused
    assert growth.peak < SPARE


def limit_of_data(nbytes: int) -> Callable[[int], None]:
    """Return what lets a process have so many bytes more of writable memory than it has."""

    def limit(process: int) -> None:
        (held,) = re.findall(r"VmData:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text(encoding="utf-8"))
        most = (int(held) << 10) + nbytes
        resource.prlimit(process, resource.RLIMIT_DATA, (most, most))

    return limit


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="this system puts no process under a limit from outside")
def test_inside_a_real_limit_of_memory_a_network_that_keeps_its_ceiling_survives(large: Path, one_item: Growth) -> None:
    ceiling = 16
    stack = 8 * MIB  # of the thread that reads ahead: address space, of which next to nothing is used
    under = grown(large, items=1, limit=limit_of_data(ceiling * MIB + SPARE + stack), allocated_ram=ceiling)
    assert not under.refused
    assert under.checksum == one_item.checksum
    without = grown(large, items=1, limit=limit_of_data(ceiling * MIB + SPARE + stack))
    assert "memory" in without.refused, "the limit is real"
