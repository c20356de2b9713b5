"""The NetFiles that came with CNNdroid run unchanged, with parameters packed as its scripts packed them.

Each network's answer is compared with one that was computed without any code of this project.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import msgpack
import numpy as np
import pytest
from numpy.typing import NDArray

from cnnrt import Net
from cnnrt.errors import RootDirectoryWarning
from core_suite.cnndroid_networks import NETWORKS, Weights, answer, file_stem, layers_of, seeded_weights
from netfile_spec import write_parameters

SMALL = ("LeNet", "Cifar10")


def packed_as_the_scripts_did(weight: NDArray[np.float32], bias: NDArray[np.float32]) -> bytes:
    pack: Any = msgpack.packb
    return bytes(pack(weight.tolist(), use_single_float=True) + pack(bias.tolist(), use_single_float=True))


@pytest.fixture(scope="module")
def netfiles(shared_folder: Path) -> Path:
    folder = shared_folder / "cnndroid" / "netfiles"
    if not folder.is_dir():
        pytest.skip("../shared has no cnndroid/netfiles")
    return folder


@attrs.frozen
class Model:
    """A NetFile in its own place, a folder of parameter files, and the weights in it."""

    netfile: Path
    folder: Path
    weights: Weights
    images: NDArray[np.float32]


@pytest.fixture(scope="module", params=list(NETWORKS))
def model(request: pytest.FixtureRequest, netfiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    network = NETWORKS[request.param]
    netfile = netfiles / network.file
    folder = tmp_path_factory.mktemp(request.param)
    weights = seeded_weights(network, netfile)
    for stem, (weight, bias) in weights.items():
        path = folder / f"model_param_{stem}.msg"
        if weight.size < 1_000_000:
            path.write_bytes(packed_as_the_scripts_did(weight, bias))
        else:  # the same bytes (tested below), in seconds instead of minutes
            write_parameters(path, {"weight": weight, "bias": bias}, layout="cnndroid", flat=False)
    batch = 4 if request.param in SMALL else 1
    images = np.random.default_rng(7).standard_normal((batch, *network.input), dtype=np.float32)
    yield Model(netfile, folder, weights, images)
    for file in folder.iterdir():
        file.unlink()  # AlexNet's take 300 MB


@pytest.mark.parametrize("shape", [(3, 2, 5, 4), (20, 30)])
def test_our_writer_gives_the_scripts_bytes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    weight, bias = generator.standard_normal(shape, np.float32), generator.standard_normal(shape[0], np.float32)
    write_parameters(tmp_path / "w.msg", {"weight": weight, "bias": bias}, layout="cnndroid", flat=False)
    assert (tmp_path / "w.msg").read_bytes() == packed_as_the_scripts_did(weight, bias)
    write_parameters(tmp_path / "f.msg", {"weight": weight, "bias": bias}, layout="cnndroid", flat=True)
    flat = weight if weight.ndim == 4 else weight.reshape(-1)
    assert (tmp_path / "f.msg").read_bytes() == packed_as_the_scripts_did(flat, bias)


def test_it_agrees_with_an_independent_computation(model: Model) -> None:
    last, softmax = [keys["name"] for keys in layers_of(model.netfile)][-2:]
    with Net(model.netfile, root_directory=model.folder) as net:
        values = net.compute(model.images, outputs=[last, softmax])
        plan = net.plan
    scores, probabilities = answer(model.netfile, model.images, model.weights)

    assert values[softmax].shape == (len(model.images), scores.shape[1], *scores.shape[2:])
    assert np.ptp(scores) > 1  # weights of another size would make the softmax flat, and the next line empty
    assert 0.1 / scores.shape[1] < probabilities.max() < 1 - 1e-6
    assert np.mean((values[softmax] - probabilities) ** 2) <= 1e-12
    assert np.abs(values[last] - scores).max() <= 1e-5 * np.abs(scores).max()

    assert plan.execution_mode == "parallel"
    assert plan.backends == ("sequential",)
    assert not plan.fallbacks
    assert all("parallel: sequential is the only backend here" in row.why for row in plan.rows)
    folded = {name for row in plan.rows for name in row.folded}
    assert folded  # CNNdroid embeds ReLU in the layer before it, and so does this
    assert plan.memory.ceiling is not None
    assert plan.memory.peak < plan.memory.ceiling  # what these files promise is enough for them


def test_it_runs_with_its_parameter_files_beside_it(model: Model) -> None:
    beside = model.folder / model.netfile.name
    beside.write_bytes(model.netfile.read_bytes())
    with pytest.warns(RootDirectoryWarning, match="root_directory '/sdcard/Data_"):
        net = Net(beside)
    assert net.root == model.folder
    named = {node.name: node.weights for node in net.graph.nodes}
    for keys in layers_of(model.netfile):
        source = named[keys["name"]]
        if "parameters_file" in keys:
            assert source is not None
            assert source.path == (model.folder / keys["parameters_file"]).resolve()
            assert source.shapes == {
                name: array.shape
                for name, array in zip(("weight", "bias"), model.weights[file_stem(keys)], strict=True)
            }
    if len(model.images) > 1:  # reading the large ones again would take longer than it tells
        elsewhere = Net(model.netfile, root_directory=model.folder)
        assert net.compute(model.images).tobytes() == elsewhere.compute(model.images).tobytes()


@pytest.mark.parametrize("name", SMALL)
def test_a_small_ceiling_streams_weights_and_changes_no_bit(netfiles: Path, tmp_path: Path, name: str) -> None:
    network = NETWORKS[name]
    netfile = netfiles / network.file
    for stem, (weight, bias) in seeded_weights(network, netfile).items():
        (tmp_path / f"model_param_{stem}.msg").write_bytes(packed_as_the_scripts_did(weight, bias))
    images = np.random.default_rng(3).standard_normal((2, *network.input), dtype=np.float32)
    resident = Net(netfile, root_directory=tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        least = resident.plan_for((2, *network.input)).memory.least / 2**20
        streamed = Net(netfile, root_directory=tmp_path, allocated_ram=least)
        assert streamed.compute(images).tobytes() == resident.compute(images).tobytes()
        assert streamed.plan.memory.peak <= least * 2**20
