"""Everything that ships with cnnrt is held to the conformance suites, like a stranger's plugin."""

from __future__ import annotations

from typing import Any

from cnnrt.layer import Layer
from cnnrt.plugins import plugin_host
from cnnrt.testing import BackendSuite, ExporterSuite, MeterSuite
from cnnrt.testing.suite_of import importer_suite, layer_suite

HOST = plugin_host()


def without_kernels(layer: type[Layer]) -> type[Any]:
    """Return a layer's suite without what is tested elsewhere already.

    Its kernels are tested by the backends' suites, and its reference, more thoroughly, by tests/layers.
    """
    elsewhere = (
        "test_kernel_agrees_with_the_reference",
        "test_kernel_states_what_holds",
        "test_shape_rule_agrees_with_the_reference",
        "test_float32_is_the_float64_result_rounded",
    )
    left_out = dict.fromkeys(elsewhere)
    return type(f"{layer.type}Suite", (layer_suite(layer),), left_out)


globals().update({f"TestLayer{layer.type}": without_kernels(layer) for layer in HOST.layers().values()})
globals().update({f"TestImporter_{name}": importer_suite(i) for name, i in HOST.importers().items()})
globals().update({f"TestBackend_{name}": type(name, (BackendSuite,), {"backend": name}) for name in HOST.backends()})
globals().update({f"TestExporter_{n}": type(n, (ExporterSuite,), {"exporter": e}) for n, e in HOST.exporters().items()})
globals().update({f"TestMeter_{name}": type(name, (MeterSuite,), {"meter": m}) for name, m in HOST.meters().items()})


def test_suites_were_found() -> None:
    """So that this file cannot pass because nothing was found."""
    found = {name for name in globals() if name.startswith("Test")}
    assert found >= {
        "TestLayerConvolution",
        "TestLayerReLU",
        "TestBackend_sequential",
        "TestImporter_caffe",
        "TestExporter_onnx",
        "TestMeter_rapl",
    }
