"""What every test may use: the folder of real models where there is one, and how hypothesis is to behave."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from core_suite.printed import PRINTED

REPOSITORY = Path(__file__).resolve().parents[1]

# The core's suite speaks of the backend that is always there. The others need extras; tests/backends and
# tests/project/test_backends_present.py hand them to plugin hosts of their own.
os.environ.setdefault("CNNRT_PLUGINS_BLOCK", "backend.threaded,backend.opencl,backend.renderscript")

# No test reads or writes what the user's own runs remember; processes that tests start inherit this.
os.environ["CNNRT_CACHE"] = tempfile.mkdtemp(prefix="cnnrt-tests-")
atexit.register(shutil.rmtree, os.environ["CNNRT_CACHE"], ignore_errors=True)

# A property test does not fail for being slow on a busy machine. In CI it tries the same examples each time, so
# that a red run means that the change is at fault.
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("local"), derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI", "").lower() == "true" else "local")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder of models and facts beside the repository; the suite is whole without it."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("../shared, the folder of real models and their references, is not here")
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have to say to whoever reads the run, in whichever process they ran."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    for report in reports:
        for name, text in report.user_properties:
            if name == PRINTED:
                terminalreporter.write_line(f"\n{text}")
