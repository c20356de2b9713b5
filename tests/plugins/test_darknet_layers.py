"""What each section of a cfg becomes, held against Darknet's own loops."""

from pathlib import Path

import numpy as np
import pytest

from cnnrt.layer import Array
from darknet_suite.model_files import NET, compute, failure, pooled, read, reorganised, values

IMAGE = values(3, 6, 8, seed=7)
CONV = "[convolutional]\nfilters=4\nsize=1\nactivation=linear\n"
CONV_WEIGHTS = [values(4), values(4, 3, 1, 1, seed=1)]


def mixed(image: Array) -> Array:
    """What CONV gives."""
    return np.einsum("oc,chw->ohw", CONV_WEIGHTS[1][:, :, 0, 0], image) + CONV_WEIGHTS[0][:, None, None]


def test_a_convolution_stores_bias_norm_and_kernels_in_this_order(tmp_path: Path) -> None:
    bias, scale, mean, kernels = values(2), values(2, seed=2), values(2, seed=3), values(2, 3, 1, 1, seed=5)
    variance = np.array([0.5, 2], np.float32)
    sections = "[convolutional]\nfilters=2\nsize=1\nbatch_normalize=1\nactivation=leaky\n"
    got = compute(tmp_path, sections, IMAGE, [bias, scale, mean, variance, kernels])
    plain = np.einsum("oc,chw->ohw", kernels[:, :, 0, 0], IMAGE)
    b, s, m, v = (a[:, None, None] for a in (bias, scale, mean, variance))
    normal = s * (plain - m) / np.sqrt(v + 1e-6) + b
    np.testing.assert_allclose(got, np.where(normal > 0, normal, 0.1 * normal), rtol=1e-5, atol=1e-5)


def test_pad_means_half_of_the_kernel_and_wins_over_padding(tmp_path: Path) -> None:
    sections = "[convolutional]\nfilters=1\nsize=5\nstride=2\npad=1\npadding=7\nactivation=linear\n"
    (layer,) = read(tmp_path, sections, [values(1), values(1, 3, 5, 5)]).netfile.layers
    assert layer.keys == {"pad": 2, "stride": 2}


def test_groups_and_dilation(tmp_path: Path) -> None:
    sections = "[convolutional]\nfilters=3\nsize=3\npad=1\ngroups=3\ndilation=2\nactivation=linear\n"
    (layer,) = read(tmp_path, sections, [values(3), values(3, 1, 3, 3)]).netfile.layers
    assert layer.keys == {"pad": 2, "dilation": 2, "group": 3}


@pytest.mark.parametrize(
    ("options", "size", "stride", "padding"),
    [
        ("size=2\nstride=2", 2, 2, 1),
        ("size=3\nstride=2", 3, 2, 2),
        ("size=2\nstride=1", 2, 1, 1),
        ("size=3\nstride=1", 3, 1, 2),
        ("size=5\nstride=1", 5, 1, 4),
        ("stride=2", 2, 2, 1),
        ("size=3\nstride=2\npadding=1", 3, 2, 1),
    ],
)
def test_maxpool_pads_as_darknet_does(tmp_path: Path, options: str, size: int, stride: int, padding: int) -> None:
    net = "[net]\nchannels=3\nheight=7\nwidth=8\n"
    image = values(3, 7, 8)
    got = compute(tmp_path, f"[maxpool]\n{options}\n", image, net=net)
    np.testing.assert_array_equal(got, pooled(image, size, stride, padding))


def test_avgpool_is_the_mean_of_each_channel(tmp_path: Path) -> None:
    got = compute(tmp_path, "[avgpool]\n", IMAGE)
    np.testing.assert_allclose(got, IMAGE.mean(axis=(1, 2), keepdims=True), rtol=1e-5, atol=1e-6)


def test_connected_takes_all_values_of_an_image(tmp_path: Path) -> None:
    bias, matrix = values(5), values(5, 144, seed=1)
    got = compute(tmp_path, "[connected]\noutput=5\nactivation=relu\n", IMAGE, [bias, matrix])
    np.testing.assert_allclose(got, np.maximum(matrix @ IMAGE.ravel() + bias, 0), rtol=1e-5, atol=1e-5)


