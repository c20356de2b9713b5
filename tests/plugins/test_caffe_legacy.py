"""The V1 form of 2014 and the V0 form of 2013."""

from pathlib import Path

import numpy as np

from caffe_suite.model_files import convolution_weights, failure, read, write_caffemodel
from cnnrt_import_caffe.importer import CaffeImporter

V1 = """
name: "old"
input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layers { name: "conv1" type: CONVOLUTION bottom: "data" top: "conv1" blobs_lr: 1 blobs_lr: 2 weight_decay: 1
         convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layers { name: "relu1" type: RELU bottom: "conv1" top: "conv1" }
layers { name: "norm1" type: LRN bottom: "conv1" top: "norm1" lrn_param { local_size: 3 alpha: 5e-05 } }
layers { name: "only_train" type: DROPOUT bottom: "norm1" top: "norm1" include: { phase: TRAIN } }
layers { name: "fc" type: INNER_PRODUCT bottom: "norm1" top: "fc" inner_product_param { num_output: 2 } }
layers { name: "prob" type: SOFTMAX bottom: "fc" top: "prob" }
"""
FULL = [np.arange(512, dtype=np.float32).reshape(2, 256), np.array([1, 2], np.float32)]
WEIGHTS = {"conv1": convolution_weights(), "fc": FULL}


def test_v1_layers_become_current_ones(tmp_path: Path) -> None:
    model = read(tmp_path, V1, WEIGHTS, form="v1")
    assert [(b.type, b.name, dict(b.keys)) for b in model.netfile.layers] == [
        ("Convolution", "conv1", {"pad": 1}),
        ("ReLU", "relu1", {}),
        ("LRN", "norm1", {"local_size": 3, "alpha": 5e-05}),
        ("FullyConnected", "fc", {}),
        ("Softmax", "prob", {}),
    ]
    assert model.netfile.inputs[0].shape == (3, 8, 8)
    assert model.notes == ()


def test_four_dimensions_of_old_blobs_are_those_that_the_layer_has(tmp_path: Path) -> None:
    parameters = read(tmp_path, V1, WEIGHTS, form="v1").parameters
    np.testing.assert_array_equal(parameters["fc"]["weight"], FULL[0])
    np.testing.assert_array_equal(parameters["fc"]["bias"], FULL[1])
    np.testing.assert_array_equal(parameters["conv1"]["weight"], WEIGHTS["conv1"][0])


def test_a_v1_caffemodel_carries_its_net(tmp_path: Path) -> None:
    path = write_caffemodel(tmp_path / "old.caffemodel", WEIGHTS, form="v1", net=V1)
    model = CaffeImporter().read([path])
    assert [b.name for b in model.netfile.layers] == ["conv1", "relu1", "norm1", "fc", "prob"]


def test_old_and_current_files_go_together(tmp_path: Path) -> None:
    assert set(read(tmp_path, V1, WEIGHTS, form="layer").parameters) == {"conv1", "fc"}


def test_weights_shared_by_name_in_v1(tmp_path: Path) -> None:
    text = V1 + (
        'layers { name: "conv1_p" type: CONVOLUTION bottom: "data" top: "p" param: "w" param: "b" '
        "convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }\n"
    )
    text = text.replace('top: "conv1" blobs_lr', 'top: "conv1" param: "w" param: "b" blobs_lr')
    model = read(tmp_path, text, WEIGHTS, form="v1")
    np.testing.assert_array_equal(model.parameters["conv1_p"]["weight"], WEIGHTS["conv1"][0])
    np.testing.assert_array_equal(model.parameters["conv1_p"]["bias"], WEIGHTS["conv1"][1])


def test_enumerated_types_of_forks_are_named_with_their_lines_beside_the_others(tmp_path: Path) -> None:
    text = V1 + 'layers { name: "x" type: PRELU bottom: "prob" top: "x" }\n'
    text += 'layers { name: "y" type: THRESHOLD bottom: "x" top: "y" }\n'
    error = failure(tmp_path, text, WEIGHTS)
    assert [(p.message, p.position.line if p.position else 0) for p in error.problems] == [
        ('layer "x": type PRELU is not supported', 11),
        ('layer "y": type Threshold is not supported', 12),
    ]


