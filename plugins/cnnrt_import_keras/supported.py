"""The layers that are read, the rule for each, and advice for those that are missing."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

from cnnrt.channels_last.network import Network
from cnnrt.channels_last.values import Flow
from cnnrt_import_keras import arranging_layers, merging_layers, row_layers, value_layers, window_layers
from cnnrt_import_keras.keras_layer import KerasLayer

Rule = Callable[[Network, KerasLayer, Sequence[Flow]], Flow]

RULES: dict[str, Rule] = {
    "Activation": value_layers.activation_layer,
    "AveragePooling2D": window_layers.pool,
    "BatchNormalization": value_layers.normalise_batch,
    "Concatenate": merging_layers.concatenate_layer,
    "Conv2D": window_layers.convolve,
    "Conv2DTranspose": window_layers.deconvolve,
    "Cropping2D": arranging_layers.crop,
    "Dense": value_layers.dense_layer,
    "DepthwiseConv2D": window_layers.convolve_depthwise,
    "ELU": value_layers.elu,
    "Flatten": arranging_layers.flatten,
    "GlobalAveragePooling2D": window_layers.pool_all,
    "GlobalMaxPooling2D": window_layers.pool_all,
    "LayerNormalization": value_layers.normalise_items,
    "LayerScale": value_layers.scale_channels,
    "LeakyReLU": value_layers.leaky,
    "MaxPooling2D": window_layers.pool,
    "Merge": merging_layers.merge_by_mode,
    "Normalization": value_layers.normalise,
    "PReLU": value_layers.prelu_layer,
    "Permute": arranging_layers.permute,
    "ReLU": value_layers.relu,
    "Rescaling": value_layers.rescale,
    "Reshape": arranging_layers.reshape,
    "Resizing": arranging_layers.resize_image,
    "SeparableConv2D": window_layers.convolve_separable,
    "Softmax": value_layers.softmax_layer,
    "ThresholdedReLU": value_layers.thresholded,
    "UpSampling2D": arranging_layers.upsample,
    "ZeroPadding2D": arranging_layers.zero_padding,
    **row_layers.RULES,
    **dict.fromkeys(merging_layers.MERGING, merging_layers.merge),
    **dict.fromkeys(
        (
            "ActivityRegularization",
            "AlphaDropout",
            "Dropout",
            "GaussianDropout",
            "GaussianNoise",
            "Identity",
            "RandomBrightness",
            "RandomContrast",
            "RandomFlip",
            "RandomRotation",
            "RandomTranslation",
            "RandomZoom",
            "SpatialDropout1D",
            "SpatialDropout2D",
            "StochasticDepth",
        ),
        value_layers.nothing,
    ),
}
OTHER_NAMES = {
    "AtrousConvolution2D": "Conv2D",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution2DTranspose": "Conv2DTranspose",
    "Deconvolution2D": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
    "SyncBatchNormalization": "BatchNormalization",
}
"""Names of other versions."""

_CODE = "it is code, which is not run: replace it by layers, or save the part of the model before it"
_SEQUENCE = "recurrent networks are not read"
_ADVICE = {
    **dict.fromkeys(("Lambda", "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"), _CODE),
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN", "Bidirectional", "ConvLSTM2D", "TimeDistributed"), _SEQUENCE),
    **dict.fromkeys(("Conv3D", "MaxPooling3D"), "volumes are not read: images have rows and columns"),
}


def advice(kind: str) -> str:
    """Return what to do about a layer that is not supported, where anything is known to help."""
    near = difflib.get_close_matches(kind[:60], RULES, n=1, cutoff=0.75)
    return _ADVICE.get(kind) or (f"the nearest that is supported is {near[0]}" if near else "")
