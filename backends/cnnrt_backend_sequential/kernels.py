"""The list of this backend's kernels."""

from __future__ import annotations

from cnnrt.backend import Kernel
from cnnrt_backend_sequential.accuracy import CountHits
from cnnrt_backend_sequential.activations import ACTIVATIONS
from cnnrt_backend_sequential.batch_norm import ScaleAlone, ScaleChannels
from cnnrt_backend_sequential.concat import CopySlices
from cnnrt_backend_sequential.convolution_depthwise import DepthwiseConvolution
from cnnrt_backend_sequential.convolution_pointwise import PointwiseConvolution
from cnnrt_backend_sequential.convolution_rows import RowsConvolution
from cnnrt_backend_sequential.deconvolution import SpreadRows
from cnnrt_backend_sequential.eltwise import CombineChunks
from cnnrt_backend_sequential.eltwise_broadcast import CombineBroadcast
from cnnrt_backend_sequential.fully_connected import MatrixProduct
from cnnrt_backend_sequential.identity import CopyFlatten
from cnnrt_backend_sequential.lrn import NormaliseBlocks
from cnnrt_backend_sequential.pooling import SlidePooling
from cnnrt_backend_sequential.prelu import RectifyChannels
from cnnrt_backend_sequential.rearrangement import REARRANGEMENTS
from cnnrt_backend_sequential.relu import Rectify
from cnnrt_backend_sequential.resampling import InterpolateImages, ResizeImages
from cnnrt_backend_sequential.softmax import Exponentials
from cnnrt_backend_sequential.yolo_boxes import BoxRows


def sequential_kernels() -> list[Kernel]:
    """Return one instance of each kernel; they keep no state."""
    return [
        RowsConvolution(),
        PointwiseConvolution(),
        DepthwiseConvolution(),
        SpreadRows(),
        ResizeImages(),
        InterpolateImages(),
        SlidePooling(),
        NormaliseBlocks(),
        MatrixProduct(),
        ScaleChannels(),
        ScaleAlone(),
        Rectify(),
        RectifyChannels(),
        Exponentials(),
        CountHits(),
        CopySlices(),
        CombineChunks(),
        CombineBroadcast(),
        *(kernel() for kernel in ACTIVATIONS),
        *(kernel() for kernel in REARRANGEMENTS),
        CopyFlatten(),
        BoxRows(),
    ]
