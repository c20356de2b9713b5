"""Local response normalisation: every value is divided by how strong its neighbourhood is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import KeyValueError
from cnnrt.keys import choice, integer, number
from cnnrt.layer import Array, Layer, Part, Place, Shape, expect_rank


@attrs.frozen(kw_only=True)
class LRN(Layer):
    """Damps each value by the squares of its neighbours, across channels or within one.

    Input and output (N, C, H, W). The neighbourhood is centred; beyond the edges there are zeros. Across channels it is
    the same pixel of `local_size` channels; within a channel it is a square of `local_size` × `local_size` pixels.

    Alpha is divided by the size of the neighbourhood as stated, also at the edges, as in Caffe. Frameworks that do
    not divide it (the formula of Krizhevsky et al., NIPS 2012, section 3.3; TensorFlow) state an alpha that is
    `local_size` times smaller. Within a channel the constant is 1 whatever `k` says, as in Caffe.
    """

    type = "LRN"
    formula = """
        across_channels:  y[n, c, i, j] = x[n, c, i, j] / (k + alpha / local_size * S) ** beta
                          S = sum of x[n, d, i, j] ** 2 over |d - c| <= (local_size - 1) / 2
        within_channel:   y[n, c, i, j] = x[n, c, i, j] / (1 + alpha / local_size ** 2 * S) ** beta
                          S = sum of x[n, c, a, b] ** 2 over |a - i|, |b - j| <= (local_size - 1) / 2
    """
    example = """
        layer {
          type: "LRN"
          name: "norm1"
          local_size: 5
          alpha: 0.0001
          beta: 0.75
          norm_region: "across_channels"
        }
    """
    suite = "cnnrt_layers.conformance.suites:LRNSuite"

    local_size: int = integer(5, minimum=1, doc="side of the neighbourhood, odd", unit="channels or pixels")
    alpha: float = number(1.0, minimum=0, doc="weight of the neighbourhood's mean square")
    beta: float = number(0.75, doc="exponent")
    k: float = number(1.0, minimum=0, doc="constant in the divisor; across channels only")
    norm_region: str = choice(
        "across_channels",
        choices={"across_channels": "across_channels", "within_channel": "within_channel"},
        doc="where the neighbours are",
    )

    def __attrs_post_init__(self) -> None:
        if self.local_size % 2 == 0:
            raise KeyValueError("local_size", f"expected an odd number, so that it has a middle, got {self.local_size}")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of the input."""
        expect_rank(inputs[0], 4)
        return (inputs[0],)

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True: every image by itself."""
        return True

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return, for each value: its square, the sum along each side, and scale, shift, power and division."""
        sides = 1 if self.norm_region == "across_channels" else 2
        return math.prod(inputs[0]) * (5 + sides * (self.local_size - 1))

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return the bytes of three copies of one image in float64."""
        return 24 * math.prod(inputs[0][1:])

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Normalise one image after the other; shapes and dtypes as in `Layer.reference`."""
        (images,) = inputs
        result = np.empty(images.shape, images.dtype)
        for image, target in zip(images, result, strict=True):
            sums = np.square(image, dtype=np.float64)
            if self.norm_region == "across_channels":
                sums = _neighbour_sums(sums, 0, self.local_size)
                sums *= self.alpha / self.local_size
                sums += self.k
            else:
                sums = _neighbour_sums(_neighbour_sums(sums, 1, self.local_size), 2, self.local_size)
                sums *= self.alpha / self.local_size**2
                sums += 1
            np.power(sums, -self.beta, out=sums)
            sums *= image
            target[...] = sums
        return (result,)

    def parts_at(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], places: Sequence[Place], output: int = 0
    ) -> Sequence[Part]:
        """Return, for each value, its neighbourhood alone."""
        reach = self.local_size // 2
        axes = (1,) if self.norm_region == "across_channels" else (2, 3)
        parts = []
        for place in places:
            first = tuple(max(0, i - reach) if axis in axes else i for axis, i in enumerate(place))
            end = tuple(i + reach + 1 if axis in axes else i + 1 for axis, i in enumerate(place))
            seen = inputs[0][tuple(slice(*ends) for ends in zip(first, end, strict=True))]
            parts.append(Part(self, (seen,), {}, ((place, tuple(np.subtract(place, first).tolist())),)))
        return parts


def _neighbour_sums(values: Array, axis: int, size: int) -> Array:
    """Return the sums of `size` values around each one along `axis`; there are zeros beyond the ends.

    Shifted additions instead of differences of a running sum: those lose the small sums beside large values.
    """
    along = np.moveaxis(values, axis, 0)
    length = len(along)
    sums = values.copy()
    sums_along = np.moveaxis(sums, axis, 0)
    for shift in range(1, min(size // 2, length - 1) + 1):
        sums_along[shift:] += along[:-shift]
        sums_along[:-shift] += along[shift:]
    return sums
