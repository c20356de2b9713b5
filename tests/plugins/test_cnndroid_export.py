"""Networks as CNNdroid reads them: its NetFile, its parameter files, and what it cannot express."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgpack
import numpy as np
import pytest

from cnnrt import CnnrtWarning, Net
from cnnrt.demo import demo_netfile
from cnnrt.errors import ExportFailure
from cnnrt.export import export
from cnnrt.layer import Array
from netfile_spec import InputBlock, LayerBlock, NetFile, layer, read_netfile, write_model


def values(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).random(shape, np.float32)


def write(folder: Path, layers: Sequence[LayerBlock], weights: Mapping[str, Mapping[str, Array]]) -> Path:
    return write_model(folder / "net", NetFile(layers, [InputBlock("data", (3, 9, 9))], netfile_version=1), weights)


def computed(netfile: Path, images: Array) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CnnrtWarning)  # the folder on the phone does not exist here
        with Net(netfile, execution_mode="sequential") as net:
            return np.asarray(net.compute(images))


def test_the_demo_is_a_network_of_cnndroid(tmp_path: Path) -> None:
    done = export(demo_netfile(), tmp_path / "lenet", to="cnndroid")
    assert done.notes[0] == "root_directory is /sdcard/lenet/: copy the folder there, or change it"
    stated = read_netfile(tmp_path / "lenet" / "net.netfile")
    assert stated.netfile_version is None
    assert stated.root_directory == "/sdcard/lenet/"
    assert None not in (stated.allocated_ram, stated.execution_mode, stated.auto_tuning)
    assert not stated.inputs
    assert all(block.bottoms is None and block.tops is None for block in stated.layers)
    digits = values(2, 1, 28, 28)
    wanted = computed(demo_netfile(), digits)
    np.testing.assert_array_equal(computed(tmp_path / "lenet" / "net.netfile", digits), wanted)


def test_parameter_files_are_two_objects_of_messagepack(tmp_path: Path) -> None:
    weight = values(2, 3, 3, 3)
    netfile = write(tmp_path, [layer("Convolution", "c")], {"c": {"weight": weight}})
    export(netfile, tmp_path / "out", to="cnndroid")
    (file,) = (tmp_path / "out").glob("*.msg")
    unpacker = msgpack.Unpacker(strict_map_key=False)
    unpacker.feed(file.read_bytes())
    stored, bias = unpacker
    np.testing.assert_array_equal(np.array(stored, np.float32).reshape(weight.shape), weight)
    assert bias == [0, 0]  # CNNdroid wants one


def test_norms_go_into_weights_and_what_only_training_needs_is_left_out(tmp_path: Path) -> None:
    layers = [layer("Convolution", "c"), layer("BatchNorm", "b"), layer("ReLU", "r"), layer("Dropout", "d")]
    layers += [layer("Flatten", "flat"), layer("FullyConnected", "f"), layer("Softmax", "s")]
    norm = {name: 0.5 + values(2, seed=n) for n, name in enumerate(("mean", "variance", "scale", "shift"))}
    weights = {"c": {"weight": values(2, 3, 3, 3)}, "b": norm, "f": {"weight": values(4, 98), "bias": values(4)}}
    netfile = write(tmp_path, layers, weights)
    export(netfile, tmp_path / "out", to="cnndroid")
    kept = read_netfile(tmp_path / "out" / "net.netfile").layers
    assert [block.type for block in kept] == ["Convolution", "ReLU", "FullyConnected", "Softmax"]
    images = values(2, 3, 9, 9)
    got = computed(tmp_path / "out" / "net.netfile", images)
    np.testing.assert_allclose(got, computed(netfile, images), rtol=1e-5, atol=1e-7)


def test_everything_that_cnndroid_cannot_express_is_listed(tmp_path: Path) -> None:
    layers = [
        layer("Convolution", "c", stride=2, dilation=2, pad=[1, 2]),
        layer("ReLU", "r", negative_slope=0.1),
        layer("Sigmoid", "g", bottom="c"),
        layer("Pooling", "p", kernel_size=2, pad=1, ceil_mode=False),
    ]
    netfile = write(tmp_path, layers, {"c": {"weight": values(2, 3, 3, 3)}})
    with pytest.raises(ExportFailure) as caught:
        export(netfile, tmp_path / "out", to="cnndroid")
    text = str(caught.value)
    for said in (
        "1 inputs and 2 outputs",
        "layer 'g' (Sigmoid) does not take just what the layer before gives",
        "pad differs between rows and columns",
        "dilation is not 1",
        "negative_slope is 0.1; it is always 0",
        "there is no such layer",
        "reads out of bounds where maxima are padded",
    ):
        assert said in text
    assert not (tmp_path / "out").exists()


def test_a_size_that_its_code_rounds_up_is_refused(tmp_path: Path) -> None:
    netfile = write(tmp_path, [layer("Convolution", "c", stride=2)], {"c": {"weight": values(2, 3, 4, 4)}})
    with pytest.raises(ExportFailure, match="its code gives one row or column more"):
        export(netfile, tmp_path / "out", to="cnndroid")
