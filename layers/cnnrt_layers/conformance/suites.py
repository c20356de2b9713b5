"""The suite of each layer: `cnnrt.testing.LayerSuite` with random cases and error bounds of its own."""

from __future__ import annotations

from hypothesis.strategies import SearchStrategy

from cnnrt.layer import Array
from cnnrt.testing.agreement import FLOAT32
from cnnrt.testing.case import Case
from cnnrt.testing.layer_suite import LayerSuite
from cnnrt_layers import (
    LRN,
    Accuracy,
    BatchNorm,
    Concat,
    Convolution,
    Dropout,
    Eltwise,
    Flatten,
    FullyConnected,
    Pooling,
    ReLU,
    Softmax,
)
from cnnrt_layers.conformance.error_bounds import allowed_error
from cnnrt_layers.conformance.random_cases import random_cases


class ShippedLayerSuite(LayerSuite):
    """A suite whose cases and bounds are in this package."""

    @classmethod
    def cases(cls) -> SearchStrategy[Case]:
        """Return what `random_cases` holds for the layer's type."""
        return random_cases(cls.layer.type)

    @classmethod
    def allowed_error(cls, case: Case) -> tuple[Array, ...]:
        """Return the bound of the layer's kind; see error_bounds.py."""
        inputs, weights = case.in_float64()
        return (allowed_error(case.call, inputs, weights, FLOAT32, lambda x, w: case.layer.reference(x, w)[0]),)


class AccuracySuite(ShippedLayerSuite):
    """Accuracy."""

    layer = Accuracy


class BatchNormSuite(ShippedLayerSuite):
    """BatchNorm."""

    layer = BatchNorm


class ConcatSuite(ShippedLayerSuite):
    """Concat."""

    layer = Concat


class ConvolutionSuite(ShippedLayerSuite):
    """Convolution."""

    layer = Convolution


class DropoutSuite(ShippedLayerSuite):
    """Dropout."""

    layer = Dropout


class EltwiseSuite(ShippedLayerSuite):
    """Eltwise."""

    layer = Eltwise


class FlattenSuite(ShippedLayerSuite):
    """Flatten."""

    layer = Flatten


class FullyConnectedSuite(ShippedLayerSuite):
    """FullyConnected."""

    layer = FullyConnected


class LRNSuite(ShippedLayerSuite):
    """LRN."""

    layer = LRN


class PoolingSuite(ShippedLayerSuite):
    """Pooling."""

    layer = Pooling


class ReLUSuite(ShippedLayerSuite):
    """ReLU."""

    layer = ReLU


class SoftmaxSuite(ShippedLayerSuite):
    """Softmax."""

    layer = Softmax
