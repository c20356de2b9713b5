"""cnnrt as a backend of ONNX (`onnx.backend.base`), for whatever runs models through that interface.

    from cnnrt import onnx_backend

    outputs = onnx_backend.run_model(onnx.load("net.onnx"), [images])
    prepared = onnx_backend.prepare(model, execution_mode="sequential")
    scores, *_ = prepared.run([images])

It belongs to the importer of ONNX models, a plugin, and is found as plugins are.
"""

from __future__ import annotations

from typing import Any

from cnnrt.errors import PluginError
from cnnrt.plugins import plugin_host

__all__ = ["CnnrtBackend", "is_compatible", "prepare", "run_model", "run_node", "supports_device"]


def _backend() -> Any:
    importer = plugin_host().importers().find("onnx")
    if importer is None or not hasattr(importer, "backend"):
        raise PluginError("the importer of ONNX models, which brings this backend, is not installed or is blocked")
    return importer.backend()


CnnrtBackend = _backend()
"""The class, for what wants one: `onnx.backend.test.BackendTest(CnnrtBackend)`."""

is_compatible = CnnrtBackend.is_compatible
prepare = CnnrtBackend.prepare
run_model = CnnrtBackend.run_model
run_node = CnnrtBackend.run_node
supports_device = CnnrtBackend.supports_device
