"""Runs `cnnrt` in this process, as the tests of the command line do."""

from __future__ import annotations

import inspect
import json
from typing import Any

from click.testing import CliRunner, Result

from cnnrt.cli.commands import cnnrt

# Before click 8.2, stderr was mixed into stdout unless one said otherwise; since then it never is.
_APART = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}


def run_cnnrt(*arguments: object) -> Result:
    """Run `cnnrt` with these arguments; an error that is no user's (a fault of the program) is raised."""
    result = CliRunner(**_APART).invoke(cnnrt, [str(a) for a in arguments], prog_name="cnnrt")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def answer(*arguments: object) -> str:
    """Return what `cnnrt` writes to stdout where all is well."""
    result = run_cnnrt(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def json_answer(*arguments: object) -> Any:
    """Return the JSON that `cnnrt ... --json` writes."""
    return json.loads(answer(*arguments, "--json"))


def complaint(*arguments: object, code: int = 1) -> str:
    """Return what `cnnrt` writes to stderr where something is wrong; nothing may be on stdout, nor a traceback."""
    result = run_cnnrt(*arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr
