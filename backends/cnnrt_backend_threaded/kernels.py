"""The list of this backend's kernels."""

from __future__ import annotations

from cnnrt.backend import Kernel
from cnnrt_backend_threaded.activations import ACTIVATIONS
from cnnrt_backend_threaded.channel_terms import NormaliseStatistics, RectifyChannels, ScaleChannels
from cnnrt_backend_threaded.concat import CopyRuns
from cnnrt_backend_threaded.constant import CopyStored
from cnnrt_backend_threaded.convolution_depthwise import DepthwiseConvolution
from cnnrt_backend_threaded.convolution_direct import DirectConvolution
from cnnrt_backend_threaded.convolution_winograd import (
    WinogradFive,
    WinogradFour,
    WinogradThree,
    WinogradThreeSmall,
    WinogradTwo,
)
from cnnrt_backend_threaded.deconvolution_depthwise import DepthwiseDeconvolution
from cnnrt_backend_threaded.deconvolution_direct import DirectDeconvolution
from cnnrt_backend_threaded.eltwise import Combine
from cnnrt_backend_threaded.eltwise_broadcast import CombineBroadcast
from cnnrt_backend_threaded.fully_connected import PanelProduct
from cnnrt_backend_threaded.image_statistics import NormaliseInstances, NormaliseMeanAndVariance, ReduceImages
from cnnrt_backend_threaded.lrn import NormaliseChannels, NormaliseWindows
from cnnrt_backend_threaded.normalize import NormalizePixels
from cnnrt_backend_threaded.pooling import WindowPooling
from cnnrt_backend_threaded.rearrangement import REARRANGEMENTS
from cnnrt_backend_threaded.relu import Rectify
from cnnrt_backend_threaded.resampling import InterpolateImages, ResizeImages
from cnnrt_backend_threaded.softmax import Exponentials
from cnnrt_backend_threaded.target import Machine


def threaded_kernels(machine: Machine | None = None) -> list[Kernel]:
    """Return one instance of each kernel; they keep no state. `machine`: another one than the host's."""
    kernels = (
        DirectConvolution,
        DepthwiseConvolution,
        WinogradTwo,
        WinogradThreeSmall,
        WinogradThree,
        WinogradFour,
        WinogradFive,
        DirectDeconvolution,
        DepthwiseDeconvolution,
        ResizeImages,
        InterpolateImages,
        WindowPooling,
        NormaliseChannels,
        NormaliseWindows,
        PanelProduct,
        Rectify,
        Exponentials,
        CopyRuns,
        Combine,
        CombineBroadcast,
        NormaliseStatistics,
        ScaleChannels,
        RectifyChannels,
        NormaliseInstances,
        NormaliseMeanAndVariance,
        NormalizePixels,
        ReduceImages,
        *ACTIVATIONS,
        CopyStored,
        *REARRANGEMENTS,
    )
    return [kernel(machine) for kernel in kernels]
