"""Changes to the tokens of a text: words, strings, marks and blanks stay whole, and change places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

_TOKEN = re.compile(r"\s+|\"(?:[^\"\\\n]|\\.)*\"?|[{}<>\[\]:;,#]|[^\s{}<>\[\]:;,\"#]+")

NUMBERS: tuple[str, ...] = (
    "0",
    "-1",
    "1",
    "2",
    "3",
    "64",
    "65536",
    "2147483647",
    "2147483648",
    "4294967296",
    "9223372036854775807",
)
NUMBERS += ("9223372036854775808", "-9223372036854775808", "9" * 60, "9" * 200, "1e308", "1e309", "-1e-400", "0.5")
NUMBERS += ("nan", "inf", "1_000", "0x10", "+7", "1e5", ".5", "5.", "--1", "1.5.2")
"""Numbers of all sizes, and what only looks like one."""

WORDS: tuple[str, ...] = (
    *NUMBERS,
    "true",
    "off",
    '""',
    '"\\u0000"',
    '"\\U0010FFFF"',
    '"\\ud800"',
    '"../x"',
    '"/etc/passwd"',
    '"/dev/zero"',
)
WORDS += (
    '"a\\',
    '"' + "x" * 300 + '"',
    "x" * 5000,
    "\0",
    "\ufeff",
    "\u2028",
    "é",
    "\x1b[31m",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "#",
)
WORDS += ("{" * 150, "[" * 50, "\n", "\r", '"', "'")
"""What stands where it should not."""


def tokens(text: str) -> list[str]:
    """Return the text in pieces; joined they are the text."""
    return _TOKEN.findall(text)


def mutated_tokens(random: Random, text: str, others: Sequence[str], words: Sequence[str] = WORDS) -> str:
    """Return the text after one to eight changes of tokens or ranges of tokens."""
    pieces = tokens(text)
    for _ in range(min(random.randint(1, 8), random.randint(1, 8))):
        place = random.randint(0, len(pieces))
        end = min(len(pieces), place + random.choice((1, 1, 1, 2, 5, 20)))
        match random.randrange(7):
            case 0:
                del pieces[place:end]
            case 1:
                pieces[place:place] = pieces[place:end] * random.choice((1, 2, 20))
            case 2:
                pieces[place:end] = [random.choice(words)]
            case 3:
                pieces.insert(place, random.choice(words))
            case 4 if pieces:
                other = random.randrange(len(pieces))
                if place < len(pieces):
                    pieces[place], pieces[other] = pieces[other], pieces[place]
            case 5 if others:
                donor = tokens(random.choice(others))
                start = random.randint(0, len(donor))
                pieces[place:end] = donor[start : start + random.choice((1, 3, 10, 50))]
            case _:
                numbers = [i for i, piece in enumerate(pieces) if piece[:1].isdigit()]
                if numbers:
                    pieces[random.choice(numbers)] = random.choice(NUMBERS)
    return "".join(pieces)
