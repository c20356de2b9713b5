"""Scripts: which file of `kernels/`, with which constants; what is in it is read by `exports.py`."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

import attrs

from cnnrt.errors import CnnrtError

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([\w.]+)"[ \t]*$', re.MULTILINE)


def _in_order(defines: Mapping[str, int]) -> Mapping[str, int]:
    return MappingProxyType(dict(sorted(defines.items())))


@attrs.frozen
class Script:
    """A RenderScript file and the constants (`#define`) that it is compiled with: each choice is code of its own.

    `text`: that of a script which is not a file of `kernels/`; its name must fit into C identifiers.
    """

    name: str
    defines: Mapping[str, int] = attrs.field(factory=dict, converter=_in_order)
    text: str | None = None

    @property
    def id(self) -> str:
        """A name for it that can be a part of C identifiers: `convolution_tile_PIXELS6_VECTORS2`."""
        return "_".join((self.name, *(f"{name}{value}" for name, value in self.defines.items())))

    @property
    def source(self) -> str:
        """Its text, with what it includes from the same folder in place."""
        return script_text(f"{self.name}.rs") if self.text is None else self.text

    def __hash__(self) -> int:
        return hash(self.id)


@functools.cache
def script_text(file: str) -> str:
    """Return the text of a file of `kernels/`, includes in place."""
    place = files(__package__) / "kernels" / file
    try:
        text = place.read_text(encoding="utf-8")
    except OSError as error:
        raise CnnrtError(f"kernels/{file} of the renderscript backend cannot be read: {error}") from error
    return _INCLUDE.sub(lambda found: script_text(found[1]), text)


def runtime_text(file: str) -> str:
    """Return the text of a file of `runtime/`."""
    return (files(__package__) / "runtime" / file).read_text(encoding="utf-8")
