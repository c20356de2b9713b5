"""Blobs, in-place layers, branches, phases and training layers, as a graph of named values."""

from pathlib import Path

import numpy as np
import pytest

from caffe_suite.model_files import (
    INPUT,
    convolution,
    convolution_weights,
    failure,
    layer,
    read,
    read_layers,
    write_caffemodel,
)
from cnnrt_import_caffe.importer import CaffeImporter

CHAIN = INPUT + convolution("c1", "data") + layer("r1", "ReLU", "c1", top="c1") + layer("p1", "Softmax", "c1")
ONE = {"c1": convolution_weights()}


def test_a_chain_states_no_bottoms(tmp_path: Path) -> None:
    model = read(tmp_path, 'name: "tiny"\n' + CHAIN, ONE)
    assert model.netfile.netfile_version == 1
    assert model.netfile.name == "tiny"
    assert [(b.name, b.bottoms, b.tops) for b in model.netfile.layers] == [
        ("c1", None, None),
        ("r1", None, None),
        ("p1", None, None),
    ]
    assert model.notes == ()


def test_a_branch_reads_the_value_that_the_blob_had_at_that_point(tmp_path: Path) -> None:
    text = (
        INPUT
        + convolution("c", "data")
        + layer("before", "Softmax", "c")
        + layer("r", "ReLU", "c", top="c")
        + layer("after", "Softmax", "c")
    )
    layers = read_layers(tmp_path, text, {"c": convolution_weights()})
    assert layers["before"].bottoms is None
    assert layers["r"].bottoms == ("c",)
    assert layers["after"].bottoms is None  # reads r, which stands before it


def test_a_blob_with_a_name_of_its_own_stays_an_alias_of_its_last_writer(tmp_path: Path) -> None:
    text = INPUT + convolution("c", "data", top="features") + layer("r", "ReLU", "features", top="features")
    layers = read_layers(tmp_path, text, {"c": convolution_weights()})
    assert layers["c"].tops is None
    assert layers["r"].tops == ("features",)


def test_a_blob_named_like_another_layer_gives_no_alias(tmp_path: Path) -> None:
    text = INPUT + layer("a", "ReLU", "data", top="b") + layer("b", "ReLU", "b", top="c")
    layers = read_layers(tmp_path, text)
    assert layers["a"].tops is None
    assert layers["b"].bottoms is None
    assert layers["b"].tops == ("c",)


def test_an_inception_module_keeps_its_branches(tmp_path: Path) -> None:
    text = INPUT + convolution("1x1", "data", 2, 1)
    text += layer("1x1/relu", "ReLU", "1x1", top="1x1")
    text += convolution("3x3_reduce", "data", 2, 1) + layer("3x3_reduce/relu", "ReLU", "3x3_reduce", top="3x3_reduce")
    text += convolution("3x3", "3x3_reduce", 4, 3, "pad: 1") + layer("3x3/relu", "ReLU", "3x3", top="3x3")
    text += layer("pool", "Pooling", "data", "pooling_param { kernel_size: 3 stride: 1 pad: 1 }")
    text += convolution("pool_proj", "pool", 1, 1) + layer("pool_proj/relu", "ReLU", "pool_proj", top="pool_proj")
    text += layer("output", "Concat", "1x1 3x3 pool_proj")
    weights = {
        "1x1": convolution_weights(2, 3, 1),
        "3x3_reduce": convolution_weights(2, 3, 1),
        "3x3": convolution_weights(4, 2, 3),
        "pool_proj": convolution_weights(1, 3, 1),
    }
    layers = read_layers(tmp_path, text, weights)
    assert layers["1x1"].bottoms is None
    assert layers["3x3_reduce"].bottoms == ("data",)
    assert layers["3x3"].bottoms is None
    assert layers["pool"].bottoms == ("data",)
    assert layers["pool_proj"].bottoms is None
    assert layers["output"].bottoms == ("1x1/relu", "3x3/relu", "pool_proj/relu")


def test_split_layers_of_saved_nets_are_only_names(tmp_path: Path) -> None:
    text = INPUT + layer("s", "Split", "data", 'top: "data_1"', top="data_0")
    text += layer("a", "ReLU", "data_0") + layer("b", "ReLU", "data_1") + layer("sum", "Eltwise", "a b")
    layers = read_layers(tmp_path, text)
    assert list(layers) == ["a", "b", "sum"]
    assert layers["b"].bottoms == ("data",)


def test_only_layers_of_phase_test_are_computed(tmp_path: Path) -> None:
    text = INPUT
    text += layer("train", "ReLU", "data", "include { phase: TRAIN }", top="x")
    text += layer("test", "Softmax", "data", "include { phase: TEST }", top="x")
    text += layer("staged", "ReLU", "data", 'include { phase: TEST stage: "deploy" }')
    text += layer("not_in_test", "ReLU", "data", "exclude { phase: TEST }")
    text += layer("unless_staged", "ReLU", "x", 'include { not_stage: "deploy" }')
    text += layer("higher", "ReLU", "x", "include { min_level: 1 }")
    assert list(read_layers(tmp_path, text)) == ["test", "unless_staged"]


def test_the_state_of_a_net_gives_level_and_stages(tmp_path: Path) -> None:
    text = 'state { level: 2 stage: "deploy" }\n' + INPUT
    text += layer("a", "ReLU", "data", 'include { stage: "deploy" min_level: 1 max_level: 2 }')
    text += layer("b", "ReLU", "data", 'include { not_stage: "deploy" }')
    assert list(read_layers(tmp_path, text)) == ["a"]


