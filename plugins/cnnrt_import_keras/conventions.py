"""How Keras stores the weights of each layer, for files that hold weights alone."""

from __future__ import annotations

from cnnrt.channels_last.constants import Constant
from cnnrt.loose_weights import Conventions, LooseTensor, LooseWeights, StoredWeight
from cnnrt_import_keras.keras_file import KerasFile

CONVENTIONS: Conventions = {
    "Convolution": (
        StoredWeight("weight", ("kernel", "w"), (3, 2, 0, 1)),
        StoredWeight("bias", ("bias", "b")),
    ),
    "Deconvolution": (
        StoredWeight("weight", ("kernel", "w"), (3, 2, 0, 1)),
        StoredWeight("bias", ("bias", "b")),
    ),
    "FullyConnected": (StoredWeight("weight", ("kernel", "w"), (1, 0)), StoredWeight("bias", ("bias", "b"))),
    "BatchNorm": (
        StoredWeight("scale", ("gamma",)),
        StoredWeight("shift", ("beta",)),
        StoredWeight("mean", ("moving_mean", "running_mean")),
        StoredWeight("variance", ("moving_variance", "running_std")),
    ),
    "PReLU": (StoredWeight("slope", ("alpha",)),),
}


def loose_weights(file: KerasFile) -> LooseWeights:
    """Return all arrays of a file, layer by layer, named layer.role."""
    tensors = [
        LooseTensor(f"{layer}.{role(array)}", array.shape, array.array)
        for layer, arrays in file.by_layer.items()
        for array in arrays
    ]
    theano = file.backend == "theano"
    reason = "as the file was trained on Theano" if theano else "as the file was not trained on Theano"
    note = (
        "behind an image with its channels last, the rows of a dense layer's matrix are in Keras's order: where the "
        "image has more than one pixel, they do not fit a FullyConnected"
    )
    return LooseWeights(tensors, CONVENTIONS, flip_kernels=theano, flip_reason=reason, notes=(note,))


def role(array: Constant) -> str:
    """Return the last part of a weight's name: "conv1/kernel:0" and Keras 1's "conv1_W" are a kernel and a w."""
    last = array.name.rpartition("/")[2].partition(":")[0]
    for known in ("running_mean", "running_std"):
        if last.endswith(known):
            return known
    return last.rpartition("_")[2] if last.rpartition("_")[2] in ("W", "b", "gamma", "beta") else last
