"""The scripts that measure run on a bare machine, in their smallest form, and keep what they measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from cnnrt.memory_trial import possible

pytest.importorskip("llvmlite", reason="the threaded backend, which is measured, needs llvmlite")
pytest.importorskip("onnx", reason="networks are written for the peers as ONNX")


def run(repository: Path, module: str, *arguments: object, seconds: float = 300) -> str:
    """Run a script with all of cnnrt's own plugins and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "CNNRT_PLUGINS_BLOCK"}
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stderr
    return done.stdout


def record(path: Path) -> Any:
    """Return a record, after checking that it says what was measured, when, on what."""
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["commit"]
    assert found["date"].startswith("20")
    assert found["machine"]["processor"]
    assert found["machine"]["cores_usable"] >= 1
    assert {"python", "numpy", "cnnrt", "llvmlite"} <= set(found["software"])
    return found


def test_the_race_times_cnnrt_and_leaves_out_with_the_reason_who_is_not_installed(
    repository: Path, tmp_path: Path
) -> None:
    engines = ("cnnrt", "onnxruntime", "mnn")
    options = ("--batch", 1, "--rounds", 2, "--seconds", 0, "--threads", 1, "--engines", *engines)
    text = run(repository, "race", "lenet", *options, "--json", tmp_path / "race.json")
    (race,) = record(tmp_path / "race.json")["results"].values()
    assert list(race) == list(engines)
    own = race["cnnrt"]
    assert len(own["ms"]) == len(own["best_ms"]) == 2
    assert 0 < min(own["best_ms"]) <= min(own["ms"])
    assert own["ready_seconds"] > 0
    assert own["peak_mib"] > 10
    for peer in engines[1:]:
        measured = bool(race[peer]["ms"])
        assert measured != bool(race[peer]["left_out"])
        if measured:
            assert race[peer]["largest_difference"] < 1e-3, "it computes the same network"
        else:
            assert "pip install" in race[peer]["left_out"]
            assert race[peer]["left_out"] in text


def test_scaling_compares_numbers_of_threads(repository: Path, tmp_path: Path) -> None:
    options = ("--batch", 1, "--rounds", 1, "--seconds", 0, "--threads", 1, 2, "--engines", "cnnrt:threaded")
    text = run(repository, "scaling", "--network", "lenet", *options, "--json", tmp_path / "scaling.json")
    found = record(tmp_path / "scaling.json")["results"]
    assert list(found) == ["cnnrt:threaded, 1 threads", "cnnrt:threaded, 2 threads"]
    one, two = found.values()
    assert one["ms"][0] > 0 < two["ms"][0]
    assert two["largest_difference"] == 0, "the number of threads changes no bit"
    (line,) = (line for line in text.splitlines() if line.startswith("cnnrt:threaded"))
    assert float(line.split()[-1]) == pytest.approx(one["ms"][0] / two["ms"][0], abs=0.01), "the speed-up is shown"


def test_figure_8_has_the_network_and_its_heaviest_convolution(repository: Path, tmp_path: Path) -> None:
    text = run(repository, "figure8", "lenet", "--batch", 1, "--runs", 2, "--json", tmp_path / "figure8.json")
    found = record(tmp_path / "figure8.json")["results"]
    whole, layer = found["networks"]["lenet"]["ms"], found["heaviest_convolutions"]["lenet conv2"]["ms"]
    for ms in (whole, layer):
        assert next(iter(ms)) == "sequential"
        assert "threaded" in ms
        assert all(len(times) == 2 and min(times) > 0 for times in ms.values())
    assert min(layer["sequential"]) < min(whole["sequential"])
    speed_up = sum(whole["sequential"]) / sum(whole["threaded"])
    line = next(line for line in text.splitlines() if line.startswith("lenet "))
    column = 1 + 2 * list(whole).index("threaded")
    assert float(line.split()[column]) == pytest.approx(speed_up, abs=0.01)


