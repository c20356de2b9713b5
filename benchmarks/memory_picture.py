"""Curves as an SVG picture: both axes logarithmic, a legend beside them. Needs nothing but text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

LEFT, TOP, WIDTH, HEIGHT, LEGEND = 70, 20, 560, 340, 260
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's, which people who see few colours tell apart."""
DASHES = ("", "6 4", "2 3", "8 3 2 3")


def picture(lines: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str) -> str:
    """Return an SVG of lines through points (x, y), both above 0; `across` and `up` say what they are.

    There must be two values of x at least.
    """
    points = [p for line in lines.values() for p in line]
    xs, ys = sorted({x for x, _ in points}), [y for _, y in points]
    right, top = max(xs), max(*ys, 1.5)
    low, bottom = min(xs), min(*ys, 0.9)

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + WIDTH * math.log(x / low) / math.log(right / low),
            TOP + HEIGHT * (1 - math.log(y / bottom) / math.log(top / bottom)),
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + LEGEND}" height="{TOP + HEIGHT + 60}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="100%" height="100%" fill="white"/><rect x="{LEFT}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" '
        'fill="none" stroke="#888"/>',
    ]
    for x in xs:
        at = place(x, bottom)[0]
        parts.append(f'<line x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{TOP + HEIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{at:.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{x:g}</text>')
    for y in (t for t in (0.5, 1, 1.25, 1.5, 2, 3, 5, 10, 20, 50) if bottom <= t <= top):
        at = place(low, y)[1]
        parts.append(f'<line x1="{LEFT}" y1="{at:.1f}" x2="{LEFT + WIDTH}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{y:g}</text>')
    for number, (name, line) in enumerate(lines.items()):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
        style = f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in (place(x, y) for x, y in sorted(line)))
        key = TOP + 10 + 18 * number
        start = LEFT + WIDTH + 20
        parts.append(f'<polyline points="{path}" {style}/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in (place(*p) for p in line)]
        parts.append(f'<line x1="{start}" y1="{key}" x2="{start + 30}" y2="{key}" {style}/>')
        parts.append(f'<text x="{start + 38}" y="{key + 4}">{escape(name)}</text>')
    middle = TOP + HEIGHT / 2
    parts.append(f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 42}" text-anchor="middle">{escape(across)}</text>')
    parts.append(f'<text transform="translate(20 {middle}) rotate(-90)" text-anchor="middle">{escape(up)}</text>')
    return "\n".join([*parts, "</svg>", ""])
