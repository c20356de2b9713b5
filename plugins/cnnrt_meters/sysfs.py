"""Files of /sys that hold one value, as the kernel's Documentation/filesystems/sysfs.rst has it."""

from __future__ import annotations

import re
from pathlib import Path

from cnnrt.errors import MeterError


def text_in(file: Path) -> str:
    """Return the text of a file without its line end, empty where it cannot be read."""
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def number_in(file: Path) -> int:
    """Return the whole number in a file; MeterError says which file does not give one, and why."""
    try:
        text = file.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        raise MeterError(f"{file} does not exist") from None
    except PermissionError:
        raise MeterError(f"{file} may not be read by this user") from None
    except OSError as error:
        raise MeterError(f"{file} cannot be read: {error.strerror or error}") from None
    if not re.fullmatch(r"-?\d{1,19}", text):
        raise MeterError(f"{file} holds {text[:40]!r}, which is no whole number")
    return int(text)