def test_weights_in_half_precision_are_compared_with_whole_ones(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyopencl", reason="the OpenCL backend, which is measured, needs pyopencl")
    options = ("--images", 2, "--rounds", 1, "--json", tmp_path / "storage.json")
    text = run(repository, "weight_storage", "lenet", *options)
    (found,) = record(tmp_path / "storage.json")["results"]
    assert found["half"]["weights"] < 0.55 * found["whole"]["weights"]
    assert 1e-5 < found["relative"] < 1e-2
    assert len(found["half"]["seconds"]) == 1
    assert "2/2" in text


def test_a_device_of_opencl_is_compared_with_the_sequential_backend(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyopencl", reason="the OpenCL backend, which is measured, needs pyopencl")
    text = run(repository, "gpu", "lenet", "--batch", 2, "--runs", 2, "--json", tmp_path / "gpu.json")
    (found,) = record(tmp_path / "gpu.json")["results"]
    assert {"cnnrt", "cnnrt, no transfers", "sequential"} <= set(found["ms"])
    assert all(len(times) == 2 and min(times) > 0 for times in found["ms"].values())
    assert found["difference"] < 1e-12, "it computes the same network"
    assert "left out: PyTorch" in text or "PyTorch" in found["ms"]


def test_the_roofline_places_every_layer(repository: Path, tmp_path: Path) -> None:
    run(repository, "roofline", "lenet", "--batch", 1, "--runs", 2, "--threads", 1, "--json", tmp_path / "roof.json")
    found = record(tmp_path / "roof.json")["results"]
    (limits,) = found["limits"]
    assert limits["flops"] > 1e8
    assert {"memory"} <= set(limits["bandwidth"])
    assert min(limits["bandwidth"].values()) > 1e8
    names = [placed["layer"] for placed in found["layers"]]
    assert [n for n in names if not n.startswith("reorder")][:3] == ["conv1", "pool1", "conv2"]
    for placed in found["layers"]:
        assert placed["seconds"] > 0
        assert placed["limit"] in ("arithmetic", *limits["bandwidth"])
    convolution = next(placed for placed in found["layers"] if placed["layer"] == "conv2")
    assert convolution["least_seconds"] >= convolution["flops"] / limits["flops"] * 0.999


@pytest.mark.skipif(not possible(), reason="this system does not tell a process's peak from a moment on")
def test_time_and_memory_under_ceilings_are_measured_and_drawn(repository: Path, tmp_path: Path) -> None:
    options = ("--batch", 1, "--ceilings", 64, 48, "--calls", 2, "--modes", "sequential")
    text = run(repository, "memory", "curve", "lenet", *options, "--json", tmp_path / "memory.json")
    points = record(tmp_path / "memory.json")["results"]
    assert [p["ceiling"] for p in points] == [None, 64, 48]
    for p in points:
        assert not p["refused"]
        assert 1.5 < p["peak"] < 1.8 + 8, "LeNet has 1.6 MiB of weights"
        assert p["ms"] > 0
        assert p["checksum"] == points[0]["checksum"]
    assert text.count("\nlenet") == 3
    run(repository, "memory", "draw", tmp_path / "memory.svg", tmp_path / "memory.json")
    drawn = ElementTree.parse(tmp_path / "memory.svg").getroot()
    (line,) = drawn.iter("{http://www.w3.org/2000/svg}polyline")
    assert len(line.get("points", "").split()) == 2


@pytest.mark.skipif(not os.environ.get("CNNRT_HEAVY_TESTS"), reason="takes minutes: CNNRT_HEAVY_TESTS=1")
@pytest.mark.skipif(not possible(), reason="this system does not tell a process's peak from a moment on")
def test_every_network_keeps_every_ceiling_or_is_refused(repository: Path, tmp_path: Path) -> None:
    run(repository, "memory", "curve", "--calls", 2, "--json", tmp_path / "memory.json", seconds=3600)
    points = record(tmp_path / "memory.json")["results"]
    assert {p["network"] for p in points} == {"lenet", "cifar10", "nin", "alexnet", "vgg19"}
    above = [p for p in points if p["ceiling"] and not p["refused"] and p["peak"] > p["ceiling"] + 8]
    assert not above
    assert all("allocated_ram" in p["refused"] for p in points if p["refused"])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell a process's peak memory")
def test_figure_7_has_sizes_of_files_and_peaks_of_processes(repository: Path, tmp_path: Path) -> None:
    engines = ("cnnrt:sequential", "cnnrt:threaded@64")
    run(repository, "memory", "figure7", "lenet", "--engines", *engines, "--json", tmp_path / "figure7.json")
    row = record(tmp_path / "figure7.json")["results"]["lenet"]
    assert row["cnnrt_file"] == pytest.approx(4 * 431_080 / 2**20, rel=0.01)
    assert row["cnndroid_file"] > row["cnnrt_file"]
    assert list(row["peaks"]) == list(engines)
    assert all(20 < peak < 200 for peak in row["peaks"].values())


PLANNED = """
import json, pathlib, sys
from benchmarks.networks import NETWORKS
from benchmarks.onnx_file import write_onnx
from cnnrt import Net

found = {}
for name in sys.argv[2:]:
    builder = NETWORKS[name]().softmax()
    folder = pathlib.Path(sys.argv[1], name)
    with Net(builder.write(folder)) as net:
        plan = net.plan_for((2, *builder.item))
        write_onnx(builder, folder / "net.onnx")
        found[name] = {
            "weights": sum(w.size for own in builder.weights.values() for w in own.values()),
            "output": plan.rows[-1].output,
            "fallbacks": len(plan.fallbacks),
            "flops": sum(row.flops for row in plan.rows),
        }
print(json.dumps(found))
"""


def test_the_networks_are_those_that_were_published(repository: Path, tmp_path: Path) -> None:
    """Weights and operations are facts of an architecture; those with 61 million weights are left to the scripts."""
    names = ["lenet", "cifar10", "squeezenet", "mobilenet", "resnet18"]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    command = [sys.executable, "-c", PLANNED, str(tmp_path), *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {name: facts["output"][1] for name, facts in found.items()} == {
        name: 10 if name in ("lenet", "cifar10") else 1000 for name in names
    }
    assert not any(facts["fallbacks"] for facts in found.values())
    assert found["lenet"]["weights"] == 431_080
    assert found["cifar10"]["weights"] == 145_578
    assert found["squeezenet"]["weights"] == 1_235_496
    # Multiply-adds of one image, in the papers: MobileNet 569 million, ResNet-18 1.8 thousand million.
    assert found["mobilenet"]["flops"] / 4 == pytest.approx(569e6, rel=0.03)
    assert found["resnet18"]["flops"] / 4 == pytest.approx(1.82e9, rel=0.03)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell a process's peak memory")
def test_starts_are_timed_without_and_with_what_an_earlier_one_left(repository: Path, tmp_path: Path) -> None:
    text = run(repository, "start", "lenet", "--batch", 1, "--rounds", 1, "--json", tmp_path / "start.json")
    (found,) = record(tmp_path / "start.json")["results"].values()
    assert all(len(samples) == 1 for samples in found.values())
    assert found["reading"][0] < found["first"][0]
    assert 10 < found["later_peak"][0] < found["first_peak"][0], "a later start needs no compiler"
    assert "lenet" in text
