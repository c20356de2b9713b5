"""The suite of a layer: what its class promises, and what every kernel of it has to hold.

layer_facts.py              the calls to test on, and how exact a kernel has to be: what an author may override
layer_class_checks.py       keys, NetFile round trip, documentation
layer_reference_checks.py   shape rule and reference
layer_kernel_checks.py      kernels of all installed backends, and networks of this layer
"""

from __future__ import annotations

from cnnrt.testing.layer_kernel_checks import LayerKernelChecks
from cnnrt.testing.layer_reference_checks import LayerReferenceChecks


class LayerSuite(LayerReferenceChecks, LayerKernelChecks):
    """Everything a layer has to hold. A subclass states `layer`; see `LayerFacts` for what else it may state.

        class TestQuickGelu(LayerSuite):
            layer = QuickGelu

    A check that does not apply is overridden by a test that does. Where others are to test kernels on the same calls,
    the suite is part of the package and the layer names it: `suite = "cnnrt_quick_gelu.conformance:QuickGeluSuite"`.
    """