V0 = """
name: "oldest"
input: "data" input_dim: 10 input_dim: 3 input_dim: 8 input_dim: 8
layers { layer { name: "pad1" type: "padding" pad: 2 } bottom: "data" top: "pad1" }
layers { layer { name: "conv1" type: "conv" num_output: 4 kernelsize: 3 stride: 2
                 weight_filler { type: "gaussian" std: 0.01 } blobs_lr: 1. blobs_lr: 2. } bottom: "pad1" top: "conv1" }
layers { layer { name: "relu1" type: "relu" } bottom: "conv1" top: "conv1" }
layers { layer { name: "pool1" type: "pool" pool: AVE kernelsize: 3 stride: 2 } bottom: "conv1" top: "pool1" }
layers { layer { name: "norm1" type: "lrn" local_size: 5 alpha: 0.0001 beta: 0.75 } bottom: "pool1" top: "norm1" }
layers { layer { name: "fc" type: "innerproduct" num_output: 2 biasterm: false } bottom: "norm1" top: "fc" }
layers { layer { name: "drop" type: "dropout" dropout_ratio: 0.25 } bottom: "fc" top: "fc" }
layers { layer { name: "prob" type: "softmax" } bottom: "fc" top: "prob" }
"""
V0_WEIGHTS = {"conv1": convolution_weights(), "fc": [np.zeros((2, 16), np.float32)]}


def test_v0_layers_become_current_ones_and_padding_goes_into_the_convolution(tmp_path: Path) -> None:
    model = read(tmp_path, V0, V0_WEIGHTS, form="v0")
    assert [(b.type, b.name, b.bottoms, dict(b.keys)) for b in model.netfile.layers] == [
        ("Convolution", "conv1", None, {"pad": 2, "stride": 2}),
        ("ReLU", "relu1", None, {}),
        ("Pooling", "pool1", None, {"pool": "mean", "kernel_size": 3, "stride": 2}),
        ("LRN", "norm1", None, {"alpha": 0.0001}),
        ("FullyConnected", "fc", None, {}),
        ("Dropout", "drop", None, {"dropout_ratio": 0.25}),
        ("Softmax", "prob", None, {}),
    ]
    assert list(model.parameters["fc"]) == ["weight"]
    np.testing.assert_array_equal(model.parameters["conv1"]["weight"], V0_WEIGHTS["conv1"][0])


def test_a_v0_caffemodel_carries_its_net(tmp_path: Path) -> None:
    path = write_caffemodel(tmp_path / "oldest.caffemodel", V0_WEIGHTS, form="v0", net=V0)
    model = CaffeImporter().read([path])
    assert [b.name for b in model.netfile.layers][:2] == ["conv1", "relu1"]
    np.testing.assert_array_equal(model.parameters["conv1"]["bias"], V0_WEIGHTS["conv1"][1])


def test_problems_of_v0_layers_point_into_their_inner_block(tmp_path: Path) -> None:
    text = V0.replace("pool: AVE", "pool: STOCHASTIC").replace('type: "lrn"', 'type: "im2col"')
    problems = failure(tmp_path, text, V0_WEIGHTS).problems
    assert [(p.message, p.position.line if p.position else 0) for p in problems] == [
        ('layer "pool1": stochastic pooling', 8),
        ('layer "norm1": type Im2col is not supported', 9),
    ]


def test_padding_that_cannot_be_folded_is_named(tmp_path: Path) -> None:
    text = V0 + 'layers { layer { name: "late" type: "relu" } bottom: "pad1" top: "late" }\n'
    assert 'layer "pad1": type padding is not supported' in str(failure(tmp_path, text, V0_WEIGHTS))
