"""Published models of Torch7 against other engines' outputs, and against the same network in Caffe's format."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnnrt import Net, convert
from cnnrt.layer import Array


def assert_agrees(found: Array, wanted: Array) -> None:
    assert np.abs(found - wanted.reshape(found.shape)).max() <= 1e-5 * np.abs(wanted).max()


def test_lenet(tmp_path: Path, shared_folder: Path) -> None:
    """DoubleTensors, gradients beside the weights, names of loadcaffe, pooling that rounds up."""
    folder = shared_folder / "models" / "torch7-lenet5-mnist"
    netfile = convert(folder / "LeNet5.nn", tmp_path / "lenet").netfile
    reference = np.load(folder / "reference.npz")
    with Net(netfile) as net:
        found = net.compute(reference["input"], outputs=["conv1", "pool1", "conv2", "pool2", "relu1", "ip2"])
        digits = np.load(folder / "mnist500.npz")
        answers = net.compute(digits["images"][:, None].astype(np.float32) / 256)
    for ours, theirs in (
        ("conv1", "l1_Convolution"),
        ("pool1", "l2_Pooling"),
        ("conv2", "l3_Convolution"),
        ("pool2", "l4_Pooling"),
        ("relu1", "l7_ReLU"),
        ("ip2", "l8_InnerProduct"),
    ):
        assert_agrees(found[ours], reference[theirs])
    assert isinstance(answers, np.ndarray)
    assert (answers.argmax(axis=1) == digits["labels"]).all()


def test_it_is_the_same_network_as_caffes(tmp_path: Path, shared_folder: Path) -> None:
    models = shared_folder / "models"
    reference = np.load(models / "torch7-lenet5-mnist" / "reference.npz")
    caffe = models / "caffe-lenet-mnist"
    files = [*caffe.glob("*.prototxt"), *caffe.glob("*.caffemodel")]
    with (
        Net(convert(models / "torch7-lenet5-mnist" / "LeNet5.nn", tmp_path / "torch7").netfile) as one,
        Net(convert(files, tmp_path / "caffe").netfile) as other,
    ):
        scores = one.compute(reference["input"])
        (ip2,) = other.compute(reference["input"], outputs=["ip2"]).values()
    np.testing.assert_array_equal(scores, ip2)


def test_road_scenes(tmp_path: Path, shared_folder: Path) -> None:
    """Files of 2013, whose modules lack padding and ceil_mode; a Threshold that is no ReLU; a stale batch size."""
    folder = shared_folder / "models" / "torch7-roadnet"
    reference = np.load(folder / "reference.npz")
    with Net(convert(folder / "u1net.net", tmp_path / "features").netfile) as net:
        found = net.compute(reference["input"], outputs=["SpatialConvolution1", "SpatialMaxPooling2"])
    assert_agrees(found["SpatialConvolution1"], reference["u1net_conv"])
    assert_agrees(found["SpatialMaxPooling2"], reference["u1net_out"])
    with Net(convert(folder / "unsup-cl-30.net", tmp_path / "classes").netfile) as net:
        found = net.compute(reference["cl_input"], outputs=["Threshold3", "Linear4", "LogSoftMax5"])
    assert_agrees(found["Threshold3"], reference["cl_hidden"])
    assert_agrees(found["Linear4"], reference["cl_logits"])
    assert_agrees(found["LogSoftMax5"], reference["cl_logsoftmax"])


def test_road_scenes_with_the_file_that_normalises_them(tmp_path: Path, shared_folder: Path) -> None:
    folder = shared_folder / "models" / "torch7-roadnet"
    reference = np.load(folder / "reference.npz")
    mean = np.array([0.4017, 0.4210, 0.3862])[:, None, None]  # as published beside the model, to four digits
    deviation = np.array([0.2439, 0.2373, 0.2559])[:, None, None]
    raw = (reference["input"] * deviation + mean).astype(np.float32)
    with Net(convert([folder / "u1net.net", folder / "preproc.t7"], tmp_path / "net").netfile) as net:
        found = net.compute(raw)
    assert isinstance(found, np.ndarray)
    assert np.abs(found - reference["u1net_out"]).max() <= 1e-3 * np.abs(reference["u1net_out"]).max()
