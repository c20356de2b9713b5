"""All targets by name."""

from __future__ import annotations

from fuzz import (
    archive,
    arrays,
    caffe,
    cuda_convnet,
    darknet,
    image,
    keras,
    labels,
    model_folder,
    netfile,
    onnx_models,
    parameters,
    pickled,
    planted_faults,
    pytorch,
    tensorflow,
    tflite,
    torch7,
    tuning_packs,
    veles,
)
from fuzz.target import Target

TARGETS = (
    netfile.TARGET,
    parameters.NEW,
    parameters.OLD,
    caffe.PROTOTXT,
    caffe.CAFFEMODEL,
    caffe.MEAN,
    tensorflow.TARGET,
    tensorflow.BUNDLE,
    keras.TARGET,
    tflite.TARGET,
    onnx_models.TARGET,
    darknet.TARGET,
    pytorch.CHECKPOINT,
    pytorch.SAFETENSORS,
    arrays.NPY,
    arrays.NPZ,
    image.TARGET,
    labels.TARGET,
    model_folder.TARGET,
    archive.TARGET,
    pickled.PICKLE,
    pickled.THEANO,
    torch7.TARGET,
    veles.TARGET,
    cuda_convnet.TARGET,
    tuning_packs.TARGET,
)


def find(name: str) -> Target:
    """Return the target of this name, those of planted_faults.py included."""
    for target in (*TARGETS, *planted_faults.TARGETS):
        if target.name == name:
            return target
    raise SystemExit(f"there is no target {name!r}: {', '.join(t.name for t in TARGETS)}")
