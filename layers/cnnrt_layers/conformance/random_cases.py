"""Random cases of every layer: odd sizes, lopsided padding, empty batches, whatever the layer allows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from cnnrt.layer import Layer, Shape
from cnnrt.testing.case import Case, make_case
from cnnrt_layers import (
    LRN,
    Accuracy,
    BatchNorm,
    Clip,
    Concat,
    Convolution,
    Dropout,
    Eltwise,
    Flatten,
    FullyConnected,
    Pooling,
    ReLU,
    Scale,
    Softmax,
)
from cnnrt_layers.conformance.detection_cases import DETECTION_CASES
from cnnrt_layers.conformance.draws import BATCHES, SCALES, SEEDS, SLOPES, Draw, image_shapes, tensor_shapes
from cnnrt_layers.conformance.image_cases import IMAGE_CASES
from cnnrt_layers.conformance.moving_cases import MOVING_CASES
from cnnrt_layers.conformance.reducing_cases import REDUCING_CASES
from cnnrt_layers.eltwise import COMBINE, PAIRS


def random_cases(layer_type: str) -> st.SearchStrategy[Case]:
    """Return a strategy of cases of a layer type; KeyError where the suite knows none."""
    return RANDOM_CASES[layer_type.lower()]()


@st.composite
def folded_relus(draw: Draw) -> tuple[Layer, ...]:
    """Draw a ReLU to fold in, or nothing."""
    return (ReLU(negative_slope=draw(SLOPES)),) if draw(st.booleans()) else ()


@st.composite
def folded_activations(draw: Draw) -> tuple[Layer, ...]:
    """Draw a ReLU or a Clip to fold in, or nothing."""
    clips = st.sampled_from([Clip(min=0, max=6), Clip(max=0.5), Clip(min=-1)])
    return (draw(clips),) if draw(st.integers(0, 3)) == 0 else draw(folded_relus())


@st.composite
def convolutions(draw: Draw) -> Case:
    """Draw convolutions of every kind."""
    # Kinds that kernels specialise in are drawn on purpose: by chance they would be rare.
    kind = draw(st.sampled_from(["any", "any", "pointwise", "depthwise", *["square"] * 5]))
    plain = kind == "pointwise" and draw(st.booleans())
    group = draw(st.integers(1, 8 if kind == "depthwise" else 3))
    taken = 1 if kind == "depthwise" else draw(st.integers(1, 6))
    filters = group * draw(st.integers(1, 2 if kind == "depthwise" else 6))
    kernel = (1, 1) if kind == "pointwise" else (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    dilation = (1, 1) if kind == "pointwise" else (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    stride = (1, 1) if plain else (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    if kind == "square":  # what Winograd's filtering is made for
        step = draw(st.sampled_from([1, 1, 2, 2, 3, 4]))
        taps = draw(st.integers(2, 5))
        side = min(step * taps - draw(st.integers(0, step - 1)), 11)
        kernel, dilation, stride = (side, side), (1, 1), (step, step)
        group = 1 if step > 1 else group
        filters = group * draw(st.integers(1, 6))
    top, left, bottom, right = (0 if plain else draw(st.integers(0, 3)) for _ in range(4))
    height = max(1, dilation[0] * (kernel[0] - 1) + 1 - top - bottom) + draw(st.integers(0, 9))
    width = max(1, dilation[1] * (kernel[1] - 1) + 1 - left - right) + draw(st.integers(0, 9))
    weight_shapes: dict[str, Shape] = {"weight": (filters, taken, *kernel)}
    if draw(st.booleans()):
        weight_shapes["bias"] = (filters,)
    return make_case(
        Convolution(pad=(top, left, bottom, right), stride=stride, dilation=dilation, group=group),
        [(draw(BATCHES), group * taken, height, width)],
        weight_shapes,
        seed=draw(SEEDS),
        scale=draw(SCALES),
        folded=draw(folded_activations()),
    )


@st.composite
def poolings(draw: Draw) -> Case:
    """Draw poolings, some of them global, some with gaps, some that give places."""
    pool = draw(st.sampled_from(["max", "max", "mean", "mean", "lp"]))
    counted = draw(st.booleans())
    if draw(st.integers(0, 5)) == 0:
        layer = Pooling(pool=pool, global_pooling=True, count_include_pad=counted)
        shape = draw(image_shapes())
    else:
        kernel = draw(st.integers(1, 5)), draw(st.integers(1, 5))
        dilation = (draw(st.integers(1, 3)), draw(st.integers(1, 2))) if draw(st.integers(0, 4)) == 0 else (1, 1)
        rows, columns = ((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
        top, bottom = draw(st.integers(0, rows - 1)), draw(st.integers(0, rows - 1))
        left, right = draw(st.integers(0, columns - 1)), draw(st.integers(0, columns - 1))
        layer = Pooling(
            pool=pool,
            p=draw(st.sampled_from([2.0, 1.0, 3.0])) if pool == "lp" else 2.0,
            kernel_size=kernel,
            stride=(draw(st.integers(1, 6)), draw(st.integers(1, 6))),
            dilation=dilation,
            pad=(top, left, bottom, right),
            mask=pool == "max" and draw(st.integers(0, 4)) == 0,
            ceil_mode=draw(st.booleans()),
            count_include_pad=counted,
        )
        height = max(1, rows - top - bottom) + draw(st.integers(0, 9))
        width = max(1, columns - left - right) + draw(st.integers(0, 9))
        shape = (draw(BATCHES), draw(st.integers(1, 5)), height, width)
    folded = () if layer.mask else draw(folded_relus())
    return make_case(layer, [shape], seed=draw(SEEDS), scale=draw(SCALES), coarse=draw(st.booleans()), folded=folded)


@st.composite
def lrns(draw: Draw) -> Case:
    """Draw normalisations across and within channels."""
    layer = LRN(
        local_size=draw(st.sampled_from([1, 3, 5, 7, 21])),
        alpha=draw(st.sampled_from([1e-4, 0.05, 1.0, 3.0])),
        beta=draw(st.sampled_from([0.75, 0.5, 1.0, 0.3])),
        k=draw(st.sampled_from([1.0, 2.0, 0.5])),
        norm_region=draw(st.sampled_from(["across_channels", "within_channel"])),
    )
    return make_case(layer, [draw(image_shapes(channels=12))], seed=draw(SEEDS), scale=draw(SCALES))


@st.composite
def fully_connecteds(draw: Draw) -> Case:
    """Draw matrix products, with weights stored as a matrix or as a flat list."""
    shape = draw(tensor_shapes(least_rank=2, most_rank=4))
    axis = draw(st.sampled_from([1, 1, 1, -1, len(shape) - 1]))
    layer = FullyConnected(axis=axis)
    _, features = layer.features(shape)
    outputs = draw(st.integers(1, 40))
    weight_shapes = {"weight": (outputs * features,) if draw(st.booleans()) else (outputs, features)}
    if draw(st.booleans()):
        weight_shapes["bias"] = (outputs,)
    folded = draw(folded_activations())
    return make_case(layer, [shape], weight_shapes, seed=draw(SEEDS), scale=draw(SCALES), folded=folded)


@st.composite
def batch_norms(draw: Draw) -> Case:
    """Draw normalisations with and without scale and shift."""
    shape = draw(tensor_shapes(least_rank=2))
    seed, scale = draw(SEEDS), draw(SCALES)
    rng = np.random.default_rng(seed + 1)
    weights = {"mean": rng.standard_normal(shape[1]) * scale, "variance": rng.random(shape[1]) * scale**2}
    weights |= {name: rng.standard_normal(shape[1]) for name in ("scale", "shift") if draw(st.booleans())}
    layer = BatchNorm(epsilon=draw(st.sampled_from([1e-5, 1e-3, 0.5])))
    return make_case(layer, [shape], weights=weights, seed=seed, scale=scale, folded=draw(folded_activations()))


@st.composite
def relus(draw: Draw) -> Case:
    """Draw plain and leaky ReLUs."""
    return make_case(ReLU(negative_slope=draw(SLOPES)), [draw(tensor_shapes())], seed=draw(SEEDS), scale=draw(SCALES))


@st.composite
def softmaxes(draw: Draw) -> Case:
    """Draw softmaxes along any axis but the batch, with scores from flat to saturated."""
    # Not along the batch, which may be empty.
    shape = draw(tensor_shapes(least_rank=2))
    axis = draw(st.integers(1, len(shape) - 1)) - draw(st.sampled_from([0, len(shape)]))
    scale = draw(st.sampled_from([1.0, 1.0, 1e-3, 30.0, 1e3]))
    return make_case(Softmax(axis=axis), [shape], seed=draw(SEEDS), scale=scale, coarse=draw(st.booleans()))


@st.composite
def accuracies(draw: Draw) -> Case:
    """Draw accuracies, with classes that score alike."""
    images, classes = draw(BATCHES), draw(st.integers(1, 9))
    seed = draw(SEEDS)
    labels = np.random.default_rng(seed + 1).integers(0, classes, (images, 1, 1, 1))
    return make_case(
        Accuracy(topk=draw(st.integers(1, classes))),
        [(images, classes, 1, 1) if draw(st.booleans()) else (images, classes)],
        weights={"labels": labels},
        seed=seed,
        scale=draw(SCALES),
        coarse=draw(st.booleans()),
    )


@st.composite
def concats(draw: Draw) -> Case:
    """Draw joins of one to four inputs along any axis."""
    shape = draw(tensor_shapes())
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    shapes = [tuple(n if i == axis % len(shape) else size for i, size in enumerate(shape)) for n in lengths]
    return make_case(Concat(axis=axis), shapes, seed=draw(SEEDS))


@st.composite
def dropouts(draw: Draw) -> Case:
    """Draw dropouts."""
    return make_case(Dropout(dropout_ratio=draw(st.floats(0, 1))), [draw(tensor_shapes())], seed=draw(SEEDS))


@st.composite
def flattens(draw: Draw) -> Case:
    """Draw flattenings of some of the dimensions."""
    shape = draw(tensor_shapes())
    first = draw(st.integers(0, len(shape) - 1))
    last = draw(st.integers(first, len(shape) - 1))
    from_end = draw(st.sampled_from([0, len(shape)]))
    return make_case(Flatten(axis=first - from_end, end_axis=last - from_end), [shape], seed=draw(SEEDS))


@st.composite
def eltwises(draw: Draw) -> Case:
    """Draw combinations of one to four inputs, some of them broadcast."""
    operation = draw(st.sampled_from(list(COMBINE)))
    count = 2 if operation in PAIRS else draw(st.integers(1, 4))
    coeff = [draw(st.sampled_from([1.0, -1.0, 0.25, 3.7])) for _ in range(count)]
    layer = Eltwise(operation=operation, coeff=tuple(coeff) if operation == "sum" and draw(st.booleans()) else ())
    shapes = [draw(tensor_shapes())] * count
    if draw(st.booleans()):
        shapes = [draw(broadcast_shapes(shape)) for shape in shapes]
    # Nothing is folded into a layer that does nothing: a pass drops it before.
    folded = () if layer.is_identity(shapes) else draw(folded_activations())
    return make_case(layer, shapes, seed=draw(SEEDS), scale=draw(SCALES), folded=folded)


@st.composite
def broadcast_shapes(draw: Draw, shape: Shape) -> Shape:
    """Draw a shape that fits this one: some axes of length 1, the first ones missing."""
    kept = tuple(1 if draw(st.booleans()) else size for size in shape)
    return kept[draw(st.integers(0, len(shape) - 1)) :]


@st.composite
def scales(draw: Draw) -> Case:
    """Draw factors and offsets along some of the axes, or a second input as the factors."""
    shape = draw(tensor_shapes(least_rank=2))
    first = draw(st.integers(1, len(shape) - 1))
    pattern = shape[first : draw(st.integers(first, len(shape)))]
    second = [pattern] if draw(st.booleans()) else []
    weights = {} if second else {"scale": pattern}
    if draw(st.booleans()):
        weights["bias"] = pattern
    layer = Scale(axis=first - draw(st.sampled_from([0, len(shape)])))
    return make_case(
        layer, [shape, *second], weights, seed=draw(SEEDS), scale=draw(SCALES), folded=draw(folded_activations())
    )


RANDOM_CASES: dict[str, Callable[[], st.SearchStrategy[Case]]] = {
    "accuracy": accuracies,
    "batchnorm": batch_norms,
    "concat": concats,
    "convolution": convolutions,
    "dropout": dropouts,
    "eltwise": eltwises,
    "flatten": flattens,
    "fullyconnected": fully_connecteds,
    "lrn": lrns,
    "pooling": poolings,
    "relu": relus,
    "scale": scales,
    "softmax": softmaxes,
    **MOVING_CASES,
    **IMAGE_CASES,
    **REDUCING_CASES,
    **DETECTION_CASES,
}
"""The layers for which made-up calls will not do, by type in lower case."""
