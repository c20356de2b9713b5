"""The layers that came to Caffe after its first classifiers, and those of its forks: keys, weights, refusals."""

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
from cnnrt import Net, convert
from cnnrt.layer import Array

ONE_INPUT = {
    ("AbsVal", ""): ("AbsVal", {}),
    ("ArgMax", ""): ("ArgMax", {}),
    ("ArgMax", "argmax_param { axis: 1 top_k: 3 out_max_val: true }"): (
        "ArgMax",
        {"axis": 1, "top_k": 3, "out_max_val": True},
    ),
    ("BNLL", ""): ("Softplus", {}),
    ("Clip", "clip_param { min: -1 max: 2 }"): ("Clip", {"min": -1.0, "max": 2.0}),
    ("ELU", "elu_param { alpha: 0.5 }"): ("ELU", {"alpha": 0.5}),
    ("Exp", "exp_param { base: 2 scale: 0.1 shift: 1 }"): ("Exp", {"base": 2.0, "scale": 0.1, "shift": 1.0}),
    ("Interp", "interp_param { zoom_factor: 8 pad_end: -1 }"): ("Interp", {"zoom_factor": 8, "pad_end": -1}),
    ("Interp", "interp_param { height: 4 width: 5 }"): ("Interp", {"height": 4, "width": 5}),
    ("Log", ""): ("Log", {}),
    ("MVN", "mvn_param { normalize_variance: false across_channels: true eps: 0.001 }"): (
        "MVN",
        {"normalize_variance": False, "across_channels": True, "eps": 0.001},
    ),
    ("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }"): ("Permute", {"order": (0, 2, 3, 1)}),
    ("Power", "power_param { power: 2 scale: 0.00390625 shift: -0.5 }"): (
        "Power",
        {"power": 2.0, "scale": 0.00390625, "shift": -0.5},
    ),
    ("ReLU6", ""): ("Clip", {"min": 0.0, "max": 6.0}),
    ("Reduction", ""): ("Reduction", {}),
    ("Reduction", "reduction_param { operation: ASUM axis: 1 coeff: 0.5 }"): (
        "Reduction",
        {"operation": "l1", "axis": 1, "coeff": 0.5},
    ),
    ("Reduction", "reduction_param { operation: MEAN }"): ("Reduction", {"operation": "mean"}),
    ("Reshape", "reshape_param { shape { dim: 0 dim: -1 } axis: 1 num_axes: 2 }"): (
        "Reshape",
        {"shape": (0, -1), "axis": 1, "num_axes": 2},
    ),
    ("ShuffleChannel", "shuffle_channel_param { group: 3 }"): ("ChannelShuffle", {"group": 3}),
    ("Sigmoid", ""): ("Sigmoid", {}),
    ("Swish", ""): ("Swish", {}),
    ("TanH", ""): ("TanH", {}),
    ("Upsample", "upsample_param { scale: 2 }"): (
        "Resize",
        {"scale": (2.0, 2.0), "coordinates": "asymmetric", "rounding": "floor"},
    ),
    ("Upsample", "upsample_param { upsample_h: 7 upsample_w: 9 }"): ("Resize", {"size": (7, 9)}),
}


@pytest.mark.parametrize(("kind", "parameters"), ONE_INPUT)
def test_layers_without_weights_state_what_differs_from_the_default(tmp_path: Path, kind: str, parameters: str) -> None:
    model = read(tmp_path, INPUT + layer("x", kind, "data", parameters), {})
    (block,) = model.netfile.layers
    assert (block.type, dict(block.keys)) == ONE_INPUT[kind, parameters]
    assert model.notes == ()


PRIOR_BOX = """prior_box_param { min_size: 30 max_size: 60 aspect_ratio: 2 flip: false clip: true step: 8
    img_size: 300 }"""

TWO_INPUTS = {
    ("Crop", "crop_param { axis: 2 offset: 3 offset: 4 }"): {"offset": (3, 4)},
    ("Crop", "crop_param { axis: 1 }"): {"axis": 1},
    ("Interp", ""): {},
    ("ROIPooling", "roi_pooling_param { pooled_h: 7 pooled_w: 6 spatial_scale: 0.0625 }"): {
        "pooled_h": 7,
        "pooled_w": 6,
        "spatial_scale": 0.0625,
    },
    (
        "PriorBox",
        "prior_box_param { min_size: 30 max_size: 60 aspect_ratio: 2 flip: false clip: true step: 8 img_size: 300 }",
    ): {
        "min_size": (30.0,),
        "max_size": (60.0,),
        "aspect_ratio": (2.0,),
        "flip": False,
        "clip": True,
        "img_h": 300,
        "img_w": 300,
        "step": 8.0,
    },
}