def test_shortcuts_count_layers_from_here_or_from_the_start(tmp_path: Path) -> None:
    for index in ("-2", "0"):
        sections = CONV + "[activation]\nactivation=leaky\n" + f"[shortcut]\nfrom={index}\nactivation=relu\n"
        got = compute(tmp_path, sections, IMAGE, CONV_WEIGHTS)
        x = mixed(IMAGE)
        np.testing.assert_allclose(got, np.maximum(x + np.where(x > 0, x, 0.1 * x), 0), rtol=1e-5, atol=1e-5)


def test_routes_join_channels_and_one_alone_goes_back(tmp_path: Path) -> None:
    joined = compute(tmp_path, CONV + "[maxpool]\nsize=1\n[route]\nlayers=-1, 0\n", IMAGE, CONV_WEIGHTS)
    np.testing.assert_allclose(joined, np.concatenate([mixed(IMAGE)] * 2), rtol=1e-5, atol=1e-5)
    sections = CONV + "[avgpool]\n[route]\nlayers=-2\n[maxpool]\nstride=2\n"
    model = read(tmp_path, sections, CONV_WEIGHTS)
    assert [(layer.name, layer.bottoms) for layer in model.netfile.layers] == [
        ("conv_0", None),
        ("avgpool_1", None),
        ("maxpool_3", ("conv_0",)),
    ]


def test_a_route_may_take_one_group_of_channels(tmp_path: Path) -> None:
    got = compute(tmp_path, CONV + "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n", IMAGE, CONV_WEIGHTS)
    np.testing.assert_allclose(got, mixed(IMAGE)[2:], rtol=1e-5, atol=1e-5)


def test_reorg_moves_pixels_in_darknets_own_order(tmp_path: Path) -> None:
    net = "[net]\nchannels=8\nheight=4\nwidth=6\n"
    image = np.arange(8 * 4 * 6, dtype=np.float32).reshape(8, 4, 6)
    got = compute(tmp_path, "[reorg]\nstride=2\n", image, net=net)
    np.testing.assert_array_equal(got, reorganised(image, 2))


def test_upsample_repeats_pixels(tmp_path: Path) -> None:
    got = compute(tmp_path, "[upsample]\nstride=3\n", IMAGE)
    np.testing.assert_array_equal(got, IMAGE.repeat(3, axis=1).repeat(3, axis=2))


def test_scale_channels_multiplies_an_image_by_one_number_for_each_channel(tmp_path: Path) -> None:
    got = compute(tmp_path, CONV + "[avgpool]\n[scale_channels]\nfrom=-2\n", IMAGE, CONV_WEIGHTS)
    x = mixed(IMAGE)
    np.testing.assert_allclose(got, x * x.mean(axis=(1, 2), keepdims=True), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("activation", "formula"),
    [
        ("leaky", lambda x: np.where(x > 0, x, 0.1 * x)),
        ("relie", lambda x: np.where(x > 0, x, 0.01 * x)),
        ("relu6", lambda x: np.clip(x, 0, 6)),
        ("logistic", lambda x: 1 / (1 + np.exp(-x))),
        ("loggy", lambda x: 2 / (1 + np.exp(-x)) - 1),
        ("tanh", np.tanh),
        ("elu", lambda x: np.where(x > 0, x, np.exp(x) - 1)),
        ("selu", lambda x: 1.0507 * np.where(x > 0, x, 1.6732 * (np.exp(x) - 1))),
        ("hardtan", lambda x: np.clip(x, -1, 1)),
        ("swish", lambda x: x / (1 + np.exp(-x))),
        ("mish", lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    ],
)
def test_activations(tmp_path: Path, activation: str, formula: np.ufunc) -> None:
    image = 4 * IMAGE
    got = compute(tmp_path, f"[activation]\nactivation={activation}\n", image)
    np.testing.assert_allclose(got, formula(image.astype(np.float64)), rtol=1e-5, atol=1e-6)


def test_layers_without_a_stated_activation_are_logistic(tmp_path: Path) -> None:
    model = read(tmp_path, CONV.replace("activation=linear\n", ""), CONV_WEIGHTS)
    assert [layer.type for layer in model.netfile.layers] == ["Convolution", "Sigmoid"]


def test_softmax_covers_all_values_unless_it_is_spatial(tmp_path: Path) -> None:
    whole = compute(tmp_path, "[softmax]\ntemperature=2\n", IMAGE)
    powers = np.exp(IMAGE.ravel() / 2)
    np.testing.assert_allclose(whole, powers / powers.sum(), rtol=1e-5)
    spatial = compute(tmp_path, "[softmax]\nspatial=1\n", IMAGE)
    np.testing.assert_allclose(spatial, np.exp(IMAGE) / np.exp(IMAGE).sum(axis=0), rtol=1e-5)


def test_a_head_that_is_not_decoded_is_an_output_of_its_own_name(tmp_path: Path) -> None:
    model = read(tmp_path, CONV + "[region]\nanchors=1,2\n", CONV_WEIGHTS)
    assert [layer.tops for layer in model.netfile.layers] == [("region_1",)]
    assert any("boxes are not decoded (anchors 1,2)" in note for note in model.notes)


def test_a_yolo_head_gives_boxes_and_the_next_section_takes_what_it_takes(tmp_path: Path) -> None:
    heads = (
        "[conv]\nfilters=12\nactivation=linear\n[yolo]\nmask=2,0\nanchors=1,2, 3,4, 5.5,6\nclasses=1\nscale_x_y=1.1\n"
    )
    model = read(tmp_path, heads + "[route]\nlayers=-2\n[maxpool]\nstride=2\n", [values(12), values(12, 3)])
    assert [layer.type for layer in model.netfile.layers] == ["Convolution", "YoloBoxes", "Pooling"]
    yolo, pool = model.netfile.layers[1:]
    assert (yolo.name, yolo.bottoms, pool.bottoms) == ("yolo_1", ("conv_0", "data"), ("conv_0",))
    assert dict(yolo.keys) == {"anchors": (5.5, 6, 1, 2), "classes": 1, "scale_x_y": 1.1, "threshold": 0.2}
    assert '"yolo_1" gives the boxes of "conv_0"; scores up to 0.2 are 0, see its threshold' in model.notes


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("mask=0\n", "anchors is not stated"),
        ("mask=1\nanchors=1,2\n", "boxes of the anchors [1]"),
        ("anchors=1,x\n", 'anchors="1,x"'),
        ("anchors=1,-2\nclasses=0\n", "anchors of the sizes [1.0, -2.0]"),
        ("anchors=1,2\n", "reads 3×6×8"),
    ],
)
def test_a_yolo_head_that_does_not_fit_is_told(tmp_path: Path, options: str, told: str) -> None:
    assert told in failure(tmp_path, "[maxpool]\nsize=1\nstride=1\n[yolo]\n" + options).problems[0].message


