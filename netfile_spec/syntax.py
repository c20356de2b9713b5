"""Tokens to entries and blocks: the grammar of SPEC.md, with recovery.

A mistake costs the entry or the line that it is in, never the rest of the file: reading goes on at the
next line, brace or block, so that everything wrong is found at once and nothing is reported twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import attrs

from netfile_spec.errors import Position
from netfile_spec.lexer import Token
from netfile_spec.limits import MAX_BLOCKS, MAX_LIST_LENGTH, MAX_NESTING
from netfile_spec.problems import Problems, nearest, quoted

BLOCK_KINDS = ("layer", "input")

_VALUE = ("word", "string", "unreadable")


@attrs.frozen
class Entry:
    """`key: value`. `key` is in lower case.

    `items` is what was stated: one token, or those of a list (`is_list`); None where it cannot be read,
    which has been reported. `position` is that of the value, or of the key where there is none.
    """

    key: str
    key_position: Position
    position: Position
    items: tuple[Token, ...] | None
    is_list: bool = False


@attrs.frozen
class Block:
    """`kind { ... }`. `sound` is False where something inside could not be read and may be missing."""

    kind: str
    position: Position
    entries: tuple[Entry, ...]
    sound: bool


@attrs.frozen
class Document:
    """A file: the entries outside blocks, and the blocks, each in file order."""

    entries: tuple[Entry, ...]
    blocks: tuple[Block, ...]


def parse(tokens: Iterator[Token], problems: Problems) -> Document:
    """Return the entries and blocks that `tokens` make up; report what does not fit the grammar."""
    return _Parser(tokens, problems).document()


class _Parser:
    def __init__(self, tokens: Iterator[Token], problems: Problems) -> None:
        self._tokens = tokens
        self._ahead: deque[Token] = deque()
        self._problems = problems
        self._last_line = 0
        self._sound = True

    def document(self) -> Document:
        entries: list[Entry] = []
        blocks: list[Block] = []
        while (token := self._peek()).kind != "end":
            if token.kind == "}":
                self._report("a } that closes nothing", self._next().position)
            elif self._is_block_kind(token) and (self._opens_block() or self._peek(1).kind != ":"):
                if len(blocks) == MAX_BLOCKS:
                    self._report(f"more than {MAX_BLOCKS} blocks", token.position)
                    self._problems.raise_if_any()
                blocks.append(self._block())
            elif self._is_block_kind(token):
                self._report(f"{quoted(token.text)} is a block", token.position, expected=f"{token.text} {{ ... }}")
                self._skip_line(token.line)
            elif self._opens_block():
                hint = nearest(token.text, BLOCK_KINDS)
                self._report(f"there is no block {quoted(token.text)}", token.position, hint=hint)
                self._skip_block()
            elif entry := self._entry():
                entries.append(entry)
        return Document(tuple(entries), tuple(blocks))

    def _block(self) -> Block:
        kind = self._next()
        self._sound = True
        self._open_brace(kind)
        entries: list[Entry] = []
        while (token := self._peek()).kind != "}":
            starts_block = self._opens_block()
            if token.kind == "end" or (starts_block and self._is_block_kind(token)):
                before = "the end of the file" if token.kind == "end" else f"line {token.line}"
                self._report(
                    f"a block {quoted(kind.text)} that is not closed", kind.position, expected=f"}} before {before}"
                )
                return Block(kind.text.lower(), kind.position, tuple(entries), False)
            if starts_block:
                self._report(
                    f"a block {quoted(token.text)} inside a block {quoted(kind.text)}",
                    token.position,
                    hint="blocks do not nest",
                )
                self._skip_block()
            elif entry := self._entry():
                entries.append(entry)
        self._next()
        return Block(kind.text.lower(), kind.position, tuple(entries), self._sound)

    def _entry(self) -> Entry | None:
        """Read `key: value`; None where not even the key can be told."""
        key = self._peek()
        if key.kind != "word":
            if key.kind != "unreadable":
                self._unexpected(key)
            self._sound = False
            self._skip_line(key.line)
            return None
        after_value = key.line == self._last_line
        self._next()
        following = self._peek()
        if following.kind != ":":
            if after_value:
                self._report(f"{quoted(key.text)} follows a value", key.position, hint="text with blanks is quoted")
                self._skip_line(key.line)
                return None
            self._report(f"no colon after the key {quoted(key.text)}", key.position, expected="key: value")
            if following.kind not in (*_VALUE, "[") or following.line != key.line:
                self._skip_line(key.line)
                return self._unreadable(key)
        else:
            self._next()
        return self._value(key)

    def _value(self, key: Token) -> Entry:
        token = self._peek()
        if token.kind == "[":
            return self._list(key)
        same_line = token.line == key.line
        if self._is_value():
            self._next()
            self._last_line = token.line
            if token.kind == "unreadable":
                return self._unreadable(key)
            return Entry(key.text.lower(), key.position, token.position, (token,))
        if token.kind == "word" and same_line and self._peek(1).kind == ":":
            self._report(f"the value of {quoted(key.text)} holds a colon", token.position, hint="quote the text")
            self._skip_line(key.line)
        else:
            self._report(f"the key {quoted(key.text)} has no value", key.position, expected="key: value")
            if same_line and token.kind not in ("{", "word"):
                self._skip_line(key.line)
        return self._unreadable(key)

    def _list(self, key: Token) -> Entry:
        opening = self._next()
        items: list[Token] = []
        sound = True
        while (token := self._peek()).kind != "]":
            if token.kind == ",":
                self._report("a comma without a value before it", self._next().position, expected="[1, 2]")
                sound = False
                continue
            if token.kind == "[":
                self._report("a list inside a list", token.position, expected="a flat list: [1, 2]")
                self._skip_line(token.line)
                return self._unreadable(key)
            if not self._is_value():
                self._report("a list that is not closed", opening.position, expected="[1, 2]")
                self._skip_line(opening.line)
                return self._unreadable(key)
            sound = sound and token.kind != "unreadable"
            items.append(self._next())
            if len(items) > MAX_LIST_LENGTH:
                self._report(f"a list of more than {MAX_LIST_LENGTH} values", opening.position)
                self._problems.raise_if_any()
            if self._peek().kind == ",":
                self._next()
            elif self._is_value():
                self._report("no comma between two values of a list", self._peek().position, expected="[1, 2]")
                sound = False
        self._last_line = self._next().line
        if not sound:
            return self._unreadable(key)
        return Entry(key.text.lower(), key.position, opening.position, tuple(items), is_list=True)

    def _is_value(self) -> bool:
        """Whether a value is next; a word before a colon or brace is a key or block that came too early."""
        token = self._peek()
        if token.kind == "word":
            return self._peek(1).kind not in (":", "{")
        return token.kind in _VALUE

    def _is_block_kind(self, token: Token) -> bool:
        return token.kind == "word" and token.text.lower() in BLOCK_KINDS

    def _opens_block(self) -> bool:
        if self._peek().kind != "word":
            return False
        after = self._peek(1).kind
        return after == "{" or (after == ":" and self._peek(2).kind == "{")

    def _open_brace(self, kind: Token) -> None:
        token = self._peek()
        if token.kind == ":":
            self._report("a colon before {", token.position, expected=f"{kind.text} {{ ... }}")
            self._next()
        elif token.kind != "{":
            self._report(f"no {{ after {quoted(kind.text)}", kind.position, expected=f"{kind.text} {{ ... }}")
            while self._peek().line == kind.line and self._peek().kind in _VALUE:
                if self._peek(1).kind == ":":
                    break
                self._next()
        if self._peek().kind == "{":
            self._next()

    def _skip_block(self) -> None:
        """Pass over a block that means nothing, with all that is in it, but not over the next known block."""
        self._sound = False
        while self._next().kind != "{":
            pass
        depth = 1
        while depth and self._peek().kind != "end":
            if self._is_block_kind(self._peek()) and self._opens_block():
                return
            token = self._next()
            depth += {"{": 1, "}": -1}.get(token.kind, 0)
            if depth > MAX_NESTING:
                self._report(f"more than {MAX_NESTING} braces within braces", token.position)
                self._problems.raise_if_any()

    def _skip_line(self, line: int) -> None:
        """Pass over what is left of a line, up to a } and over whole blocks."""
        while (token := self._peek()).line == line and token.kind not in ("}", "end"):
            if token.kind == "{":
                self._skip_block()
            else:
                self._next()

    def _unreadable(self, key: Token) -> Entry:
        self._sound = False
        return Entry(key.text.lower(), key.position, key.position, None)

    def _unexpected(self, token: Token) -> None:
        found = quoted(token.text)
        if token.line == self._last_line:
            self._report(f"{found} follows a value", token.position, hint="lists are written [1, 2]")
        else:
            self._report(f"{found} where a key was expected", token.position, expected="key: value")

    def _report(self, message: str, position: Position, *, expected: str = "", hint: str = "") -> None:
        self._sound = False
        self._problems.report(message, position, expected=expected, hint=hint)

    def _peek(self, distance: int = 0) -> Token:
        while len(self._ahead) <= distance:
            if self._ahead and self._ahead[-1].kind == "end":
                return self._ahead[-1]
            self._ahead.append(next(self._tokens))
        return self._ahead[distance]

    def _next(self) -> Token:
        token = self._peek()
        if token.kind != "end":
            self._ahead.popleft()
        return token
