"""What is written instead of characters that an output's encoding lacks: a C locale, a pipe, a code page of Windows."""

from __future__ import annotations

import codecs
import sys

STAND_INS = {
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{MICRO SIGN}": "u",
    "\N{SUPERSCRIPT TWO}": "2",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{CHECK MARK}": "ok",
    "\N{BALLOT X}": "no",
    "\N{UPPER HALF BLOCK}": '"',
    "\N{LOWER HALF BLOCK}": "_",
    "\N{FULL BLOCK}": "#",
    "\N{BOX DRAWINGS LIGHT HORIZONTAL}": "-",
}
"""By character; anything else, such as a letter of a file's name, becomes a question mark and no other letter."""
_HANDLER = "cnnrt.stand_ins"


def writable(text: str, encoding: str | None) -> str:
    """Return text as an output of this encoding shows it: for what is to be aligned, before it is."""
    return text.encode(encoding or "ascii", _HANDLER).decode(encoding or "ascii")


def tolerate_narrow_encodings() -> None:
    """Let stdout and stderr write stand-ins for what their encodings lack, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=_HANDLER)


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(STAND_INS.get(c, "?") for c in error.object[error.start : error.end]), error.end


codecs.register_error(_HANDLER, _stand_in)
