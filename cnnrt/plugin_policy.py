"""Which plugins the user lets in, by two environment variables.

- `CNNRT_PLUGINS_ALLOW`: if set, only these are loaded, besides those of cnnrt itself.
- `CNNRT_PLUGINS_BLOCK`: these are not loaded; wins over the other.

Each is a list, separated by commas, of distributions ("cnnrt-quick-gelu") or entry points ("layer.quick-gelu").
"""

from __future__ import annotations

import os
import re

ALLOW = "CNNRT_PLUGINS_ALLOW"
BLOCK = "CNNRT_PLUGINS_BLOCK"


def refusal(entry_point: str, distribution: str) -> str:
    """Return why a plugin may not be loaded, "" where it may."""
    names = {entry_point.lower(), _normal(distribution)}
    if names & _listed(BLOCK):
        return f"blocked by {BLOCK}"
    allowed = _listed(ALLOW)
    if ALLOW in os.environ and _normal(distribution) != "cnnrt" and not names & allowed:
        return f"not in {ALLOW}"
    return ""


def _listed(variable: str) -> set[str]:
    words = [word.strip() for word in os.environ.get(variable, "").split(",")]
    return {form for word in words if word for form in (word.lower(), _normal(word))}


def _normal(distribution: str) -> str:
    """Return a distribution's name as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
