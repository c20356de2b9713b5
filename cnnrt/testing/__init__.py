"""The conformance kit: what layers, backends, importers, exporters and meters have to hold, as tests.

A plugin inherits them:

    from cnnrt.testing import LayerSuite
    from cnnrt_quick_gelu import QuickGelu

    class TestQuickGelu(LayerSuite):
        layer = QuickGelu

Run by pytest; `cnnrt plugins verify NAME` runs the same suites over what is installed. Needs pytest and hypothesis:
`pip install "cnnrt[testing]"`.
"""

from __future__ import annotations

from cnnrt.errors import CnnrtError

try:
    import hypothesis  # noqa: F401  # asked for here, so that whoever lacks it is told what to install
    import pytest  # noqa: F401  # likewise
except ModuleNotFoundError as error:
    raise CnnrtError(
        f'cnnrt.testing needs {error.name}, which is not installed: pip install "cnnrt[testing]"'
    ) from error

from cnnrt.testing.backend_suite import BackendSuite
from cnnrt.testing.case import Case, make_case
from cnnrt.testing.exporter_suite import ExporterSuite
from cnnrt.testing.importer_suite import ImporterSuite
from cnnrt.testing.layer_suite import LayerSuite
from cnnrt.testing.meter_suite import MeterSuite

__all__ = ["BackendSuite", "Case", "ExporterSuite", "ImporterSuite", "LayerSuite", "MeterSuite", "make_case"]
