"""Random cases of the layers that give images another size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from cnnrt.layer import Array, Layer, Shape
from cnnrt.testing.case import Case, frozen, make_case
from cnnrt_layers import Deconvolution, DepthToSpace, Interp, MaxUnpool, ReLU, Resize, ROIPooling, SpaceToDepth
from cnnrt_layers.conformance.draws import BATCHES, SCALES, SEEDS, SLOPES, Draw, image_shapes
from cnnrt_layers.resampling import COORDINATES, ROUNDINGS


@st.composite
def deconvolutions(draw: Draw) -> Case:
    """Draw transposed convolutions of every kind."""
    group = draw(st.integers(1, 3))
    channels, made = group * draw(st.integers(1, 4)), draw(st.integers(1, 4))
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    layer = Deconvolution(
        pad=draw(st.tuples(*[st.integers(0, 2)] * 4)),
        stride=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        dilation=(draw(st.integers(1, 2)), draw(st.integers(1, 2))),
        output_pad=(draw(st.integers(0, 2)), draw(st.integers(0, 2))),
        group=group,
    )
    shape = (draw(BATCHES), channels, draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    top, left, bottom, right = layer.pad
    for i, cut in enumerate((top + bottom, left + right)):
        extent = (shape[2 + i] - 1) * layer.stride[i] + layer.dilation[i] * (kernel[i] - 1) + 1
        assume(extent + layer.output_pad[i] > cut)
    weights: dict[str, Shape] = {"weight": (channels, made, *kernel)}
    if draw(st.booleans()):
        weights["bias"] = (made * group,)
    folded: tuple[Layer, ...] = (ReLU(negative_slope=draw(SLOPES)),) if draw(st.booleans()) else ()
    return make_case(layer, [shape], weights, seed=draw(SEEDS), scale=draw(SCALES), folded=folded)


@st.composite
def resizes(draw: Draw) -> Case:
    """Draw all modes, to a size, by a factor, or to the size of another image."""
    shape = draw(image_shapes(channels=4, size=7))
    keys: dict[str, Any] = {
        "mode": draw(st.sampled_from(["nearest", "linear", "cubic"])),
        "coordinates": draw(st.sampled_from(list(COORDINATES))),
        "rounding": draw(st.sampled_from(list(ROUNDINGS))),
        "cubic_coeff": draw(st.sampled_from([-0.75, -0.5])),
        "exclude_outside": draw(st.booleans()),
    }
    how = draw(st.sampled_from(["size", "scale", "second input"]))
    sizes = (draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    shapes: list[Shape] = [shape]
    if how == "size":
        keys["size"] = sizes
    elif how == "scale":
        keys["scale"] = tuple(draw(st.sampled_from([1.0, 2.0, 1.5, 0.75, 3.0])) for _ in range(draw(st.integers(1, 2))))
        assume(min(shape[2:]) > 1)  # three quarters of a single pixel are none
    else:
        shapes.append((shape[0], 1, *sizes))
    return make_case(Resize(**keys), shapes, seed=draw(SEEDS), scale=draw(SCALES))


@st.composite
def interps(draw: Draw) -> Case:
    """Draw sizes and factors, with edges cut off."""
    images, channels, height, width = draw(image_shapes(channels=4, size=7))
    cut = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    shape = (images, channels, height + sum(cut), width + sum(cut))
    keys = {"pad_beg": -cut[0], "pad_end": -cut[1]}
    shapes: list[Shape] = [shape]
    how = draw(st.sampled_from(["size", "factors", "second input"]))
    sizes = (draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    if how == "size":
        keys |= {"height": sizes[0], "width": sizes[1]}
    elif how == "factors":
        keys |= {"shrink_factor": draw(st.integers(1, 3)), "zoom_factor": draw(st.integers(1, 3))}
    else:
        shapes.append((images, 2, *sizes))
    return make_case(Interp(**keys), shapes, seed=draw(SEEDS), scale=draw(SCALES))


@st.composite
def depths_to_space(draw: Draw) -> Case:
    """Draw blocks of all sizes, in both orders."""
    images, channels, height, width = draw(image_shapes(channels=3, size=5))
    block = draw(st.integers(1, 3))
    layer = DepthToSpace(block=block, mode=draw(st.sampled_from(["DCR", "CRD"])))
    return make_case(layer, [(images, channels * block**2, height, width)], seed=draw(SEEDS))


@st.composite
def spaces_to_depth(draw: Draw) -> Case:
    """Draw blocks of all sizes, in both orders."""
    images, channels, height, width = draw(image_shapes(channels=3, size=4))
    block = draw(st.integers(1, 3))
    layer = SpaceToDepth(block=block, mode=draw(st.sampled_from(["DCR", "CRD"])))
    return make_case(layer, [(images, channels, height * block, width * block)], seed=draw(SEEDS))


@st.composite
def max_unpools(draw: Draw) -> Case:
    """Draw values with places of which some are beyond the image."""
    shape = draw(image_shapes(channels=3, size=5))
    how = draw(st.sampled_from(["size", "kernel", "third input"]))
    sizes = (draw(st.integers(1, 8)), draw(st.integers(1, 8)))
    shapes: list[Shape] = [shape, shape]
    if how == "size":
        layer = MaxUnpool(size=sizes)
    elif how == "kernel":
        layer = MaxUnpool(kernel_size=(2, 3), stride=(2, 1), pad=(0, 1, 0, 1))
    else:
        layer = MaxUnpool()
        shapes.append((shape[0], 2, *sizes))
    seed = draw(SEEDS)
    case = make_case(layer, shapes, seed=seed)
    pixels = case.call.output_shapes[0][2] * case.call.output_shapes[0][3]
    count = shape[2] * shape[3]
    rng = np.random.default_rng(seed)
    places = np.array(
        [[rng.permutation(max(count, pixels) + 2)[:count] - 1 for _ in range(shape[1])] for _ in range(shape[0])]
    )
    return _with_input(case, 1, places.reshape(shape))


@st.composite
def roi_poolings(draw: Draw) -> Case:
    """Draw regions inside, across and beyond the edges, some of images that are not there."""
    shape = draw(image_shapes(channels=3, size=8))
    regions = draw(st.sampled_from([count for count in (0, 1, 2, 4) if count != shape[0]]))
    layer = ROIPooling(
        pooled_h=draw(st.integers(1, 4)),
        pooled_w=draw(st.integers(1, 4)),
        spatial_scale=draw(st.sampled_from([1.0, 0.5, 0.0625])),
    )
    seed = draw(SEEDS)
    case = make_case(layer, [shape, (regions, 5)], seed=seed, coarse=draw(st.booleans()))
    rng = np.random.default_rng(seed)
    images = rng.integers(-1, shape[0] + 1, (regions, 1)) if draw(st.booleans()) else np.zeros((regions, 1))
    corners = rng.integers(-4, 24, (regions, 4)) / (2 * layer.spatial_scale)
    return _with_input(case, 1, np.concatenate([images, corners], axis=1))


def _with_input(case: Case, number: int, values: Array) -> Case:
    inputs = list(case.inputs)
    inputs[number] = frozen(values.astype(np.float32))
    return Case(case.call, case.seed, tuple(inputs), case.weights)


IMAGE_CASES: dict[str, Callable[[], st.SearchStrategy[Case]]] = {
    "deconvolution": deconvolutions,
    "depthtospace": depths_to_space,
    "interp": interps,
    "maxunpool": max_unpools,
    "resize": resizes,
    "roipooling": roi_poolings,
    "spacetodepth": spaces_to_depth,
}
