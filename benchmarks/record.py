"""Keeps what was measured: raw samples with the date, the commit, the machine and the versions of what took part."""

from __future__ import annotations

import datetime
import json
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs

from cnnrt.hardware import detect_hardware

ROOT = Path(__file__).resolve().parents[1]
SOFTWARE = (
    "cnnrt",
    "numpy",
    "llvmlite",
    "pyopencl",
    "onnxruntime",
    "openvino",
    "mnn",
    "opencv-python-headless",
    "torch",
)


def write_record(path: Path, benchmark: str, arguments: dict[str, Any], results: Any) -> None:
    """Write a JSON file. `results` are plain values or attrs instances; `arguments` those of the command line."""
    record = {
        "benchmark": benchmark,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "software": software(),
        "arguments": {name: value for name, value in arguments.items() if not isinstance(value, Path)},
        "results": results,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_rounded(record), indent=1, default=attrs.asdict)
    beside = path.with_name(path.name + ".new")
    beside.write_text(_short_lists(text) + "\n", encoding="utf-8")
    beside.replace(path)


def commit() -> str:
    """Return the commit that is measured, with "+" behind it where files differ from it; "unknown" outside of git."""
    try:
        number = _git("rev-parse", "--short=12", "HEAD")
        return number + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine() -> dict[str, Any]:
    """Return what the processor and memory are."""
    found = detect_hardware()
    facts = attrs.asdict(found) | {"cores_usable": found.cores_usable, "system": platform.system()}
    facts["code_for"] = _code_for()
    del facts["memory_available"]
    return facts


def machine_line() -> str:
    """Return the machine in a line, for tables."""
    found = detect_hardware()
    return f"{found.processor} ({found.architecture}, {_code_for()}), {found.cores_usable} usable cores"


def _code_for() -> str:
    """Return LLVM's name of the processor, which tells generations apart that share a name; empty without llvmlite."""
    try:
        from cnnrt_backend_threaded.target import host_target

        return host_target().cpu
    except ImportError:
        return ""


def software() -> dict[str, str]:
    """Return the versions of what is installed of all that takes part."""
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in SOFTWARE:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _rounded(value: Any) -> Any:
    """Return plain values with five digits that count: no clock is better."""
    if attrs.has(type(value)):
        value = attrs.asdict(value)
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _short_lists(text: str) -> str:
    """Put lists of numbers on one line each."""
    import re

    return re.sub(r"\[[\s\d.,e+-]*\]", lambda match: " ".join(match[0].split()), text)
