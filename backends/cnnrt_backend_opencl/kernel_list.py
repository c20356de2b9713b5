"""The list of this backend's kernels."""

from __future__ import annotations

from cnnrt.backend import Kernel
from cnnrt_backend_opencl.channel_terms import NormaliseStatistics, RectifyChannels, ScaleChannels
from cnnrt_backend_opencl.concat import CopyRuns
from cnnrt_backend_opencl.convolution_depthwise import DepthwiseConvolution
from cnnrt_backend_opencl.convolution_dot import DotConvolution
from cnnrt_backend_opencl.convolution_gemm import GemmConvolution, GemmFullyConnected
from cnnrt_backend_opencl.convolution_tile import TileConvolution
from cnnrt_backend_opencl.convolution_winograd import WinogradConvolution
from cnnrt_backend_opencl.convolution_winograd_gemm import WinogradGemmConvolution
from cnnrt_backend_opencl.deconvolution import GatherSpread
from cnnrt_backend_opencl.elementwise import ELEMENTWISE
from cnnrt_backend_opencl.eltwise import Combine, CombineBroadcast
from cnnrt_backend_opencl.fully_connected_rows import RowsFullyConnected
from cnnrt_backend_opencl.fully_connected_tile import TileFullyConnected
from cnnrt_backend_opencl.lrn import LocalNormalisation
from cnnrt_backend_opencl.normalisation import NORMALISATIONS
from cnnrt_backend_opencl.pooling import WindowPooling
from cnnrt_backend_opencl.rearrangement import MOVES, CopyStored
from cnnrt_backend_opencl.reduction import ReduceGroups
from cnnrt_backend_opencl.reorder import Transpose
from cnnrt_backend_opencl.resampling import RESAMPLING
from cnnrt_backend_opencl.softmax import Exponentials, Logarithms


def opencl_kernels() -> list[Kernel]:
    """Return one instance of each kernel; they keep no state."""
    kernels: tuple[type[Kernel], ...] = (
        TileConvolution,
        WinogradConvolution,
        WinogradGemmConvolution,
        GemmConvolution,
        DotConvolution,
        DepthwiseConvolution,
        GatherSpread,
        TileFullyConnected,
        RowsFullyConnected,
        GemmFullyConnected,
        WindowPooling,
        LocalNormalisation,
        Exponentials,
        Logarithms,
        Combine,
        CombineBroadcast,
        CopyRuns,
        NormaliseStatistics,
        ScaleChannels,
        RectifyChannels,
        ReduceGroups,
        CopyStored,
        Transpose,
    )
    return [*(kernel() for kernel in kernels), *RESAMPLING, *NORMALISATIONS, *ELEMENTWISE, *MOVES]
