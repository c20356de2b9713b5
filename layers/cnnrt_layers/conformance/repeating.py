"""Suites of the layers that repeat, pick or add up values along axes: Expand, Tile, Gather, CumulativeSum."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from cnnrt.layer import Array
from cnnrt.testing.case import Case, make_case
from cnnrt.testing.layer_suite import LayerSuite
from cnnrt_layers import CumulativeSum, Expand, Gather, Tile
from cnnrt_layers.conformance.draws import SCALES, SEEDS, Draw, tensor_shapes


@st.composite
def expands(draw: Draw) -> Case:
    """Draw repetition along any axes but the batch, and along new ones in front."""
    shape = draw(tensor_shapes(least_rank=2, most_rank=4))
    kept = [1 if draw(st.booleans()) else size for size in shape[1:]]
    target = [draw(st.integers(1, 4)) if size == 1 else draw(st.sampled_from([1, size])) for size in kept]
    if draw(st.booleans()):
        target = [1, *target]
        if draw(st.booleans()):
            target = [draw(st.integers(1, 3)), *target]
    return make_case(Expand(shape=tuple(target)), [(shape[0], *kept)], seed=draw(SEEDS))


@st.composite
def tiles(draw: Draw) -> Case:
    """Draw repeats of the last axes."""
    shape = draw(tensor_shapes(most_rank=4))
    repeats = draw(st.lists(st.integers(1, 3), min_size=1, max_size=len(shape)))
    return make_case(Tile(repeats=tuple(repeats)), [shape], seed=draw(SEEDS))


@st.composite
def gathers(draw: Draw) -> Case:
    """Draw places along any axis but the batch, some of them several times."""
    shape = draw(tensor_shapes(least_rank=2))
    axis = draw(st.integers(1, len(shape) - 1))
    indices = draw(st.lists(st.integers(-shape[axis], shape[axis] - 1), min_size=1, max_size=8))
    from_end = draw(st.sampled_from([0, len(shape)]))
    return make_case(Gather(axis=axis - from_end, indices=tuple(indices)), [shape], seed=draw(SEEDS))


@st.composite
def cumulative_sums(draw: Draw) -> Case:
    """Draw sums along any axis but the batch, both ways."""
    shape = draw(tensor_shapes(least_rank=2))
    axis = draw(st.integers(1, len(shape) - 1))
    from_end = draw(st.sampled_from([0, len(shape)]))
    layer = CumulativeSum(axis=axis - from_end, exclusive=draw(st.booleans()), reverse=draw(st.booleans()))
    return make_case(layer, [shape], seed=draw(SEEDS), scale=draw(SCALES))


class _Moving(LayerSuite):
    """Values are only moved: every result is exact."""

    @classmethod
    def allowed_error(cls, case: Case) -> tuple[Array, ...]:
        """Return zeros."""
        return tuple(np.zeros(shape) for shape in case.call.output_shapes)


class ExpandSuite(_Moving):
    """Expand."""

    layer = Expand

    @classmethod
    def cases(cls) -> SearchStrategy[Case]:
        """Return `expands`."""
        return expands()


class TileSuite(_Moving):
    """Tile."""

    layer = Tile

    @classmethod
    def cases(cls) -> SearchStrategy[Case]:
        """Return `tiles`."""
        return tiles()


class GatherSuite(_Moving):
    """Gather."""

    layer = Gather

    @classmethod
    def cases(cls) -> SearchStrategy[Case]:
        """Return `gathers`."""
        return gathers()


class CumulativeSumSuite(LayerSuite):
    """CumulativeSum."""

    layer = CumulativeSum

    @classmethod
    def cases(cls) -> SearchStrategy[Case]:
        """Return `cumulative_sums`."""
        return cumulative_sums()