@pytest.mark.parametrize(("kind", "parameters"), TWO_INPUTS)
def test_layers_of_two_inputs(tmp_path: Path, kind: str, parameters: str) -> None:
    text = INPUT + layer("r", "ReLU", "data") + layer("j", kind, "r data", parameters)
    block = read_layers(tmp_path, text)["j"]
    assert (block.type, block.bottoms) == (kind, ("r", "data"))
    assert dict(block.keys) == TWO_INPUTS[kind, parameters]


def test_detection_output(tmp_path: Path) -> None:
    parameters = """detection_output_param { num_classes: 21 nms_param { nms_threshold: 0.45 top_k: 400 }
        code_type: CENTER_SIZE keep_top_k: 200 confidence_threshold: 0.01 }"""
    text = INPUT + layer("r", "ReLU", "data") + layer("found", "DetectionOutput", "r data data", parameters)
    assert dict(read_layers(tmp_path, text)["found"].keys) == {
        "num_classes": 21,
        "nms_threshold": 0.45,
        "top_k": 400,
        "code_type": "center_size",
        "keep_top_k": 200,
        "confidence_threshold": 0.01,
    }


def test_a_slice_gives_a_value_for_each_top(tmp_path: Path) -> None:
    text = INPUT + layer(
        "cut", "Slice", "data", 'top: "b" top: "c" slice_param { slice_point: 1 slice_point: 2 }', top="a"
    )
    text += layer("sum", "Eltwise", "c a")
    layers = read_layers(tmp_path, text)
    assert dict(layers["cut"].keys) == {"slice_point": (1, 2)}
    assert layers["cut"].tops == ("a", "b", "c")
    assert layers["sum"].bottoms == ("c", "a")
    equal = read_layers(tmp_path, INPUT + layer("cut", "Slice", "data", 'top: "b" slice_param { axis: 2 }', top="cut"))
    assert dict(equal["cut"].keys) == {"axis": 2, "parts": 2}
    assert equal["cut"].tops == ("cut", "b")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            layer("x", "Slice", "data", 'top: "b" slice_param { slice_point: 1 slice_point: 2 }'),
            "slice points 1, 2",
        ),
        (layer("x", "Slice", "data", "slice_param { axis: 1 slice_dim: 1 }"), "both axis and slice_dim"),
        (layer("x", "Reshape", "data", "reshape_param { shape { dim: -1 dim: -1 } }"), "reshaping to -1×-1"),
        (layer("x", "Reshape", "data"), "reshaping to nothing"),
        (layer("x", "Permute", "data", "permute_param { order: 1 order: 1 }"), "order 1, 1"),
        (layer("x", "Exp", "data", "exp_param { base: 0 }"), "base 0.0"),
        (layer("x", "Log", "data", "log_param { base: 1 }"), "base 1.0"),
        (layer("x", "Clip", "data", "clip_param { min: 1 }"), "clipping to 1.0..0.0"),
        (layer("x", "ArgMax", "data", "argmax_param { top_k: 0 }"), "top_k 0"),
        (layer("x", "Interp", "data", "interp_param { height: 4 }"), "height and width beside other sizes"),
        (layer("x", "Interp", "data", "interp_param { pad_beg: 1 }"), "pad_beg 1"),
        (layer("x", "Upsample", "data", "upsample_param { pad_out_h: true }"), "rows or columns put behind"),
        (layer("x", "Crop", "data"), "Crop of 1 bottoms"),
        (layer("x", "PriorBox", "data data"), "no min_size"),
        (
            layer("x", "PriorBox", "data data", "prior_box_param { min_size: 30 max_size: 20 }"),
            "expected each to be larger",
        ),
        (layer("x", "DetectionOutput", "data data data"), "num_classes: expected at least 1, got 0"),
        (layer("x", "ROIPooling", "data data"), "a grid of 0×0"),
        (layer("x", "BatchNorm", "data", "batch_norm_param { use_global_stats: false }"), "use_global_stats: false"),
        (
            layer("x", "Deconvolution", "data", "convolution_param { num_output: 3 kernel_size: 2 group: 2 }"),
            "2 groups",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    assert complaint in str(failure(tmp_path, INPUT + text))


def computed(folder: Path, text: str, weights: dict[str, list[Array]], x: Array) -> Array:
    """Convert a net, compute its only output."""
    (folder / "net.prototxt").write_text(text)
    model = write_caffemodel(folder / "net.caffemodel", weights)
    convert([folder / "net.prototxt", model], folder / "out")
    with Net(folder / "out" / "net.netfile", execution_mode="sequential") as net:
        result = net.compute(x)
    assert isinstance(result, np.ndarray)
    return result


def test_statistics_of_batch_norm_are_divided_by_their_number(tmp_path: Path) -> None:
    """Caffe stores sums and a factor; a Scale behind it holds what others keep in the same layer."""
    text = INPUT + layer("bn", "BatchNorm", "data", "batch_norm_param { eps: 0.5 }")
    text += layer("scale", "Scale", "bn", "scale_param { bias_term: true }", top="bn")
    mean, variance, factor = np.float32([2, 4, 6]), np.float32([1, 3, 7]), np.float32([2])
    scale, bias = np.float32([1, 2, 3]), np.float32([0, -1, 1])
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8), np.float32)
    got = computed(tmp_path, text, {"bn": [mean, variance, factor], "scale": [scale, bias]}, x)
    by_channel = (3, 1, 1)
    normal = (x - (mean / 2).reshape(by_channel)) / np.sqrt((variance / 2).reshape(by_channel) + 0.5)
    np.testing.assert_allclose(got, normal * scale.reshape(by_channel) + bias.reshape(by_channel), rtol=1e-5, atol=1e-6)


