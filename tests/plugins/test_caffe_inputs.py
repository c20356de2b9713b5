"""Inputs: the ways in which Caffe declares them, and the preprocessing that its data layers state."""

from pathlib import Path

import pytest

from caffe_suite.model_files import convolution, convolution_weights, layer, read
from netfile_spec import InputBlock

NEXT = convolution("c", "data")
WEIGHTS = {"c": convolution_weights()}


def inputs_of(folder: Path, text: str) -> tuple[tuple[InputBlock, ...], str]:
    model = read(folder, text, WEIGHTS)
    return model.netfile.inputs, "\n".join(model.notes)


@pytest.mark.parametrize(
    "text",
    [
        'input: "data" input_dim: 10 input_dim: 3 input_dim: 32 input_dim: 24\n',
        'input: "data" input_shape { dim: 10 dim: 3 dim: 32 dim: 24 }\n',
        'input: "data" input_shape { dim: [10, 3, 32, 24] }\n',
        'layer { name: "i" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 32 dim: 24 } } }\n',
        'layer { name: "i" type: "MemoryData" top: "data" top: "label" '
        "memory_data_param { batch_size: 1 channels: 3 height: 32 width: 24 } }\n",
        'layer { name: "i" type: "DummyData" top: "data" '
        "dummy_data_param { shape { dim: 1 dim: 3 dim: 32 dim: 24 } } }\n",
        'layer { name: "i" type: "DummyData" top: "data" '
        "dummy_data_param { num: 1 channels: 3 height: 32 width: 24 } }\n",
    ],
)
def test_a_shape_is_that_of_one_item(tmp_path: Path, text: str) -> None:
    inputs, _ = inputs_of(tmp_path, text + NEXT)
    assert [(i.name, i.shape) for i in inputs] == [("data", (3, 32, 24))]


def test_several_inputs_share_a_shape_or_have_their_own(tmp_path: Path) -> None:
    text = 'layer { name: "i" type: "Input" top: "data" top: "more" '
    text += "input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }\n"
    text += 'input: "a" input: "b" input_dim: 1 input_dim: 1 input_dim: 2 input_dim: 3 '
    text += "input_dim: 1 input_dim: 4 input_dim: 5 input_dim: 6\n"
    text += NEXT + layer("m", "ReLU", "more") + layer("ra", "ReLU", "a") + layer("rb", "ReLU", "b")
    inputs, _ = inputs_of(tmp_path, text)
    assert {i.name: i.shape for i in inputs} == {
        "a": (1, 2, 3),
        "b": (4, 5, 6),
        "data": (3, 8, 8),
        "more": (3, 8, 8),
    }


@pytest.mark.parametrize("shape", ["", "input_shape { dim: 1 }", "input_shape { dim: 1 dim: 3 dim: 0 dim: -1 }"])
def test_a_shape_that_is_not_stated_in_full_is_left_to_the_user(tmp_path: Path, shape: str) -> None:
    inputs, notes = inputs_of(tmp_path, f'input: "data" {shape}\n{NEXT}')
    assert inputs[0].shape is None
    assert 'the shape of the input "data" is not stated' in notes


def test_an_input_that_nothing_reads_is_left_out(tmp_path: Path) -> None:
    inputs, notes = inputs_of(tmp_path, f'input: "data" input: "im_info"\n{NEXT}')
    assert [i.name for i in inputs] == ["data"]
    assert 'the input "im_info" is left out' in notes


def test_a_label_input_is_left_out_with_the_loss_that_reads_it(tmp_path: Path) -> None:
    inputs, _ = inputs_of(tmp_path, f'input: "data" input: "truth"\n{NEXT}' + layer("l", "SoftmaxWithLoss", "c truth"))
    assert [i.name for i in inputs] == ["data"]


def test_a_data_layer_hands_over_its_preprocessing(tmp_path: Path) -> None:
    text = (
        'layer { name: "d" type: "Data" top: "data" top: "label" transform_param { scale: 0.017 mirror: true '
        "crop_size: 224 mean_value: 104 mean_value: 116.779 mean_value: 123.68 } data_param { batch_size: 32 } }\n"
    )
    inputs, notes = inputs_of(tmp_path, text + NEXT)
    assert inputs == (InputBlock("data", (3, 224, 224), mean=(104, 116.779, 123.68), scale=0.017),)
    assert "mean 104, 116.779, 123.68; scale 0.017" in notes
    assert "takes the centre of 224×224 pixels" in notes
    assert 'the channel order of the input "data" is not stated' in notes


def test_channels_come_from_the_first_convolution(tmp_path: Path) -> None:
    text = 'layer { name: "d" type: "Data" top: "data" transform_param { crop_size: 28 } }\n' + NEXT
    model = read(tmp_path, text, {"c": convolution_weights(4, 1)})
    assert model.netfile.inputs[0].shape == (1, 28, 28)
    assert model.netfile.inputs[0].channel_order == "gray"


def test_images_that_caffe_reads_itself_are_bgr(tmp_path: Path) -> None:
    text = (
        'layer { name: "d" type: "ImageData" top: "data" top: "l" image_data_param { new_height: 32 new_width: 24 } }\n'
    )
    inputs, _ = inputs_of(tmp_path, text + NEXT)
    assert inputs == (InputBlock("data", (3, 32, 24), channel_order="bgr"),)


def test_a_mean_file_is_asked_for(tmp_path: Path) -> None:
    text = 'layer { name: "d" type: "Data" top: "data" transform_param { mean_file: "data/mean.binaryproto" } }\n'
    inputs, notes = inputs_of(tmp_path, text + NEXT)
    assert inputs[0].mean_file is None
    assert 'subtracts the mean image "data/mean.binaryproto": give it with --mean' in notes


def test_preprocessing_stood_in_data_param_before_2014(tmp_path: Path) -> None:
    text = (
        'layers { name: "d" type: DATA top: "data" top: "label" '
        'data_param { scale: 0.5 crop_size: 16 mean_file: "m" } }\n'
        'layers { name: "c" type: CONVOLUTION bottom: "data" top: "c" '
        "convolution_param { num_output: 4 kernel_size: 3 } }\n"
    )
    inputs, notes = inputs_of(tmp_path, text)
    assert inputs[0].shape == (3, 16, 16)
    assert inputs[0].scale == 0.5
    assert 'mean image "m"' in notes


def test_data_of_unknown_form_becomes_an_input_without_a_shape(tmp_path: Path) -> None:
    text = 'layer { name: "h" type: "HDF5Data" top: "data" top: "y" }\n' + NEXT + layer("l", "EuclideanLoss", "c y")
    inputs, notes = inputs_of(tmp_path, text)
    assert inputs == (InputBlock("data"),)
    assert 'layer "h" (HDF5Data) became the input "data"' in notes
