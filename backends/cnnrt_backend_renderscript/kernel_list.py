"""The list of this backend's kernels."""

from __future__ import annotations

from cnnrt.backend import Kernel
from cnnrt_backend_renderscript.activations import ACTIVATIONS
from cnnrt_backend_renderscript.channel_terms import NormaliseStatistics, RectifyChannels, ScaleChannels
from cnnrt_backend_renderscript.concat import CopyRuns
from cnnrt_backend_renderscript.convolution_depthwise import DepthwiseConvolution
from cnnrt_backend_renderscript.convolution_dot import DotConvolution, DotProduct
from cnnrt_backend_renderscript.convolution_tile import (
    TileConvolution,
    TileConvolution8,
    TileConvolution16,
    TileProduct,
    TileProduct8,
    TileProduct16,
)
from cnnrt_backend_renderscript.eltwise import Combine
from cnnrt_backend_renderscript.identity import CopyDropout
from cnnrt_backend_renderscript.lrn import NormaliseNeighbours
from cnnrt_backend_renderscript.pooling import WindowPooling
from cnnrt_backend_renderscript.reorder import Transpose
from cnnrt_backend_renderscript.softmax import Exponentials


def renderscript_kernels() -> list[Kernel]:
    """Return one instance of each kernel; they keep no state."""
    return [
        TileConvolution(),
        TileConvolution8(),
        TileConvolution16(),
        DotConvolution(),
        DepthwiseConvolution(),
        TileProduct(),
        TileProduct8(),
        TileProduct16(),
        DotProduct(),
        WindowPooling(),
        NormaliseNeighbours(),
        Exponentials(),
        CopyRuns(),
        Combine(),
        NormaliseStatistics(),
        ScaleChannels(),
        RectifyChannels(),
        *(kernel() for kernel in ACTIVATIONS),
        CopyDropout(),
        Transpose(),
    ]
