"""Modules of Torch7 as layers: what each becomes, what it computes, and what cannot be read, all of it at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnrt import Net, convert
from cnnrt.errors import CnnrtError, ImportFailure
from cnnrt.importer import ImportedModel
from cnnrt.layer import Array
from cnnrt_import_torch7.conformance import Identity, Longs, Written, binary, nn
from cnnrt_import_torch7.importer import Torch7Importer


def values(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def images() -> Array:
    return values(2, 4, 6, 6)


def read(folder: Path, module: Any) -> ImportedModel:
    path = folder / "net.t7"
    path.write_bytes(binary(module))
    return Torch7Importer().read([path])


def computed(folder: Path, module: Any, given: Array | None = None) -> Array:
    path = folder / "net.t7"
    path.write_bytes(binary(module))
    with Net(convert(path, folder / "net", overwrite=True).netfile) as net:
        result = net.compute(images() if given is None else given)
    assert isinstance(result, np.ndarray)
    return result


def problems(folder: Path, module: Any) -> list[str]:
    with pytest.raises(ImportFailure) as caught:
        read(folder, module)
    return [f"{p.message} | {p.hint or p.expected}" for p in caught.value.problems]


def conv(kind: str = "SpatialConvolution", outputs: int = 3, **fields: Any) -> Written:
    stated: dict[str, Any] = {"nInputPlane": 4, "nOutputPlane": outputs, "kW": 3, "kH": 3, "dW": 1, "dH": 1}
    stated |= {"weight": values(outputs, 4, 3, 3), "bias": values(outputs), **fields}
    return nn(kind, **{name: value for name, value in stated.items() if value is not None})


def pool(kind: str, **fields: Any) -> Written:
    return nn(kind, **{"kW": 3.0, "kH": 2.0, "dW": 2.0, "dH": 1.0, **fields})


# Module -> type and keys of the layer.
LAYERS: dict[str, tuple[Written, str, dict[str, Any]]] = {
    "a convolution of 2013": (conv(), "Convolution", {}),
    "padding for both": (conv(padding=2), "Convolution", {"pad": 2}),
    "padW and padH": (conv(padW=1, padH=2, dH=2), "Convolution", {"pad": (2, 1), "stride": (2, 1)}),
    "cudnn": (conv("cudnn.SpatialConvolution", groups=1, padW=1, padH=1), "Convolution", {"pad": 1}),
    "groups": (conv("cudnn.SpatialConvolution", 4, groups=2, weight=values(4, 2, 3, 3)), "Convolution", {"group": 2}),
    "dilated": (conv("SpatialDilatedConvolution", dilationW=2, dilationH=1), "Convolution", {"dilation": (1, 2)}),
    "a matrix of weights": (conv("SpatialConvolutionMM", weight=values(3, 36)), "Convolution", {}),
    "without a bias": (conv(bias=None), "Convolution", {}),
    "max pooling of 2013": (pool("SpatialMaxPooling"), "Pooling", {"pool": "max", "ceil_mode": False}),
    "max pooling, rounded up": (pool("SpatialMaxPooling", ceil_mode=True, padW=1, padH=0), "Pooling", {"pad": (0, 1)}),
    "dilated max pooling": (
        pool("SpatialDilatedMaxPooling", dilationW=1, dilationH=2),
        "Pooling",
        {"pool": "max", "dilation": (2, 1)},
    ),
    "mean pooling": (pool("SpatialAveragePooling", padW=1, padH=1, ceil_mode=True), "Pooling", {"pool": "mean"}),
    "mean of real pixels": (
        pool("SpatialAveragePooling", count_include_pad=False, ceil_mode=True),
        "Pooling",
        {"count_include_pad": False},
    ),
    "global pooling": (
        nn("SpatialAdaptiveAveragePooling", W=1, H=1),
        "Pooling",
        {"pool": "mean", "global_pooling": True},
    ),
    "LRN": (
        nn("SpatialCrossMapLRN", size=3, alpha=0.5, beta=0.75, k=2),
        "LRN",
        {"local_size": 3, "alpha": 0.5, "beta": 0.75, "k": 2.0},
    ),
    "LRN of cudnn": (nn("cudnn.SpatialCrossMapLRN", size=3, alpha=1, beta=1, K=4), "LRN", {"k": 4.0}),
    "a threshold": (nn("Threshold", threshold=1e-6, val=0.5), "Threshold", {"threshold": 1e-6, "value": 0.5}),
    "a threshold of zero": (nn("Threshold", threshold=0, val=0), "ReLU", {}),
    "leaky": (nn("LeakyReLU", negval=0.2), "ReLU", {"negative_slope": 0.2}),
    "random leaky": (nn("RReLU", lower=0.125, upper=0.375), "ReLU", {"negative_slope": 0.25}),
    "a view of features": (nn("View", size=Longs((144,))), "Flatten", {}),
    "a view with a batch": (nn("View", size=Longs((-1, 144))), "Flatten", {}),
    "a view of images": (nn("View", size=Longs((-1, 2, 6, 12))), "Reshape", {"shape": (0, 2, 6, 12)}),
    "a reshape of 2013": (nn("Reshape", size=Longs((144,)), batchsize=Longs((32, 144))), "Flatten", {}),
    "a reshape of images": (nn("Reshape", size=Longs((2, 72))), "Reshape", {"shape": (0, 2, 72)}),
    "dropout at first": (nn("Dropout", p=0.25), "Power", {"scale": 0.75}),
    "spatial dropout": (nn("SpatialDropout", p=0.5), "Power", {"scale": 0.5}),
    "transpose": (nn("Transpose", permutations=[[2.0, 3.0], [3.0, 4.0]]), "Permute", {"order": (0, 2, 3, 1)}),
}


@pytest.mark.parametrize("case", LAYERS)
def test_a_module_becomes_a_layer_that_computes(tmp_path: Path, case: str) -> None:
    module, type, keys = LAYERS[case]
    (block,) = read(tmp_path, module).netfile.layers
    assert block.type == type
    assert {
        key: pytest.approx(block.keys.get(key)) if isinstance(keys[key], float) else block.keys.get(key) for key in keys
    } == keys
    computed(tmp_path, module)


def norm(**fields: Any) -> Written:
    return nn("SpatialBatchNormalization", running_mean=values(4), eps=1e-3, **fields)


def channels(array: Array) -> Array:
    return array.reshape(1, -1, 1, 1)


def interpolated(x: Array, axis: int, size: int) -> Array:
    """Return x with `size` values along an axis, linearly between neighbours, the ends on the ends."""
    places = np.linspace(0, x.shape[axis] - 1, size)
    below = np.minimum(places.astype(int), x.shape[axis] - 2)
    part = (places - below).reshape(-1, *(1,) * (x.ndim - 1 - axis))
    result: Array = np.take(x, below, axis) * (1 - part) + np.take(x, below + 1, axis) * part
    return result


FUNCTIONS: dict[str, tuple[Any, Callable[[Array], Array]]] = {
    "Tanh": (nn("Tanh"), np.tanh),
    "Sigmoid": (nn("Sigmoid"), lambda x: 1 / (1 + np.exp(-x))),
    "ELU": (nn("ELU", alpha=0.5), lambda x: np.where(x > 0, x, 0.5 * np.expm1(x))),
    "HardTanh": (nn("HardTanh", min_val=-0.5, max_val=1), lambda x: np.clip(x, -0.5, 1)),
    "HardTanh of 2013": (nn("HardTanh"), lambda x: np.clip(x, -1, 1)),
    "ReLU6": (nn("ReLU6"), lambda x: np.clip(x, 0, 6)),
    "SoftPlus": (nn("SoftPlus", beta=1), lambda x: np.log1p(np.exp(x))),
    "SoftSign": (nn("SoftSign"), lambda x: x / (1 + abs(x))),
    "Abs": (nn("Abs"), abs),
    "Square": (nn("Square"), np.square),
    "Exp": (nn("Exp"), np.exp),
    "MulConstant": (nn("MulConstant", constant_scalar=3), lambda x: 3 * x),
    "AddConstant": (nn("AddConstant", constant_scalar=3), lambda x: x + 3),
    "Mul": (nn("Mul", weight=np.array([2], np.float32)), lambda x: 2 * x),
    "CMul": (nn("CMul", weight=values(1, 4, 1, 1), size=Longs((1, 4, 1, 1))), lambda x: x * values(1, 4, 1, 1)),
    "Add": (nn("Add", bias=values(4)), lambda x: x + channels(values(4))),
    "PReLU": (nn("PReLU", weight=values(4)), lambda x: np.where(x > 0, x, channels(values(4)) * x)),
    "SoftMax": (nn("SoftMax"), lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
    "LogSoftMax": (nn("LogSoftMax"), lambda x: x - np.log(np.exp(x).sum(1, keepdims=True))),
    "Dropout, second version": (nn("Sequential", nn("Dropout", p=0.9, v2=True), nn("Abs")), abs),
    "BatchNormalization": (
        norm(running_var=values(4) ** 2, affine=True, weight=values(4), bias=values(4)),
        lambda x: (
            (x - channels(values(4))) / np.sqrt(channels(values(4)) ** 2 + 1e-3) * channels(values(4))
            + channels(values(4))
        ),
    ),
    "BatchNormalization without weights": (
        norm(running_var=values(4) ** 2, affine=False),
        lambda x: (x - channels(values(4))) / np.sqrt(channels(values(4)) ** 2 + 1e-3),
    ),
    "BatchNormalization of 2014": (
        norm(running_std=abs(values(4))),
        lambda x: (x - channels(values(4))) * abs(channels(values(4))),
    ),
    "SpatialZeroPadding": (
        nn("SpatialZeroPadding", pad_l=1, pad_r=2, pad_t=0, pad_b=-1),
        lambda x: np.pad(x[:, :, :-1], ((0, 0), (0, 0), (0, 0), (1, 2))),
    ),
    "SpatialReflectionPadding": (
        nn("SpatialReflectionPadding", pad_l=1, pad_r=2, pad_t=0, pad_b=1),
        lambda x: np.pad(x, ((0, 0), (0, 0), (0, 1), (1, 2)), "reflect"),
    ),
    "SpatialUpSamplingNearest": (
        nn("SpatialUpSamplingNearest", scale_factor=2),
        lambda x: x.repeat(2, axis=2).repeat(2, axis=3),
    ),
    "SpatialUpSamplingBilinear": (
        nn("SpatialUpSamplingBilinear", scale_factor=2),
        lambda x: interpolated(interpolated(x, 2, 11), 3, 11),
    ),
    "SpatialUpSamplingBilinear to a size": (
        nn("SpatialUpSamplingBilinear", oheight=4, owidth=9),
        lambda x: interpolated(interpolated(x, 2, 4), 3, 9),
    ),
    "PixelShuffle": (
        nn("PixelShuffle", upscaleFactor=2),
        lambda x: x.reshape(2, 1, 2, 2, 6, 6).transpose(0, 1, 4, 2, 5, 3).reshape(2, 1, 12, 12),
    ),
    "SpatialLPPooling": (
        nn(
            "SpatialLPPooling",
            nn("Square"),
            nn("SpatialAveragePooling", kW=2, kH=2, dW=2, dH=2),
            nn("Sqrt"),
        ),
        lambda x: np.sqrt((x**2).reshape(2, 4, 3, 2, 3, 2).mean(axis=(3, 5))),
    ),
    "SoftMin": (nn("SoftMin"), lambda x: np.exp(-x) / np.exp(-x).sum(1, keepdims=True)),
    "LogSigmoid": (nn("LogSigmoid"), lambda x: -np.log1p(np.exp(-x))),
    "Narrow": (nn("Narrow", dimension=3, index=2, length=4), lambda x: x[:, :, 1:5]),
    "Narrow from the end": (nn("Narrow", dimension=-1, index=3, length=-2), lambda x: x[:, :, :, 2:-1]),
    "Narrow to the end, of one image": (nn("Narrow", dimension=1, index=2, length=-1), lambda x: x[:, 1:]),
    "Select": (nn("Select", dimension=3, index=2), lambda x: x[:, :, 1]),
    "Select from the end": (nn("Select", dimension=2, index=-1), lambda x: x[:, -1]),
    "Padding before": (
        nn("Padding", dim=1, pad=-2, nInputDim=3, value=7, index=1),
        lambda x: np.pad(x, ((0, 0), (2, 0), (0, 0), (0, 0)), constant_values=7),
    ),
    "Padding behind": (
        nn("Padding", dim=4, pad=3, value=0, index=1),
        lambda x: np.pad(x, ((0, 0), (0, 0), (0, 0), (0, 3))),
    ),
    "Sum": (nn("Sum", dimension=2, nInputDims=3), lambda x: x.sum(axis=2)),
    "a Sum that is a mean": (
        nn("Sum", dimension=2, sizeAverage=True, squeeze=False),
        lambda x: x.mean(1, keepdims=True),
    ),
    "Mean": (nn("Mean", dimension=4), lambda x: x.mean(axis=3)),
    "Max": (nn("Max", dimension=-1), lambda x: x.max(axis=3)),
    "Min": (nn("Min", dimension=3), lambda x: x.min(axis=2)),
    "Normalize": (
        nn("Sequential", nn("View", size=Longs((144,))), nn("Normalize", p=2, eps=0.5)),
        lambda x: x.reshape(2, -1) / np.sqrt((x.reshape(2, -1) ** 2).sum(1, keepdims=True) + 0.5),
    ),
    "DepthConcat": (
        nn("DepthConcat", nn("Abs"), nn("Square"), dimension=2),
        lambda x: np.concatenate([abs(x), x**2], axis=1),
    ),
    "CDivTable": (
        nn("Sequential", nn("ConcatTable", nn("Abs"), nn("Exp")), nn("CDivTable")),
        lambda x: abs(x) / np.exp(x),
    ),
    "NarrowTable": (
        nn(
            "Sequential",
            nn("ConcatTable", nn("Abs"), nn("Square"), nn("Exp")),
            nn("NarrowTable", offset=2, length=2),
            nn("CMinTable"),
        ),
        lambda x: np.minimum(x**2, np.exp(x)),
    ),
    "a sum over windows": (
        nn("SpatialAveragePooling", kW=2, kH=2, dW=2, dH=2, divide=False),
        lambda x: x.reshape(2, 4, 3, 2, 3, 2).sum(axis=(3, 5)),
    ),
    "SpatialSubSampling": (
        nn("SpatialSubSampling", nInputPlane=4, kW=2, kH=2, dW=2, dH=2, weight=values(4), bias=values(4)),
        lambda x: x.reshape(2, 4, 3, 2, 3, 2).sum(axis=(3, 5)) * channels(values(4)) + channels(values(4)),
    ),
    "Concat": (
        nn("Concat", nn("Abs"), nn("Square"), dimension=2),
        lambda x: np.concatenate([abs(x), x**2], axis=1),
    ),
    "ConcatTable and CAddTable": (
        nn("Sequential", nn("ConcatTable", nn("Identity"), nn("Square")), nn("CAddTable")),
        lambda x: x + x**2,
    ),
    "CSubTable": (
        nn("Sequential", nn("ConcatTable", nn("Abs"), nn("Square")), nn("CSubTable")),
        lambda x: abs(x) - x**2,
    ),
    "CMulTable": (
        nn("Sequential", nn("ConcatTable", nn("Abs"), nn("Square")), nn("CMulTable")),
        lambda x: abs(x) * x**2,
    ),
    "JoinTable of a batch": (
        nn("Sequential", nn("ConcatTable", nn("Abs"), nn("Square")), nn("JoinTable", dimension=3)),
        lambda x: np.concatenate([abs(x), x**2], axis=2),
    ),
    "JoinTable of one image": (
        nn("Sequential", nn("ConcatTable", nn("Abs"), nn("Square")), nn("JoinTable", dimension=1, nInputDims=3)),
        lambda x: np.concatenate([abs(x), x**2], axis=1),
    ),
    "ParallelTable and SelectTable": (
        nn(
            "Sequential",
            nn("ConcatTable", nn("Abs"), nn("Square")),
            nn("ParallelTable", nn("MulConstant", constant_scalar=2), nn("Exp")),
            nn("SelectTable", index=-2),
        ),
        lambda x: 2 * abs(x),
    ),
    "FlattenTable": (
        nn(
            "Sequential",
            nn("ConcatTable", nn("Abs"), nn("ConcatTable", nn("Square"), nn("Exp"))),
            nn("FlattenTable"),
            nn("CMaxTable"),
        ),
        lambda x: np.maximum(np.maximum(abs(x), x**2), np.exp(x)),
    ),
}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_what_a_module_computes(tmp_path: Path, case: str) -> None:
    module, function = FUNCTIONS[case]
    np.testing.assert_allclose(computed(tmp_path, module), function(images()), rtol=1e-4, atol=1e-5)


def around(x: Array, kernel: Array) -> Array:
    """Return, for each pixel, the mean of what surrounds it in all channels as far as it lies in the image, weighed."""
    rows, columns = (n // 2 for n in kernel.shape)
    padded = np.pad(x, ((0, 0), (0, 0), (rows, rows), (columns, columns)))
    inside = np.pad(np.ones(x.shape[2:]), ((rows, rows), (columns, columns)))
    sums, weights = np.zeros((len(x), 1, *x.shape[2:])), np.zeros(x.shape[2:])
    for (i, j), weight in np.ndenumerate(kernel):
        window = (slice(i, i + x.shape[2]), slice(j, j + x.shape[3]))
        sums += weight * padded[:, :, window[0], window[1]].mean(axis=1, keepdims=True)
        weights += weight * inside[window]
    return np.asarray(sums / weights)


def share_inside(shape: tuple[int, int], kernel: Array) -> Array:
    """Return how much of the kernel lies inside of the image."""
    bigger = np.pad(np.ones(shape), [(n // 2, n // 2) for n in kernel.shape])
    windows = np.lib.stride_tricks.sliding_window_view(bigger, kernel.shape)
    return np.asarray((windows * (kernel / kernel.sum())).sum(axis=(2, 3)))


KERNEL = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1], [0, 1, 0], [0, 0, 3]], np.float32)
LINE = np.array([1, 3, 2], np.float32)


@pytest.mark.parametrize("kernel", [KERNEL, LINE], ids=["of two dimensions", "of one"])
def test_neighbourhoods_are_what_lies_in_the_image(tmp_path: Path, kernel: Array) -> None:
    whole = kernel if kernel.ndim == 2 else np.outer(kernel, kernel)
    subtracted = nn("SpatialSubtractiveNormalization", nInputPlane=4, kernel=kernel / 7)
    less = images() - around(images(), whole)
    np.testing.assert_allclose(computed(tmp_path, subtracted), less, rtol=1e-4, atol=1e-5)

    divided = nn("SpatialDivisiveNormalization", nInputPlane=4, kernel=kernel, threshold=0.9, thresval=0.5)
    share = share_inside((6, 6), whole)
    deviation = np.sqrt(around(images() ** 2, whole) * share) / share
    assert (deviation > 0.9).any()
    assert (deviation < 0.9).any()
    quotient = images() / np.where(deviation > 0.9, deviation, 0.5)
    np.testing.assert_allclose(computed(tmp_path, divided), quotient, rtol=1e-4, atol=1e-5)


def test_contrast_is_normalised_by_what_the_module_holds(tmp_path: Path) -> None:
    parts = nn(
        "Sequential",
        nn("SpatialSubtractiveNormalization", nInputPlane=4, kernel=KERNEL),
        nn("SpatialDivisiveNormalization", nInputPlane=4, kernel=KERNEL, threshold=1e-4, thresval=1e-4),
    )
    found = computed(tmp_path, nn("SpatialContrastiveNormalization", nInputPlane=4, normalizer=parts))
    np.testing.assert_array_equal(found, computed(tmp_path, parts))


def test_branches_of_different_sizes_are_refused_when_the_network_runs(tmp_path: Path) -> None:
    with pytest.raises(CnnrtError, match="DepthConcat"):
        computed(tmp_path, nn("DepthConcat", nn("Abs"), conv(), dimension=2))


def test_kernels_without_a_middle_or_a_sum_are_refused(tmp_path: Path) -> None:
    for kernel, message in ((np.ones((2, 3), np.float32), "no kernel with a middle"), (np.zeros(3), "have no sum")):
        found = problems(tmp_path, nn("SpatialSubtractiveNormalization", nInputPlane=4, kernel=kernel))
        assert message in found[0]


def test_what_cannot_be_done_along_a_dimension_is_refused(tmp_path: Path) -> None:
    module = nn(
        "Concat",
        nn("Narrow", dimension=5, index=1),
        nn("Select", dimension=2, index=0),
        nn("Padding", dim=2, pad=1, index=3),
        nn("Normalize", p=0.5),
        nn("Max", dimension=0),
        dimension=2,
    )
    assert problems(tmp_path, module) == [
        "module 1 (nn.Narrow): it works along dimension 5 | one of an image",
        "module 2 (nn.Select): it selects place 0 | places from 1",
        "module 3 (nn.Padding): it pads between values | index 1",
        "module 4 (nn.Normalize): a norm of p 0.5 | p from 1",
        "module 5 (nn.Max): it works along dimension 0 | one of an image",
    ]


def test_a_table_of_connections_is_filled_up_with_zeros(tmp_path: Path) -> None:
    table = np.array([[1, 1], [3, 1], [4, 2]], np.float64)
    module = conv("SpatialConvolutionMap", 2, connTable=table, weight=values(3, 3, 3), bias=values(2))
    whole = np.zeros((2, 4, 3, 3), np.float32)
    whole[0, 0], whole[0, 2], whole[1, 3] = values(3, 3, 3)
    wanted = computed(tmp_path, conv(outputs=2, weight=whole, bias=values(2)))
    np.testing.assert_array_equal(computed(tmp_path, module), wanted)


def test_a_transposed_convolution_undoes_the_size_of_its_convolution(tmp_path: Path) -> None:
    module = conv("SpatialFullConvolution", 4, weight=values(4, 4, 3, 3), dW=2, dH=2, padW=1, padH=1, adjW=1, adjH=1)
    result = computed(tmp_path, module)
    assert result.shape == (2, 4, 12, 12)
    # The centre of the kernel falls upon even pixels, where with a stride of 2 no other value of it does.
    centre = np.einsum("nchw,co->nohw", images(), values(4, 4, 3, 3)[:, :, 1, 1]) + channels(values(4))
    np.testing.assert_allclose(result[:, :, ::2, ::2], centre, atol=1e-4)


def test_names_of_modules_are_kept(tmp_path: Path) -> None:
    netfile = read(tmp_path, nn("Sequential", nn("Abs", name="first"), nn("Abs"), nn("Abs", name="first"))).netfile
    assert [block.name for block in netfile.layers] == ["first", "Abs2", "first_2"]


def test_a_checkpoint_is_a_table_with_a_network(tmp_path: Path) -> None:
    model = read(tmp_path, {"epoch": 3, "optimState": {"t": 1}, "model": nn("Sequential", nn("Abs"))})
    assert [block.type for block in model.netfile.layers] == ["AbsVal"]
    assert 'the file is a table; its network is read from "model"' in model.notes


def test_a_second_file_may_normalise_images(tmp_path: Path) -> None:
    (tmp_path / "net.t7").write_bytes(binary(nn("Abs")))
    (tmp_path / "pre.t7").write_bytes(binary({"mean": values(4), "std": abs(values(4))}))
    done = convert([tmp_path / "net.t7", tmp_path / "pre.t7"], tmp_path / "net")
    with Net(done.netfile) as net:
        wanted = abs((images() - channels(values(4))) / channels(abs(values(4))))
        np.testing.assert_allclose(net.compute(images()), wanted, rtol=1e-5)


# nn.gModule: nodes as nngraph leaves them.


def node(module: Any = None, **data: Any) -> Written:
    inside = {"mapindex": {}, "annotations": {}, **data}
    if module is not None:
        inside["module"] = module
    return Written("nngraph.Node", {"data": inside, "children": [], "visited": False})


def connect(parent: Written, child: Written, place: int = 1) -> None:
    parent.fields["children"].append(child)
    child.fields["data"]["mapindex"][Identity(parent.fields["data"])] = place


def gmodule(start: Written, end: Written, nodes: Sequence[Written]) -> Written:
    return nn("gModule", forwardnodes=[start, *nodes, end], innode=start, outnode=end)


def test_a_graph_is_read_by_its_nodes(tmp_path: Path) -> None:
    start, end = node(), node()
    absolute, square, joined = node(nn("Abs")), node(nn("Square")), node(nn("CSubTable"))
    for parent, child, place in ((start, absolute, 1), (start, square, 1), (absolute, joined, 2), (square, joined, 1)):
        connect(parent, child, place)
    connect(joined, end)
    found = computed(tmp_path, gmodule(start, end, [absolute, square, joined]))
    np.testing.assert_allclose(found, images() ** 2 - abs(images()), rtol=1e-5, atol=1e-6)


def test_a_graph_splits_tables(tmp_path: Path) -> None:
    start, end = node(), node()
    both = node(nn("ConcatTable", nn("Abs"), nn("Square")))
    second = node(selectindex=2)
    connect(start, both)
    connect(both, second)
    connect(second, end)
    np.testing.assert_allclose(computed(tmp_path, gmodule(start, end, [both, second])), images() ** 2, rtol=1e-5)


# What cannot be read.


def test_everything_that_stands_in_the_way_is_listed_with_its_place(tmp_path: Path) -> None:
    module = nn(
        "Sequential",
        nn("SpatialConvolutionLocal"),
        nn("Concat", nn("SpatialConvolutoin"), conv(weight=values(3, 4, 2, 2)), dimension=2),
        nn("VolumetricMaxPooling", name="pool3d"),
        nn("my.Module"),
        conv(kW=1.5),
        conv(weight=None),
        nn("SpatialMaxPooling", kW=2, kH=2, padW=2, padH=0),
        nn("CAddTable"),
    )
    found = problems(tmp_path, module)
    wanted = [
        "module 1 (nn.SpatialConvolutionLocal): it is not supported | each place has weights of its own",
        "module 2.1 (nn.SpatialConvolutoin): it is not supported | the nearest that is supported is SpatialConvolution",
        "module 2.2 (nn.SpatialConvolution): its weight is 3×4×2×2 | 3×4×3×3",
        'module 3 (nn.VolumetricMaxPooling) "pool3d": it is not supported | only modules of images',
        "module 4 (my.Module): it is not supported | ",
        "module 5 (nn.SpatialConvolution): its kW is 1.5 | a whole number of at least 1",
    ]
    for text, start in zip(found, wanted, strict=False):
        assert text.startswith(start)
    rest = "\n".join(found)
    assert "module 6 (nn.SpatialConvolution): it has no weight | was the model cleared" in rest
    assert "module 7 (nn.SpatialMaxPooling): padding of 0×2 for windows of 2×2" in rest
    assert "module 8 (nn.CAddTable)" not in rest  # what it is handed comes from a problem


def test_values_and_tables_are_not_mixed_up(tmp_path: Path) -> None:
    table = nn("ConcatTable", nn("Abs"), nn("Square"))
    assert "it is handed a table of values" in problems(tmp_path, nn("Sequential", table, nn("Abs")))[0]
    assert "it is handed no table of values" in problems(tmp_path, nn("CAddTable"))[0]
    assert (
        "for another number of values" in problems(tmp_path, nn("Sequential", table, nn("ParallelTable", nn("Abs"))))[0]
    )
    assert "the table does not have" in problems(tmp_path, nn("Sequential", table, nn("SelectTable", index=3)))[0]


def test_modules_that_hold_themselves_are_refused(tmp_path: Path) -> None:
    loop = nn("Sequential", nn("Abs"))
    loop.fields["modules"].append(loop)
    assert any("more than 60 deep" in text for text in problems(tmp_path, loop))


def test_modules_that_hold_the_last_one_twice_are_refused(tmp_path: Path) -> None:
    inner = nn("Identity")
    for _ in range(40):
        inner = nn("Sequential", inner, inner)
    assert any("more than 20,000 modules" in text for text in problems(tmp_path, inner))


def test_a_network_that_computes_nothing_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path, nn("Sequential", nn("Identity")))[0].startswith("the network computes nothing")