TRAIN_VAL = (
    'layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN } '
    "transform_param { scale: 0.5 } }\n"
    'layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TEST } '
    "transform_param { crop_size: 8 } }\n"
    + convolution("c1", "data")
    + layer("acc", "Accuracy", "c1 label", "include { phase: TEST }")
    + layer("loss", "SoftmaxWithLoss", "c1 label")
)


def test_a_net_of_training_becomes_one_that_computes_probabilities(tmp_path: Path) -> None:
    model = read(tmp_path, TRAIN_VAL, ONE)
    assert [(b.name, b.type) for b in model.netfile.layers] == [("c1", "Convolution"), ("loss", "Softmax")]
    assert [i.name for i in model.netfile.inputs] == ["data"]
    assert model.netfile.inputs[0].shape == (3, 8, 8)
    notes = "\n".join(model.notes)
    assert 'layer "acc" (Accuracy) left out' in notes
    assert 'layer "loss" (SoftmaxWithLoss) became a Softmax' in notes


def test_a_softmax_that_is_there_makes_the_one_of_the_loss_superfluous(tmp_path: Path) -> None:
    text = TRAIN_VAL.replace('layer { name: "loss"', layer("prob", "Softmax", "c1") + 'layer { name: "loss"')
    assert [b.name for b in read(tmp_path, text, ONE).netfile.layers] == ["c1", "prob"]


def test_the_second_top_of_a_softmax_loss_holds_the_probabilities(tmp_path: Path) -> None:
    text = TRAIN_VAL.replace('top: "loss"', 'top: "loss" top: "prob"') + layer("after", "ReLU", "prob")
    layers = read_layers(tmp_path, text, ONE)
    assert layers["loss"].tops == ("prob",)
    assert layers["after"].bottoms is None


def test_other_losses_and_what_works_on_labels_are_left_out(tmp_path: Path) -> None:
    text = TRAIN_VAL + layer("flat", "Flatten", "label") + layer("l2", "EuclideanLoss", "c1 flat")
    text += 'layer { name: "quiet" type: "Silence" bottom: "flat" }\n'
    model = read(tmp_path, text, ONE)
    assert [b.name for b in model.netfile.layers] == ["c1", "loss"]
    assert any('"flat" (Flatten) left out' in note for note in model.notes)
    assert any('"l2" (EuclideanLoss) left out' in note for note in model.notes)


def test_a_layer_that_mixes_data_with_labels_is_a_problem(tmp_path: Path) -> None:
    text = TRAIN_VAL + layer("mixed", "Eltwise", "data label")
    assert 'reads "label", which is a label' in str(failure(tmp_path, text, ONE))


def test_a_caffemodel_alone_carries_its_net(tmp_path: Path) -> None:
    net = TRAIN_VAL.replace('layer { name: "acc"', layer("s", "Split", "label", top="label_0") + 'layer { name: "acc"')
    path = write_caffemodel(tmp_path / "iter_10.caffemodel", ONE, net=net.split("\n", 2)[0] + net.split("\n", 2)[2])
    model = CaffeImporter().read([path])
    assert [(b.name, b.type) for b in model.netfile.layers] == [("c1", "Convolution"), ("loss", "Softmax")]
    assert model.netfile.inputs[0].scale == 0.5
    np.testing.assert_array_equal(model.parameters["c1"]["bias"], ONE["c1"][1])
    assert any("of phase TRAIN stands for the input" in note for note in model.notes)


def test_a_caffemodel_alone_without_an_input_says_so(tmp_path: Path) -> None:
    path = write_caffemodel(tmp_path / "x.caffemodel", ONE, net=convolution("c1", "data"))
    with pytest.raises(Exception, match='no layer before it writes "data"'):
        CaffeImporter().read([path])


def test_layers_of_one_name_are_told_apart(tmp_path: Path) -> None:
    text = INPUT + layer("r", "ReLU", "data", top="a") + layer("r", "ReLU", "a", top="b")
    text += 'layer { type: "ReLU" bottom: "b" top: "c" }\n' + layer("data", "ReLU", "c", top="d")
    model = read(tmp_path, text, {})
    assert [b.name for b in model.netfile.layers] == ["r", "r_2", "relu", "data_2"]
    assert any('this ReLU layer is named "r_2"' in note for note in model.notes)


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        (layer("a", "ReLU", "dato"), 2, 'no layer before it writes "dato"'),
        (layer("a", "ReLU", "data") + layer("b", "ReLU", "data", top="a"), 3, 'blob "a" was already written'),
        ('layer { name: "i" type: "Input" top: "data" }\n' + layer("a", "ReLU", "data"), 2, "declared twice"),
    ],
)
def test_a_net_that_does_not_hang_together_is_refused(tmp_path: Path, text: str, line: int, complaint: str) -> None:
    (problem,) = failure(tmp_path, INPUT + text).problems
    assert complaint in problem.message
    assert problem.position is not None
    assert problem.position.line == line


def test_the_nearest_blob_is_suggested(tmp_path: Path) -> None:
    (problem,) = failure(tmp_path, INPUT + layer("a", "ReLU", "dato")).problems
    assert problem.hint == 'did you mean "data"?'


def test_names_are_taken_as_they_are(tmp_path: Path) -> None:
    name = 'conv/3x3 \\" \\303\\244'
    layers = read_layers(tmp_path, INPUT + layer(name, "ReLU", "data"))
    assert list(layers) == ['conv/3x3 " ä']
