"""Random cases of the layers that compare, add up or normalise along axes, and of products of matrices."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from cnnrt.layer import Shape
from cnnrt.testing.case import Case, make_case
from cnnrt_layers import ArgMax, LayerNorm, LogSoftmax, MatMul, Normalize, Reduction
from cnnrt_layers.conformance.draws import BATCHES, SCALES, SEEDS, Draw, tensor_shapes
from cnnrt_layers.reduction import NEED_VALUES, REDUCE


@st.composite
def reductions(draw: Draw) -> Case:
    """Draw all operations along any axes; an empty batch only where something comes of it."""
    shape = draw(tensor_shapes())
    operation = draw(st.sampled_from(list(REDUCE)))
    axes = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    if operation in NEED_VALUES and shape[0] == 0:
        shape = (1, *shape[1:])
    stated = tuple(axis - draw(st.sampled_from([0, len(shape)])) for axis in axes)
    keepdims, coeff = draw(st.booleans()), draw(st.sampled_from([1.0, 1.0, -0.5]))
    if draw(st.booleans()):
        layer = Reduction(operation=operation, axes=stated, keepdims=keepdims, coeff=coeff)
    else:
        layer = Reduction(operation=operation, axis=draw(st.sampled_from([None, stated[0]])), keepdims=keepdims)
    return make_case(layer, [shape], seed=draw(SEEDS), coarse=draw(st.booleans()))


@st.composite
def arg_maxima(draw: Draw) -> Case:
    """Draw comparisons along an axis or of whole items, many values being equal."""
    shape = draw(tensor_shapes(least_rank=2))
    axis = draw(st.sampled_from([None, *range(1, len(shape))]))
    count = 1
    for size in shape[1:] if axis is None else shape[axis : axis + 1]:
        count *= size
    top_k = draw(st.integers(1, min(3, count)))
    layer = ArgMax(
        axis=axis,
        top_k=top_k,
        out_max_val=draw(st.booleans()),
        select_last=draw(st.booleans()),
        smallest=draw(st.booleans()),
        keepdims=axis is None or top_k > 1 or draw(st.booleans()),
    )
    return make_case(layer, [shape], seed=draw(SEEDS), coarse=True)


@st.composite
def log_softmaxes(draw: Draw) -> Case:
    """Draw them along any axis but the batch, with scores from flat to saturated."""
    shape = draw(tensor_shapes(least_rank=2))
    axis = draw(st.integers(1, len(shape) - 1)) - draw(st.sampled_from([0, len(shape)]))
    scale = draw(st.sampled_from([1.0, 1.0, 1e-3, 30.0, 1e3]))
    return make_case(LogSoftmax(axis=axis), [shape], seed=draw(SEEDS), scale=scale, coarse=draw(st.booleans()))


@st.composite
def layer_norms(draw: Draw) -> Case:
    """Draw normalisations of the last axes."""
    shape = draw(tensor_shapes(least_rank=2))
    axis = draw(st.integers(1, len(shape) - 1))
    weights: dict[str, Shape] = {name: shape[axis:] for name in ("scale", "bias") if draw(st.booleans())}
    layer = LayerNorm(axis=axis - draw(st.sampled_from([0, len(shape)])))
    return make_case(layer, [shape], weights, seed=draw(SEEDS), scale=draw(SCALES))


@st.composite
def normalizes(draw: Draw) -> Case:
    """Draw norms along any axis but the batch."""
    shape = draw(tensor_shapes(least_rank=2))
    axis = draw(st.integers(1, len(shape) - 1))
    layer = Normalize(
        axis=axis - draw(st.sampled_from([0, len(shape)])),
        across_spatial=draw(st.booleans()),
        p=draw(st.sampled_from([2.0, 2.0, 1.0, 3.0])),
        eps=draw(st.sampled_from([1e-10, 0.0, 0.1])),
    )
    weights = draw(st.sampled_from([{}, {"scale": (1,)}, {"scale": (shape[axis],)}]))
    return make_case(layer, [shape], weights, seed=draw(SEEDS), scale=draw(SCALES), coarse=draw(st.booleans()))


@st.composite
def mat_muls(draw: Draw) -> Case:
    """Draw products of matrices, rows and columns, with axes before them that are broadcast."""
    rows, inner, columns = (draw(st.integers(1, 5)) for _ in range(3))
    flips = draw(st.booleans()), draw(st.booleans())
    first = (inner, rows) if flips[0] else (rows, inner)
    second = (columns, inner) if flips[1] else (inner, columns)
    before = (draw(BATCHES), draw(st.integers(1, 3)))[: draw(st.integers(0, 2))]
    kind = draw(st.sampled_from(["equal", "equal", "row", "column", "broadcast"]))
    shapes: list[Shape] = [(*before, *first), (*before, *second)]
    if kind == "row":
        shapes[0] = (inner,)
    elif kind == "column":
        shapes[1] = (inner,)
    elif kind == "broadcast":
        shapes[1] = second
    layer = MatMul(transpose_a=flips[0], transpose_b=flips[1])
    return make_case(layer, shapes, seed=draw(SEEDS), scale=draw(SCALES))


REDUCING_CASES: dict[str, Callable[[], st.SearchStrategy[Case]]] = {
    "argmax": arg_maxima,
    "layernorm": layer_norms,
    "logsoftmax": log_softmaxes,
    "matmul": mat_muls,
    "normalize": normalizes,
    "reduction": reductions,
}
