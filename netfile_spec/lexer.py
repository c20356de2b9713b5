"""NetFile text to tokens: words, strings and punctuation, each with its place.

Tokens are made one by one as the parser asks for them, so that memory follows what a file says and not
how long it is. Lexical rules: SPEC.md, "Text and tokens".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from netfile_spec.errors import Position
from netfile_spec.limits import MAX_TOKENS
from netfile_spec.problems import Problems, quoted


@attrs.frozen
class Token:
    """One token.

    `kind` is "word" (bare), "string" (quoted; `text` is what it stands for), the punctuation itself, "end",
    or "unreadable" for something already reported.
    """

    kind: str
    text: str
    line: int
    column: int

    @property
    def position(self) -> Position:
        """Where the token begins."""
        return Position(self.line, self.column)


# Possessive quantifiers: a string is matched once, never tried again in another way.
_TOKEN = re.compile(
    r"""
      (?P<blank>   (?: \s++ | \#[^\n]*+ )++ )
    | (?P<mark>    [{}\[\],:] )
    | "(?P<string> [^"\\\n]*+ (?: \\[^\n] [^"\\\n]*+ )*+ ) (?P<close>")?
    | (?P<word>    [^\s{}\[\],:"\#\x00-\x1f\x7f\ud800-\udfff]+ )
    """,
    re.VERBOSE,
)
FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
"""Characters that no string holds as they are: control characters but the tab, and halves of surrogate pairs."""

_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.?))", re.DOTALL)
_SIMPLE_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t"}
_LITERAL_ESCAPE = re.compile(r'\\(["\\])')


def tokens(text: str, problems: Problems, *, escapes: bool) -> Iterator[Token]:
    r"""Yield the tokens of `text` (lines end in \n), at last one of kind "end"; report what is none.

    `escapes` tells whether strings have the escapes of netfile_version 1. Without them a backslash stands
    for itself, except before a quotation mark or another backslash.
    """
    offset, line, line_start = 0, 1, 0
    made = 0
    while offset < len(text):
        column = offset - line_start + 1
        match = _TOKEN.match(text, offset)
        if match is None:
            code = ord(text[offset])
            problems.report(f"the character U+{code:04X} cannot stand here", Position(line, column))
            offset += 1
            continue
        start, offset = offset, match.end()
        group = match.lastgroup
        made += group != "blank"
        if made > MAX_TOKENS:
            problems.report(f"more than {MAX_TOKENS} words, strings and marks", Position(line, column))
            problems.raise_if_any()
        if group == "blank":
            if newlines := text.count("\n", start, offset):
                line, line_start = line + newlines, text.rfind("\n", start, offset) + 1
        elif group == "mark":
            yield Token(match["mark"], match["mark"], line, column)
        elif group == "word":
            yield Token("word", match["word"], line, column)
        else:
            body, closed = match["string"], match["close"] is not None
            if not closed and not escapes and (last := body.rfind('\\"')) >= 0:
                # CNNdroid knew no escapes: "D:\models\" ends with its line's last quotation mark.
                body, closed = body[: last + 1], True
                offset = start + 1 + last + 2
            if closed:
                yield _string(body, line, column, problems, escapes)
            else:
                problems.report(
                    "a string that does not end on its line",
                    Position(line, column),
                    expected='a closing quotation mark (")',
                )
                yield Token("unreadable", body, line, column)
    yield Token("end", "", line, offset - line_start + 1)


def _string(body: str, line: int, column: int, problems: Problems, escapes: bool) -> Token:
    def place(index: int) -> Position:
        return Position(line, column + 1 + index)

    sound = True
    if forbidden := FORBIDDEN.search(body):
        sound = False
        code = ord(forbidden[0])
        problems.report(
            f"a string holds the character U+{code:04X}",
            place(forbidden.start()),
            hint=f"netfile_version 1 writes it \\u{code:04X}" if code < 0x80 else "",
        )
    if "\\" not in body:
        return Token("string" if sound else "unreadable", body, line, column)
    if not escapes:
        return Token("string" if sound else "unreadable", _LITERAL_ESCAPE.sub(r"\1", body), line, column)

    pieces, end = [], 0
    for escape in _ESCAPE.finditer(body):
        pieces.append(body[end : escape.start()])
        end = escape.end()
        code = int(escape[1] or escape[2] or "0", 16)
        if escape[3] is None and code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF:
            pieces.append(chr(code))
        elif escape[3] in _SIMPLE_ESCAPES:
            pieces.append(_SIMPLE_ESCAPES[escape[3]])
        else:
            sound = False
            problems.report(
                f"{quoted(escape[0])} is no escape",
                place(escape.start()),
                expected=r"\" \\ \n \r \t \uXXXX or \UXXXXXXXX (a Unicode character in hexadecimal)",
                hint=r"a backslash itself is written \\",
            )
    pieces.append(body[end:])
    return Token("string" if sound else "unreadable", "".join(pieces), line, column)
