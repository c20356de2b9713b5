"""Networks whose weights are read for each call: packed files in the cache, and what happens when files go wrong."""

from __future__ import annotations

import errno
import itertools
import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnrt import CnnrtError, Net
from cnnrt.cache_folder import cache_folder
from cnnrt.errors import MemoryCeilingWarning, ParameterFileError
from cnnrt.file_lease import LEASES
from cnnrt.layer import Array
from cnnrt.packed_file import PackedFile
from core_suite.ceilings import stream_everything
from core_suite.small_networks import filters, images, write_network
from netfile_spec import InputBlock, layer, write_parameters

MIB = 1 << 20
LAYERS = [
    layer("Convolution", "conv", pad=1),
    layer("ReLU", "relu"),
    layer("FullyConnected", "wide"),
    layer("FullyConnected", "scores"),
]
PARAMETERS = {"conv": filters(1, 16, 8, 3, 3), "wide": filters(2, 700, 16 * 64), "scores": filters(3, 10, 700)}
X = images(3, 8, 8, 8)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path / "cache"))
    return write_network(tmp_path / "net", LAYERS, PARAMETERS, inputs=[InputBlock("data", (8, 8, 8))])


@pytest.fixture
def expected(path: Path, monkeypatch: pytest.MonkeyPatch) -> Array:
    """What the network gives with its weights in memory; from then on none stay, and slices are small."""
    monkeypatch.setattr("cnnrt_backend_sequential.fully_connected.BLOCK_BYTES", 1 << 18)
    result: Array = Net(path).compute(X)
    stream_everything(monkeypatch)
    return result


