"""Grades: a suite run in this process by pytest, with one grade for each check.

Reproducible: the same cases each time, no plugins of pytest, no configuration of wherever it is called, no files left.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

from cnnrt.testing.subjects import Subject

Outcome = Literal["pass", "fail", "skip"]

_TEST_FILE = "from cnnrt.testing.grading import suites_under_test\n\nglobals().update(suites_under_test())\n"
_UNDER_TEST: ContextVar[Mapping[str, type[Any]]] = ContextVar("suites under test")
_PROFILE, _BEFORE = "cnnrt-grading", "before cnnrt-grading"
_ENVIRONMENT = {"PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


@attrs.frozen
class Grade:
    """How one check went. `reason`: why it failed or was skipped; `details`: the traceback of a failure."""

    kind: str
    name: str
    origin: str
    check: str
    outcome: Outcome
    reason: str = ""
    seconds: float = 0.0
    details: str = ""


def grade(subjects: Sequence[Subject], seen: Callable[[Grade], None] = lambda grade: None) -> list[Grade]:
    """Run every suite and return a grade for each check, in order; `seen` is told each as soon as it is known."""
    grader = _Grader(subjects, seen)
    for subject in subjects:
        if subject.problem:
            grader.note(subject, "can be used", "fail", subject.problem)
    suites = {f"Test{number}": s.suite for number, s in enumerate(subjects) if s.suite is not None}
    if not suites:
        return grader.grades
    with tempfile.TemporaryDirectory(prefix="cnnrt-verify-") as name, _isolated(Path(name)):
        folder = Path(name)
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        file = folder / f"test_{folder.name.replace('-', '_')}.py"  # a module of its own each time
        file.write_text(_TEST_FILE, encoding="utf-8")
        token = _UNDER_TEST.set(suites)
        try:
            options = [
                "--import-mode=importlib",
                "-p",
                "no:cacheprovider",
                "-p",
                "no:faulthandler",
                "--capture=sys",
                "-q",
            ]
            places = [f"--rootdir={folder}", "-c", str(folder / "pytest.ini"), f"--basetemp={folder / 'tmp'}"]
            output = io.StringIO()
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                code = pytest.main([*options, *places, str(file)], plugins=[grader])
        finally:
            _UNDER_TEST.reset(token)
            sys.modules.pop(file.stem, None)
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt  # pytest took it, and ends its own run only
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        grader.note(subjects[0], "the suite runs", "fail", f"pytest ended with {code!r}", details=output.getvalue())
    return grader.grades


def suites_under_test() -> Mapping[str, type[Any]]:
    """Return the suites that are being graded, by the names under which pytest is to find them."""
    return _UNDER_TEST.get()


class _Grader:
    """The plugin of pytest that turns each test into a grade."""

    def __init__(self, subjects: Sequence[Subject], seen: Callable[[Grade], None]) -> None:
        self.grades: list[Grade] = []
        self._subjects = subjects
        self._seen = seen

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        report = yield
        subject = self._subject(item.nodeid)
        if report.failed:
            self.note(subject, _check(item), "fail", _reason(call), report.duration, report.longreprtext)
        elif report.skipped:
            self.note(subject, _check(item), "skip", _reason(call), report.duration)
        elif report.when == "call":
            self.note(subject, _check(item), "pass", "", report.duration)
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            last = report.longreprtext.strip().splitlines()[-1].removeprefix("E").strip()
            self.note(self._subject(report.nodeid), "the suite can be collected", "fail", last, 0, report.longreprtext)

    def note(
        self, subject: Subject, check: str, outcome: Outcome, reason: str, seconds: float = 0.0, details: str = ""
    ) -> None:
        found = Grade(subject.kind, subject.name, subject.origin, check, outcome, reason, round(seconds, 3), details)
        self.grades.append(found)
        self._seen(found)

    def _subject(self, nodeid: str) -> Subject:
        number = nodeid.partition("::Test")[2].partition("::")[0]
        return self._subjects[int(number) if number.isdigit() else 0]


def _check(item: pytest.Item) -> str:
    """Return a test's name as words: `test_keys_survive[x]` is "keys survive [x]"."""
    name, bracket, parameters = item.name.partition("[")
    return name.removeprefix("test_").replace("_", " ") + (f" {bracket}{parameters}" if bracket else "")


def _reason(call: pytest.CallInfo[None]) -> str:
    """Return what an exception says, with the case that hypothesis found it by."""
    assert call.excinfo is not None
    error = call.excinfo.value
    said = str(error)
    if not isinstance(error, AssertionError | pytest.fail.Exception | pytest.skip.Exception):
        said = f"{type(error).__name__}: {said}"
    notes = " ".join(" ".join(getattr(error, "__notes__", ())).split())
    return f"{said}\n{notes}".strip()


@contextlib.contextmanager
def _isolated(folder: Path) -> Iterator[None]:
    """Let hypothesis and pytest start from the same point wherever this runs, and put back what was there."""
    before = dict(os.environ)
    settings.register_profile(_BEFORE, settings.default)
    settings.register_profile(_PROFILE, derandomize=True, database=None, print_blob=False)
    set_hypothesis_home_dir(folder / "hypothesis")
    os.environ.update(_ENVIRONMENT)
    settings.load_profile(_PROFILE)
    try:
        yield
    finally:
        settings.load_profile(_BEFORE)
        set_hypothesis_home_dir(None)
        for name in {*os.environ, *before}:
            if name not in before:
                del os.environ[name]
            elif os.environ.get(name) != before[name]:
                os.environ[name] = before[name]
