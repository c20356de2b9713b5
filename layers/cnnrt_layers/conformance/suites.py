"""The suite of each layer: `cnnrt.testing.LayerSuite` with random cases and error bounds of its own."""

from __future__ import annotations

import numpy as np
from hypothesis.strategies import SearchStrategy

from cnnrt.layer import Array
from cnnrt.testing.agreement import FLOAT32
from cnnrt.testing.case import Case
from cnnrt.testing.layer_suite import LayerSuite
from cnnrt_layers import (
    LRN,
    Accuracy,
    ArgMax,
    BatchNorm,
    Concat,
    Constant,
    Convolution,
    Crop,
    Deconvolution,
    DepthToSpace,
    DetectionOutput,
    Dropout,
    Eltwise,
    Flatten,
    FullyConnected,
    Interp,
    LayerNorm,
    LogSoftmax,
    MatMul,
    MaxUnpool,
    Normalize,
    Pad,
    Permute,
    Pooling,
    PriorBox,
    Reduction,
    ReLU,
    Reshape,
    Resize,
    ROIPooling,
    Scale,
    Slice,
    Softmax,
    SpaceToDepth,
    StridedSlice,
    YoloBoxes,
)
from cnnrt_layers.conformance.error_bounds import BOUNDS, allowed_error
from cnnrt_layers.conformance.moving_cases import MOVING_CASES
from cnnrt_layers.conformance.random_cases import random_cases


class ShippedLayerSuite(LayerSuite):
    """A suite whose cases and bounds are in this package."""

    @classmethod
    def cases(cls) -> SearchStrategy[Case]:
        """Return what `random_cases` holds for the layer's type."""
        return random_cases(cls.layer.type)

    @classmethod
    def allowed_error(cls, case: Case) -> tuple[Array, ...]:
        """Return the bound of the layer's kind, see error_bounds.py, or the measured one where there is none."""
        if cls.layer.type.lower() in MOVING_CASES:
            return tuple(np.zeros(shape) for shape in case.call.output_shapes)
        if cls.layer.type.lower() not in BOUNDS:
            return super().allowed_error(case)
        inputs, weights = case.in_float64()
        bound = allowed_error(case.call, inputs, weights, FLOAT32, lambda x, w: case.layer.reference(x, w)[0])
        # A second output, the places of a pooling's maxima, is exact.
        return (bound, *(np.zeros(shape) for shape in case.call.output_shapes[1:]))


class AccuracySuite(ShippedLayerSuite):
    """Accuracy."""

    layer = Accuracy


class BatchNormSuite(ShippedLayerSuite):
    """BatchNorm."""

    layer = BatchNorm


class ConcatSuite(ShippedLayerSuite):
    """Concat."""

    layer = Concat


class ConstantSuite(ShippedLayerSuite):
    """Constant."""

    layer = Constant

    def test_float64_inputs_are_computed_in_float64(self) -> None:
        """Its numbers are those of the parameter file: in float64 they come out as they are."""
        value = np.random.default_rng(0).random((3, 5))
        for result in (Constant().reference(inputs, {"value": value})[0] for inputs in ([], [np.ones((2, 1))])):
            assert result.dtype == np.float64
            assert np.array_equal(result, np.broadcast_to(value, result.shape))


class ConvolutionSuite(ShippedLayerSuite):
    """Convolution."""

    layer = Convolution


class CropSuite(ShippedLayerSuite):
    """Crop."""

    layer = Crop


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


class PadSuite(ShippedLayerSuite):
    """Pad."""

    layer = Pad


class PermuteSuite(ShippedLayerSuite):
    """Permute."""

    layer = Permute


class PoolingSuite(ShippedLayerSuite):
    """Pooling."""

    layer = Pooling


class ReLUSuite(ShippedLayerSuite):
    """ReLU."""

    layer = ReLU


class ReshapeSuite(ShippedLayerSuite):
    """Reshape."""

    layer = Reshape


class ScaleSuite(ShippedLayerSuite):
    """Scale."""

    layer = Scale


class SliceSuite(ShippedLayerSuite):
    """Slice."""

    layer = Slice


class SoftmaxSuite(ShippedLayerSuite):
    """Softmax."""

    layer = Softmax


class StridedSliceSuite(ShippedLayerSuite):
    """StridedSlice."""

    layer = StridedSlice


class ArgMaxSuite(ShippedLayerSuite):
    """ArgMax."""

    layer = ArgMax


class DeconvolutionSuite(ShippedLayerSuite):
    """Deconvolution."""

    layer = Deconvolution


class DepthToSpaceSuite(ShippedLayerSuite):
    """DepthToSpace."""

    layer = DepthToSpace


class DetectionOutputSuite(ShippedLayerSuite):
    """DetectionOutput."""

    layer = DetectionOutput


class InterpSuite(ShippedLayerSuite):
    """Interp."""

    layer = Interp


class LayerNormSuite(ShippedLayerSuite):
    """LayerNorm."""

    layer = LayerNorm


class LogSoftmaxSuite(ShippedLayerSuite):
    """LogSoftmax."""

    layer = LogSoftmax


class MatMulSuite(ShippedLayerSuite):
    """MatMul."""

    layer = MatMul


class MaxUnpoolSuite(ShippedLayerSuite):
    """MaxUnpool."""

    layer = MaxUnpool


class NormalizeSuite(ShippedLayerSuite):
    """Normalize."""

    layer = Normalize


class PriorBoxSuite(ShippedLayerSuite):
    """PriorBox."""

    layer = PriorBox


class ROIPoolingSuite(ShippedLayerSuite):
    """ROIPooling."""

    layer = ROIPooling


class ReductionSuite(ShippedLayerSuite):
    """Reduction."""

    layer = Reduction


class ResizeSuite(ShippedLayerSuite):
    """Resize."""

    layer = Resize


class SpaceToDepthSuite(ShippedLayerSuite):
    """SpaceToDepth."""

    layer = SpaceToDepth


class YoloBoxesSuite(ShippedLayerSuite):
    """YoloBoxes."""

    layer = YoloBoxes
