"""Real networks, as their authors published them, run wholly on an OpenCL device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("pyopencl", reason="the OpenCL backend needs pyopencl")

from cnnrt import Net, convert
from cnnrt_backend_opencl.backend import OpenCLBackend
from cnnrt_backend_opencl.kernel_list import opencl_kernels
from cnnrt_layers import cnnrt_layers
from core_suite.small_networks import images
from opencl_suite.kernels import host_with

HOST = host_with(OpenCLBackend(), *opencl_kernels())
WITHOUT_A_KERNEL = {
    # What ends a network, on the host: lists of boxes, and the share of right answers.
    *("Accuracy", "DetectionOutput", "PriorBox", "YoloBoxes"),
    # Views, where they are not removed.
    *("Flatten", "Reshape"),
    # Those that no network at hand asks for.
    *("ArgMax", "CumulativeSum", "MatMul", "MaxUnpool", "ROIPooling"),
}

HEADS = ("conv_120", "conv_129")
"""What boxes are read from, on the host."""
FACES, PEOPLE, SCENES = "face-slim320", "darknet-yolofastest-body", "torch7-roadnet"
SHARED = {
    "faces, boxes decoded": (FACES, ("version-slim-320.onnx",), (1, 3, 240, 320), None),
    "faces, channels last": (FACES, ("version-slim-320_without_postprocessing.tflite",), (1, 3, 240, 320), None),
    "people": (PEOPLE, ("yolo-fastest-1.1_body.cfg", "yolo-fastest-1.1_body.weights"), (1, 3, 160, 160), HEADS),
    "road scenes": (SCENES, ("unsup-cl-30.net",), (18, 12, 12, 12), None),
}


@pytest.mark.parametrize("name", SHARED)
def test_real_networks_run_wholly_on_the_device(tmp_path: Path, shared_folder: Path, name: str) -> None:
    folder, files, shape, outputs = SHARED[name]
    netfile = convert([shared_folder / "models" / folder / file for file in files], tmp_path / "net").netfile
    device = Net(netfile, execution_mode="opencl", strict=True, plugins=HOST)
    host = Net(netfile, execution_mode="sequential", plugins=HOST)
    x = images(*shape)
    results = (values(net.compute(x, outputs=outputs)) for net in (device, host))
    for got, wanted in zip(*results, strict=True):
        assert np.abs(got - wanted).max() <= 1e-5 * np.abs(wanted).max()


def values(results: Any) -> list[np.ndarray[Any, Any]]:
    return list(results.values()) if isinstance(results, dict) else [results]


def test_shufflenet_runs_wholly_on_the_device(tmp_path: Path) -> None:
    light = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_shufflenet.onnx"
    convert(light, tmp_path / "net")
    net = Net(tmp_path / "net" / "net.netfile", execution_mode="opencl", strict=True, plugins=HOST)
    rows = net.plan_for().rows
    assert {row.backend for row in rows if row.kernel != "view"} == {"opencl"}
    assert sum(row.type == "ChannelShuffle" for row in rows) == 16


def test_the_layers_without_a_kernel_are_known() -> None:
    covered = {kernel.layer for kernel in opencl_kernels()}
    assert {layer.type for layer in cnnrt_layers()} - covered == WITHOUT_A_KERNEL
