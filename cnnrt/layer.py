"""What a layer is: its NetFile keys, its weights, its shape rule, its cost, and its reference.

A layer is one attrs class in one file, independent of any backend. `reference` is the definition of
right: every kernel is tested against it, and where no kernel exists it runs instead.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs
from numpy.typing import NDArray

from cnnrt.errors import ShapeError
from cnnrt.rounding import rounding_bound

Shape = tuple[int, ...]
Array = NDArray[Any]


@attrs.frozen
class WeightSpec:
    """One of a layer's weights: its name in parameter files, its shape in words, whether it may be absent.

    `least`: the smallest value that makes sense (a variance is not negative); None: any does.
    """

    name: str
    shape: str
    doc: str
    optional: bool = False
    least: float | None = None


@attrs.frozen
class Cost:
    """What computing a layer once takes: floating-point operations (a multiply-add counts 2) and bytes moved."""

    flops: int
    bytes: int


Place = tuple[int, ...]
"""Indices of one value of an array."""


@attrs.frozen
class Part:
    """A smaller call of a layer in which some values of a larger one come out the same.

    `places` pairs the place of each value in the larger call's output with its place in the smaller one's.
    """

    layer: Layer
    inputs: tuple[Array, ...]
    weights: Mapping[str, Array]
    places: tuple[tuple[Place, Place], ...]


class Layer(abc.ABC):
    """Base of every layer. Subclasses are `attrs.frozen(kw_only=True)`; fields come from `cnnrt.keys`.

    Arrays are NCHW (images, channels, rows, columns) or (images, features). Class attributes:

    - `type`: the NetFile's name for it (looked up without regard to case).
    - `inputs`: least and most number of inputs (None: no upper bound).
    - `weights`: what its parameter file holds, in the order in which CNNdroid's layout stores it.
    - `folds`: types of element-wise layers that may be folded into it (a pass does so); of those of two inputs only
      what `is_sum`.
    - `affine_weights`: names of the weights that take a factor and an offset of each channel; see `takes_affine`.
    - `view`: True where the output holds the same elements in the same order (Flatten): nothing is computed.
    - `formula`: the computation in one or a few lines of plain text, for the generated page.
    - `example`: a block of a NetFile that uses the layer, for the generated page.
    - `suite`: where its conformance suite is (a subclass of `cnnrt.testing.LayerSuite`), as "module:class". Without
      one, the calls that it and its kernels are tested on are made up from the class.
    """

    type: ClassVar[str]
    inputs: ClassVar[tuple[int, int | None]] = (1, 1)
    weights: ClassVar[tuple[WeightSpec, ...]] = ()
    folds: ClassVar[tuple[str, ...]] = ()
    affine_weights: ClassVar[tuple[str, str]] = ("weight", "bias")
    view: ClassVar[bool] = False
    formula: ClassVar[str] = ""
    example: ClassVar[str] = ""
    suite: ClassVar[str] = ""

    def weight_shapes(self, stored: Mapping[str, Shape], inputs: Sequence[Shape]) -> Mapping[str, Shape]:
        """Return the logical shapes of the weights, given those found in the parameter file.

        Each has as many elements as the stored one; CNNdroid stores fully connected weights as one flat
        list, for example. Raises ShapeError where the stored shapes make no sense.
        """
        return stored

    @abc.abstractmethod
    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shapes of the outputs; raises ShapeError saying what was expected and what was got."""

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether, in inference, the output equals the (only) input, so that a pass can drop the layer."""
        return False

    def is_affine(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> bool:
        """Tell whether inference multiplies each channel (axis 1) by one number and adds another one, no more.

        A pass may then put both into the weights of the layer before it: `affine_terms` gives them.
        """
        return False

    def is_sum(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether the output is the sum of two inputs of one shape, no more.

        A pass may then fold it into the layer that gives one of them, which adds the other one on the way out.
        """
        return False

    def joined_axis(self, inputs: Sequence[Shape]) -> int | None:
        """Return the axis along which the output is the inputs one after the other, None where it is something else.

        Who gives an input may then write it there, and nothing is computed.
        """
        return None

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether item i of each output (axis 0) depends on nothing but item i of each input.

        A pass may then compute a batch a few items at a time. The default, no, is always safe.
        """
        return False

    def affine_terms(self, weights: Mapping[str, Array]) -> tuple[Array, Array]:
        """Return factor and offset of each channel, both (C) in float64; asked only where the layer `is_affine`."""
        raise NotImplementedError(f"{self.type} says that it is affine, but gives no terms")

    def takes_affine(self, output: Shape) -> bool:
        """Tell whether a factor and an offset of each channel of the output may go into this layer's weights.

        They may where row c of the first of `affine_weights` (absent: 1) and value c of the second one (absent: 0) make
        channel c, and nothing else does.
        """
        return False

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return the floating-point operations of one call; the default is one for each output value."""
        return sum(math.prod(shape) for shape in outputs)

    def cost(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> Cost:
        """Return operations, and the bytes of inputs, outputs and weights in float32, each touched once."""
        values = sum(math.prod(s) for s in (*inputs, *outputs, *weights.values()))
        return Cost(self.flops(inputs, outputs, weights), 4 * values)

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return the most bytes that `reference` allocates beside its results.

        The default, inputs in float64 and two such arrays for each output, is what a formula in plain NumPy takes.
        """
        return 8 * (sum(math.prod(s) for s in inputs) + 2 * sum(math.prod(s) for s in outputs))

    @abc.abstractmethod
    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Compute the layer in plain NumPy, accumulating in float64.

        Inputs are read-only; the results have the dtype of the first input (float32, or float64 when
        kernels are verified) and belong to the caller. An absent optional weight is absent from `weights`.
        """

    def parts_at(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], places: Sequence[Place], output: int = 0
    ) -> Sequence[Part]:
        """Return smaller calls that give the values at these places of an output, so that a few of them cost little.

        Kernels are verified with them. The default is the whole call; a layer whose values depend on a part of the
        inputs cuts it out. `places` are all inside the output.
        """
        return [Part(self, tuple(inputs), weights, tuple((place, place) for place in places))]

    def error_bound(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], exact: Sequence[Array]
    ) -> tuple[Array, ...]:
        """Return, for each value of each output, how far a sound float32 computation may be from the exact one.

        Everything is float64; `exact` is what `reference` gives. The default is measured (`cnnrt.rounding`); a layer
        that sums up many products states a bound that grows with their number.
        """
        return rounding_bound(self.reference, inputs, weights)


def expect_rank(shape: Shape, rank: int, what: str = "input") -> None:
    """Raise ShapeError unless `shape` has `rank` dimensions."""
    if len(shape) != rank:
        names = {2: "(images, features)", 4: "(images, channels, rows, columns)"}.get(rank, f"{rank} dimensions")
        raise ShapeError(f"expected {what} of shape {names}, got {shape_text(shape)}")


def shape_text(shape: Sequence[int]) -> str:
    """Return a shape as people write it: 16×3×227×227, or "scalar" for a single value."""
    return "×".join(str(n) for n in shape) or "scalar"