def test_a_factor_of_zero_means_no_statistics(tmp_path: Path) -> None:
    model = read(tmp_path, INPUT + layer("bn", "BatchNorm", "data"), {"bn": [np.ones(3), np.ones(3), np.zeros(1)]})
    assert not model.parameters["bn"]["mean"].any()
    assert not model.parameters["bn"]["variance"].any()


def test_batch_norm_and_scale_go_into_the_convolution_before_them(tmp_path: Path) -> None:
    text = (
        INPUT
        + convolution("c", "data")
        + layer("bn", "BatchNorm", "c")
        + layer("s", "Scale", "bn")
        + layer("r", "ReLU", "s")
    )
    weights = {"c": convolution_weights(), "bn": [np.ones(4), np.ones(4), np.ones(1)], "s": [np.full(4, 2.0)]}
    (tmp_path / "net.prototxt").write_text(text)
    model = write_caffemodel(tmp_path / "net.caffemodel", {k: [np.float32(b) for b in v] for k, v in weights.items()})
    convert([tmp_path / "net.prototxt", model], tmp_path / "out")
    with Net(tmp_path / "out" / "net.netfile", execution_mode="sequential") as net:
        assert [row.title for row in net.prepare((1, 3, 8, 8)).rows] == ["c + bn + s + r"]


def test_slopes_of_prelu_and_factors_of_normalize(tmp_path: Path) -> None:
    text = INPUT + layer("p", "PReLU", "data") + layer("q", "PReLU", "p", "prelu_param { channel_shared: true }")
    text += layer("n", "Normalize", "q", "norm_param { across_spatial: false channel_shared: false }")
    model = read(tmp_path, text, {"p": [np.ones(3)], "q": [np.ones(1)], "n": [np.full(3, 20.0)]})
    shapes = {name: {k: w.shape for k, w in weights.items()} for name, weights in model.parameters.items()}
    assert shapes == {"p": {"slope": (3,)}, "q": {"slope": (1,)}, "n": {"scale": (3,)}}
    assert dict(model.netfile.layers[2].keys) == {}
    whole = read(tmp_path, INPUT + layer("n", "Normalize", "data"), {"n": [np.ones(1)]})
    assert dict(whole.netfile.layers[0].keys) == {"across_spatial": True}


def test_a_deconvolution_has_its_inputs_first(tmp_path: Path) -> None:
    """The bilinear kernel of FCN doubles an image of ones, the edges apart."""
    parameters = "convolution_param { num_output: 3 kernel_size: 4 stride: 2 pad: 1 group: 3 bias_term: false }"
    ramp = np.float32([0.25, 0.75, 0.75, 0.25])
    kernel = np.broadcast_to(np.outer(ramp, ramp), (3, 1, 4, 4))
    text = INPUT + layer("up", "Deconvolution", "data", parameters)
    got = computed(tmp_path, text, {"up": [np.ascontiguousarray(kernel)]}, np.ones((1, 3, 8, 8), np.float32))
    assert got.shape == (1, 3, 16, 16)
    np.testing.assert_allclose(got[:, :, 1:-1, 1:-1], 1, rtol=1e-6)


def test_the_factors_of_a_scale_may_be_its_second_bottom(tmp_path: Path) -> None:
    """Squeeze-and-excitation: (N, C) weighs the channels."""
    text = INPUT + layer("mean", "Reduction", "data", "reduction_param { operation: MEAN axis: 2 }")
    text += layer("s", "Scale", "data mean", "scale_param { axis: 0 num_axes: 2 }")
    x = np.random.default_rng(1).standard_normal((2, 3, 8, 8), np.float32)
    (tmp_path / "net.prototxt").write_text(text)
    convert([tmp_path / "net.prototxt"], tmp_path / "out")
    with Net(tmp_path / "out" / "net.netfile", execution_mode="sequential") as net:
        np.testing.assert_allclose(net.compute(x), x * x.mean(axis=(2, 3), keepdims=True), rtol=1e-4, atol=1e-6)
