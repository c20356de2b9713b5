"""What random cases of several kinds of layer draw alike: seeds, scales, shapes."""

from __future__ import annotations

from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32 - 1)
SCALES = st.sampled_from([1.0, 1.0, 1e-3, 1e3])
BATCHES = st.sampled_from([1, 2, 3, 5, 0])
SLOPES = st.sampled_from([0.0, 0.1, -0.5, 2.0])

Draw = st.DrawFn


@st.composite
def image_shapes(draw: Draw, *, channels: int = 8, size: int = 9) -> tuple[int, int, int, int]:
    """Draw (images, channels, rows, columns); the batch may be empty."""
    sizes = st.integers(1, size)
    return draw(BATCHES), draw(st.integers(1, channels)), draw(sizes), draw(sizes)


@st.composite
def tensor_shapes(draw: Draw, *, least_rank: int = 1, most_rank: int = 5) -> tuple[int, ...]:
    """Draw a shape of any rank in between; the batch, its first size, may be empty."""
    rank = draw(st.integers(least_rank, most_rank))
    return (draw(BATCHES), *(draw(st.integers(1, 6)) for _ in range(rank - 1)))