@pytest.fixture(params=["looked at", "read"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed files are looked at in place, or read as on systems without leases."""
    if request.param == "read":
        monkeypatch.setattr("cnnrt.weight_store.LEASES", False)
    elif not LEASES:
        pytest.skip("this system has no leases")


def packed_files() -> list[Path]:
    folder = cache_folder("weights")
    return sorted(folder.iterdir()) if folder else []


@pytest.mark.usefixtures("way")
def test_weights_are_packed_once_and_read_from_then_on(path: Path, expected: Array) -> None:
    with Net(path) as net:
        assert net.compute(X).tobytes() == net.compute(X).tobytes() == expected.tobytes()
        assert {row.layer for row in net.plan.rows if not row.resident} == {"conv", "wide", "scores"}
    # Convolutions are packed; products take rows as they are stored, so their own files are read.
    (packed,) = packed_files()
    written = packed.stat().st_mtime_ns
    with Net(path) as again:
        assert again.compute(X).tobytes() == expected.tobytes()
    assert [p.stat().st_mtime_ns for p in packed_files()] == [written]


def test_other_parameters_have_another_packed_file(path: Path, expected: Array) -> None:
    Net(path).compute(X)
    write_parameters(path.parent / "conv.msg", filters(9, 16, 8, 3, 3))
    other = Net(path).compute(X)
    assert len(packed_files()) == 2
    assert not np.array_equal(other, expected)


def remove(file: Path) -> None:
    file.unlink()


def cut_short(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def damage(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(100)
        stream.write(b"\xff\xfe\xfd\xfc")


@pytest.mark.parametrize("harm", [remove, cut_short])
def test_a_parameter_file_that_goes_between_calls_is_an_error_that_names_it(
    path: Path, expected: Array, harm: Callable[[Path], None]
) -> None:
    with Net(path) as net:
        net.compute(X)
        harm(path.parent / "wide.msg")
        for _ in range(2):
            with pytest.raises(ParameterFileError, match=r"wide\.msg"):
                net.compute(X)
        write_parameters(path.parent / "wide.msg", PARAMETERS["wide"])
    assert Net(path).compute(X).tobytes() == expected.tobytes()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("when", "harm"),
    [
        *itertools.product(["before the first call", "between networks"], [remove, cut_short, damage]),
        *itertools.product(["between calls"], [remove, cut_short]),  # what was verified once is not verified again
    ],
)
def test_a_packed_file_that_goes_wrong_is_done_without(
    path: Path, expected: Array, harm: Callable[[Path], None], when: str, caplog: pytest.LogCaptureFixture
) -> None:
    net = Net(path)
    net.prepare()
    if when != "before the first call":
        net.compute(images(1, 8, 8, 8))
    net.prepare(X.shape)
    (packed,) = packed_files()
    harm(packed)
    if when == "between networks":
        net = Net(path)
    with caplog.at_level(logging.WARNING, "cnnrt"):
        assert net.compute(X).tobytes() == net.compute(X).tobytes() == expected.tobytes()
    assert len(caplog.records) <= 1


@pytest.mark.skipif(not LEASES, reason="this system has no leases: packed files are read")
def test_a_packed_file_that_somebody_could_write_to_is_read_and_not_looked_at(
    path: Path, expected: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    read, show = PackedFile.read, PackedFile.show
    monkeypatch.setattr(PackedFile, "read", lambda *a: (seen.append("read"), read(*a))[1])
    monkeypatch.setattr(PackedFile, "show", lambda *a: (seen.append("shown"), show(*a))[1])
    with Net(path) as net:
        assert net.compute(X).tobytes() == expected.tobytes()
        (packed,) = packed_files()
        with packed.open("r+b"):
            assert net.compute(X).tobytes() == expected.tobytes()
        assert net.compute(X).tobytes() == expected.tobytes()
    assert seen == ["shown", "read", "shown"]


def test_a_full_disk_costs_time_and_one_warning(path: Path, expected: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("cnnrt.packed_file_writer._write_array", full)
    net = Net(path)
    with pytest.warns(MemoryCeilingWarning, match="No space left on device") as caught:
        results = [net.compute(X) for _ in range(2)]
    assert {result.tobytes() for result in results} == {expected.tobytes()}
    assert len(caught) == 1
    assert packed_files() == []


def test_without_a_cache_folder_weights_are_packed_for_each_call(
    path: Path, expected: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNNRT_CACHE", "")
    net = Net(path)
    with pytest.warns(MemoryCeilingWarning, match="there is no cache folder"):
        results = [net.compute(X) for _ in range(2)]
    assert {result.tobytes() for result in results} == {expected.tobytes()}


def test_what_is_prepared_for_several_shapes_fits_the_ceiling_together(path: Path) -> None:
    ceiling = Net(path).plan_for((8, 8, 8, 8)).memory.peak + 10_000
    with Net(path, allocated_ram=ceiling / MIB) as net:
        for batch in (1, 2, 8, 3, 8):
            x = images(batch, 8, 8, 8)
            assert net.compute(x).tobytes() == Net(path).compute(x).tobytes()
            kept = list(net._prepared._kept.values())
            stay = frozenset[Any]().union(*(p.resident[""] for p in kept))
            each = sum(p.plan.memory.peak - p.plan.memory.resident for p in kept)
            assert sum(w.nbytes for w in stay) + each <= ceiling


def test_a_batch_is_computed_in_parts_where_its_values_are_too_large(tmp_path: Path) -> None:
    layers = [layer("Convolution", "conv", pad=1), layer("ReLU", "relu"), layer("LRN", "norm")]
    layers += [layer("Pooling", "pool", kernel_size=8, stride=8), layer("FullyConnected", "scores")]
    parameters = {"conv": filters(1, 16, 2, 3, 3), "scores": filters(2, 10, 16 * 64)}
    path = write_network(tmp_path, layers, parameters)
    x = images(16, 2, 64, 64)
    whole = Net(path)
    plan = whole.plan_for(x.shape)
    assert plan.memory.arena > 4 * MIB
    with warnings.catch_warnings(), Net(path, allocated_ram=3) as net:
        warnings.simplefilter("error")
        assert net.compute(x).tobytes() == whole.compute(x).tobytes()
        assert any("so that they take less memory" in note for note in net.plan.notes)
        assert net.plan.memory.peak <= 3 * MIB
    with pytest.raises(CnnrtError, match="computing this takes at least"):
        Net(path, allocated_ram=0.3).prepare(x.shape)
