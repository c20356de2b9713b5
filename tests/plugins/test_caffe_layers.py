"""Each supported type of layer: the keys that it gets, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from caffe_suite.model_files import INPUT, convolution, convolution_weights, failure, layer, read, read_layers

CONVOLUTIONS = {
    "": {},
    "stride: 1 pad: 0 group: 1 dilation: 1 axis: 1": {},
    "pad: 1 stride: 2": {"pad": 1, "stride": 2},
    "pad: 1 pad: 2 stride: 2 stride: 3": {"pad": (1, 2), "stride": (2, 3)},
    "pad_h: 1 pad_w: 2 stride_h: 3 stride_w: 4": {"pad": (1, 2), "stride": (3, 4)},
    "pad_h: 1 pad_w: 1": {"pad": 1},
    "pad_w: 2": {"pad": (0, 2)},
    "dilation: 2": {"dilation": 2},
    "dilation: 2 dilation: 3": {"dilation": (2, 3)},
    "engine: CUDNN weight_filler { type: 'xavier' }": {},
}


@pytest.mark.parametrize("parameters", CONVOLUTIONS)
def test_a_convolution_states_what_differs_from_the_default(tmp_path: Path, parameters: str) -> None:
    model = read(tmp_path, INPUT + convolution("c", "data", rest=parameters), {"c": convolution_weights()})
    assert dict(model.netfile.layers[0].keys) == CONVOLUTIONS[parameters]
    assert model.notes == ()


def test_a_grouped_convolution_keeps_its_groups(tmp_path: Path) -> None:
    text = INPUT + convolution("c", "data", outputs=6, rest="group: 3")
    layers = read_layers(tmp_path, text, {"c": convolution_weights(6, 1)})
    assert dict(layers["c"].keys) == {"group": 3}


def test_a_rectangular_kernel_comes_with_its_weights(tmp_path: Path) -> None:
    text = INPUT + layer("c", "Convolution", "data", "convolution_param { num_output: 2 kernel_h: 1 kernel_w: 5 }")
    weights = [np.zeros((2, 3, 1, 5), np.float32), np.zeros(2, np.float32)]
    model = read(tmp_path, text, {"c": weights})
    assert model.parameters["c"]["weight"].shape == (2, 3, 1, 5)


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ("num_output: 4", "no kernel_size"),
        ("num_output: 0 kernel_size: 3", "num_output 0"),
        ("num_output: 4 kernel_size: 0", "kernel_size 0×0"),
        ("num_output: 4 kernel_size: 3 stride: 0", "stride 0×0"),
        ("num_output: 4 kernel_size: 3 stride_h: 2", "stride 2×0"),
        ("num_output: 4 kernel_size: 3 kernel_h: 3", "both kernel_size and kernel_h"),
        ("num_output: 4 kernel_size: 3 kernel_size: 3 kernel_size: 3", "kernel_size for 3 dimensions"),
        ("num_output: 4 kernel_size: 3 group: 3", "4 outputs cannot be split into 3 groups"),
        ("num_output: 4 kernel_size: 3 axis: 2", "convolution over axis 2"),
        ("num_output: 4 kernel_size: 3 fuse_type: FUSED_CONV_RELU", "fuse_type: FUSED_CONV_RELU"),
        ("num_output: 4 kernel_size: 3 pad: 4294967295", "pad 4294967295"),
    ],
)
def test_a_convolution_that_caffe_or_cnnrt_cannot_compute_is_refused(
    tmp_path: Path, parameters: str, complaint: str
) -> None:
    text = INPUT + layer("c", "Convolution", "data", f"convolution_param {{ {parameters} }}")
    assert complaint in str(failure(tmp_path, text, {"c": convolution_weights()}))


POOLINGS = {
    "kernel_size: 2": {"pool": "max", "kernel_size": 2},
    "pool: MAX kernel_size: 3 stride: 2": {"pool": "max", "kernel_size": 3, "stride": 2},
    "pool: AVE kernel_size: 3 pad: 1": {"pool": "mean", "kernel_size": 3, "pad": 1},
    "kernel_h: 2 kernel_w: 3 stride_h: 1 stride_w: 2": {"pool": "max", "kernel_size": (2, 3), "stride": (1, 2)},
    "kernel_size: 2 round_mode: CEIL": {"pool": "max", "kernel_size": 2},
    "kernel_size: 2 round_mode: FLOOR": {"pool": "max", "kernel_size": 2, "ceil_mode": False},
    "kernel_size: 2 ceil_mode: false": {"pool": "max", "kernel_size": 2, "ceil_mode": False},
    "kernel_size: 2 dilation: 1": {"pool": "max", "kernel_size": 2},
    "pool: AVE global_pooling: true": {"pool": "mean", "global_pooling": True},
}


@pytest.mark.parametrize("parameters", POOLINGS)
def test_pooling(tmp_path: Path, parameters: str) -> None:
    layers = read_layers(tmp_path, INPUT + layer("p", "Pooling", "data", f"pooling_param {{ {parameters} }}"))
    assert dict(layers["p"].keys) == POOLINGS[parameters]


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ("pool: STOCHASTIC kernel_size: 2", "stochastic pooling"),
        ("pool: MAX", "no kernel_size"),
        ("kernel_size: 2 pad: 2", "not smaller than the kernel"),
        ("global_pooling: true kernel_size: 2", "global pooling with a kernel size"),
        ("global_pooling: true stride: 2", "global pooling with a pad or a stride"),
        ("kernel_size: 2 dilation: 2", "dilated pooling"),
    ],
)
def test_pooling_that_is_refused(tmp_path: Path, parameters: str, complaint: str) -> None:
    text = INPUT + layer("p", "Pooling", "data", f"pooling_param {{ {parameters} }}")
    assert complaint in str(failure(tmp_path, text))


def test_a_second_top_of_pooling_is_its_mask(tmp_path: Path) -> None:
    text = INPUT + layer("p", "Pooling", "data", 'top: "mask" pooling_param { kernel_size: 2 stride: 2 }')
    text += layer("u", "Upsample", "p mask", "upsample_param { scale: 2 }")
    layers = read_layers(tmp_path, text)
    assert dict(layers["p"].keys) == {"pool": "max", "kernel_size": 2, "stride": 2, "mask": True}
    assert layers["p"].tops == ("p", "mask")
    assert (layers["u"].type, layers["u"].bottoms) == ("MaxUnpool", ("p", "mask"))
    assert dict(layers["u"].keys) == {"kernel_size": (2, 2), "stride": (2, 2)}
    three = layer("p", "Pooling", "data", 'top: "mask" top: "more" pooling_param { kernel_size: 2 }')
    assert "Pooling with 3 tops" in str(failure(tmp_path, INPUT + three))
    mean = layer("p", "Pooling", "data", 'top: "mask" pooling_param { kernel_size: 2 pool: AVE }')
    assert "mean pooling with a second top" in str(failure(tmp_path, INPUT + mean))


ELEMENTWISE = {
    ("LRN", ""): {},
    ("LRN", "lrn_param { local_size: 3 alpha: 0.0001 beta: 0.5 k: 2 }"): {
        "local_size": 3,
        "alpha": 0.0001,
        "beta": 0.5,
        "k": 2.0,
    },
    ("LRN", "lrn_param { norm_region: WITHIN_CHANNEL }"): {"norm_region": "within_channel"},
    ("ReLU", ""): {},
    ("ReLU", "relu_param { negative_slope: 0.1 }"): {"negative_slope": 0.1},
    ("Softmax", ""): {},
    ("Softmax", "softmax_param { axis: 2 }"): {"axis": 2},
    ("Dropout", ""): {},
    ("Dropout", "dropout_param { dropout_ratio: 0.4 }"): {"dropout_ratio": 0.4},
    ("Flatten", ""): {},
    ("Flatten", "flatten_param { axis: 2 end_axis: 3 }"): {"axis": 2, "end_axis": 3},
}


@pytest.mark.parametrize(("kind", "parameters"), ELEMENTWISE)
def test_layers_without_weights(tmp_path: Path, kind: str, parameters: str) -> None:
    layers = read_layers(tmp_path, INPUT + layer("x", kind, "data", parameters))
    assert layers["x"].type == kind
    assert dict(layers["x"].keys) == ELEMENTWISE[kind, parameters]


def test_k_within_a_channel_is_left_out_because_caffe_ignores_it(tmp_path: Path) -> None:
    text = INPUT + layer("n", "LRN", "data", "lrn_param { norm_region: WITHIN_CHANNEL k: 2 }")
    model = read(tmp_path, text, {})
    assert dict(model.netfile.layers[0].keys) == {"norm_region": "within_channel"}
    assert any("k = 2.0 is left out" in note for note in model.notes)


JOINING = {
    ("Concat", ""): {},
    ("Concat", "concat_param { axis: 2 }"): {"axis": 2},
    ("Concat", "concat_param { concat_dim: 0 }"): {"axis": 0},
    ("Eltwise", ""): {},
    ("Eltwise", "eltwise_param { operation: PROD }"): {"operation": "prod"},
    ("Eltwise", "eltwise_param { operation: MAX }"): {"operation": "max"},
    ("Eltwise", "eltwise_param { operation: SUM coeff: 1 coeff: -1 }"): {"coeff": (1.0, -1.0)},
    ("Eltwise", "eltwise_param { coeff: 1 coeff: 1 }"): {},
}


@pytest.mark.parametrize(("kind", "parameters"), JOINING)
def test_layers_of_several_inputs(tmp_path: Path, kind: str, parameters: str) -> None:
    text = INPUT + layer("r", "ReLU", "data") + layer("j", kind, "data r", parameters)
    block = read_layers(tmp_path, text)["j"]
    assert block.bottoms == ("data", "r")
    assert dict(block.keys) == JOINING[kind, parameters]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (layer("j", "Concat", "data", "concat_param { axis: 1 concat_dim: 1 }"), "both axis and concat_dim"),
        (layer("j", "Eltwise", "data data", "eltwise_param { coeff: 1 }"), "1 coeff"),
        (layer("j", "Eltwise", "data data", "eltwise_param { operation: MAX coeff: 1 coeff: 2 }"), "2 coeff"),
        (layer("j", "Eltwise", "data"), "Eltwise of 1 bottoms"),
        (layer("j", "ReLU", "data data"), "ReLU of 2 bottoms"),
        (layer("j", "LRN", "data", "lrn_param { local_size: 4 }"), "local_size 4"),
        (layer("j", "Dropout", "data", "dropout_param { scale_train: false }"), "scale_train: false"),
        (layer("j", "Dropout", "data", "dropout_param { dropout_ratio: 2 }"), "dropout_ratio 2.0"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    assert complaint in str(failure(tmp_path, INPUT + text))


def test_an_inner_product_may_be_transposed_and_lack_a_bias(tmp_path: Path) -> None:
    rest = "inner_product_param { num_output: 5 transpose: true bias_term: false axis: 2 }"
    stored = np.arange(20, dtype=np.float32).reshape(4, 5)
    model = read(tmp_path, INPUT + layer("f", "InnerProduct", "data", rest), {"f": [stored]})
    assert model.netfile.layers[0].type == "FullyConnected"
    assert dict(model.netfile.layers[0].keys) == {"axis": 2}
    assert list(model.parameters["f"]) == ["weight"]
    np.testing.assert_array_equal(model.parameters["f"]["weight"], stored.T)


def test_all_unsupported_layers_are_named_at_once_with_their_lines(tmp_path: Path) -> None:
    text = INPUT + layer("a", "Tile", "data") + layer("b", "Convolucion", "a") + layer("c", "Embed", "b")
    error = failure(tmp_path, text)
    assert [(p.position.line, p.position.column) for p in error.problems if p.position] == [(2, 25), (3, 25), (4, 25)]
    assert [p.message for p in error.problems] == [
        'layer "a": type Tile is not supported',
        'layer "b": type Convolucion is not supported',
        'layer "c": type Embed is not supported',
    ]
    assert error.problems[1].hint == "did you mean Convolution?"
    assert "InnerProduct" in error.problems[-1].expected


def test_keys_that_only_a_fork_knows_are_mentioned(tmp_path: Path) -> None:
    rest = "relu_param { negative_slope: 0.5 fancy: 3 } quantised: true relu6_param { max: 6 }"
    model = read(tmp_path, INPUT + layer("r", "ReLU", "data", rest), {})
    assert dict(model.netfile.layers[0].keys) == {"negative_slope": 0.5}
    assert model.notes == (
        'line 2: key "quantised" of layer "r" is unknown and was ignored',
        'line 2: key "fancy" of layer "r" is unknown and was ignored',
    )
