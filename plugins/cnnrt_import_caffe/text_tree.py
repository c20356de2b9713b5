"""Where each key of a prototxt stands.

The protobuf library reads text into messages but forgets the lines. This scanner keeps nothing but keys, values
and their offsets; it accepts anything and leaves it to the library to say what is wrong. Format:
protobuf.dev/reference/protobuf/textformat-spec.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

import attrs

from cnnrt.errors import Position

_TOKEN = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*)
      | (?P<string>"(?:[^"\\\n]++|\\.)*+"? | '(?:[^'\\\n]++|\\.)*+'?)
      | (?P<mark>[{}<>\[\]:;,])
      | (?P<word>[^\s{}<>\[\]:;,"'\#]+)""",
    re.VERBOSE,
)
_OPEN, _CLOSE = "{<", "}>"

MOST_TOKENS = 150_000
"""The most words, strings and marks of a text; the largest nets of Caffe's time have about 50,000."""

LONGEST_TOKEN = 65_536
"""Characters of a word or string; the library takes more than 150 bytes for each while it looks for the end."""


def one_token_a_line(text: str) -> str:
    """Return a text that means the same, with every token on a line of its own and without comments."""
    return "\n".join(match.group() for match in _TOKEN.finditer(text) if match.lastgroup != "skip")


@attrs.define(eq=False)
class Entry:
    """A key and its value: a word or string as written (`value`), or a block of entries.

    `offset` and `value_offset` count characters from the start of the text; a block's `depth` is 1 at the top.
    """

    key: str
    offset: int
    value: str | None = None
    value_offset: int = 0
    entries: list[Entry] = attrs.field(factory=list)

    def all(self, *keys: str) -> Iterator[Entry]:
        """Yield the entries of this block that have one of these keys, in file order."""
        return (entry for entry in self.entries if entry.key in keys)

    def find(self, *path: str) -> Entry | None:
        """Return the first entry at a path of keys below this block; None where there is none."""
        found: Entry | None = self
        for key in path:
            found = next(found.all(key), None) if found else None
        return found


@attrs.frozen
class TextTree:
    """A scanned text: the top block, the deepest nesting, and where lines start.

    `whole` is False for a text of more than MOST_TOKENS, or with one above LONGEST_TOKEN, of which only the beginning
    was scanned.
    """

    top: Entry
    depth: int
    whole: bool
    line_starts: tuple[int, ...]

    def position(self, offset: int) -> Position:
        """Return line and column of a character, both from 1."""
        line = bisect_right(self.line_starts, offset)
        return Position(line, offset - self.line_starts[line - 1] + 1)


def scan(text: str) -> TextTree:
    """Return the keys of a text with their places; never fails, whatever the text is."""
    top = Entry("", 0)
    # For each open block: the block, the key that waits for its value, and whether inside a [list] of values.
    blocks: list[tuple[Entry, Entry | None, bool]] = []
    block, key, in_list, awaits_value, depth = top, None, False, False, 1
    tokens, whole = 0, True
    for match in _TOKEN.finditer(text):
        token, offset = match.group(), match.start()
        if match.lastgroup == "skip":
            continue
        tokens += 1
        if tokens > MOST_TOKENS or len(token) > LONGEST_TOKEN:
            whole = False
            break
        if match.lastgroup == "mark":
            if token in _OPEN:
                entry = Entry(key.key if key else "", key.offset if key else offset, value_offset=offset)
                block.entries.append(entry)
                blocks.append((block, key, in_list))
                depth = max(depth, len(blocks) + 1)
                block, key, in_list, awaits_value = entry, None, False, False
            elif token in _CLOSE:
                if blocks:
                    block, key, in_list = blocks.pop()
                key, awaits_value = (key if in_list else None), in_list
            elif token == ":":
                awaits_value = key is not None
            elif token in "[]" and key:
                in_list = awaits_value = token == "["
                key = key if in_list else None
        elif key and awaits_value:
            block.entries.append(Entry(key.key, key.offset, token, offset))
            if not in_list:
                key, awaits_value = None, False
        elif match.lastgroup == "word":
            key = Entry(token, offset)
    starts = (0, *(match.end() for match in re.finditer("\n", text)))
    return TextTree(top, depth, whole, starts)