def test_preprocessing_is_darknets(tmp_path: Path) -> None:
    (block,) = read(tmp_path, CONV, CONV_WEIGHTS).netfile.inputs
    assert (block.shape, block.channel_order, block.scale) == ((3, 6, 8), "rgb", 1 / 255)


def test_everything_that_stands_in_the_way_is_listed_in_order(tmp_path: Path) -> None:
    sections = "[crop]\n[convolution]\n[lstm]\n[convolutional]\nactivation=stair\n[route]\nlayers=9\n"
    problems = failure(tmp_path, sections).problems
    assert [p.message for p in problems] == [
        'layer 0: the section "crop" is not supported',
        'layer 1: the section "convolution" is not supported',
        'layer 2: the section "lstm" is not supported',
        'layer 3 [convolutional]: the activation "stair" is not supported',
        "layer 4 [route]: layers refers to layer 9",
    ]
    assert "did you mean [convolutional]?" in problems[1].hint
    assert all(p.position and p.position.line > NET.count("\n") for p in problems)


def test_shapes_that_do_not_go_together(tmp_path: Path) -> None:
    pooled = CONV + "[maxpool]\nstride=2\n"
    assert "adds values of different shapes (4×3×4, 4×6×8)" in str(failure(tmp_path, pooled + "[shortcut]\nfrom=-2\n"))
    joined = failure(tmp_path, pooled + "[route]\nlayers=-1,-2\n")
    assert "joins values of different sizes (4×3×4, 4×6×8)" in str(joined)
    assert "does not fit the image of 6×8" in str(failure(tmp_path, "[convolutional]\nsize=7\n"))


def test_channels_without_bound_are_refused_at_once(tmp_path: Path) -> None:
    sections = CONV + ("[route]\nlayers=" + "-1," * 100 + "\n") * 50
    assert "its output is larger than any image" in str(failure(tmp_path, sections, CONV_WEIGHTS))


def test_options_that_nobody_knows_are_mentioned(tmp_path: Path) -> None:
    notes = read(tmp_path, CONV + "fliters=9\n", CONV_WEIGHTS).notes
    assert any('what "fliters" says is not known here' in note for note in notes)
