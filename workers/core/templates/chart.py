"""A small bar chart as SVG: a series of numbers, oldest first, and the limit that it comes close to. Pure.

Twenty lines of SVG need no drawing library: those at hand weigh more than the rest of the senders.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

BARS_MAX: Final = 400
_WIDTH, _HEIGHT, _TOP, _GAP = 600, 240, 44, 2
_BAR, _OVER, _LIMIT = "#4f7cac", "#c8553d", "#7a1f1f"


def bar_chart(title: str, values: Sequence[float], limit: float | None = None) -> str:
    """The chart as a whole SVG document; bars above ``limit`` have another colour, and a line shows it.

    Raises:
        ValueError: there are no values, too many, or some are negative or not finite.
    """
    numbers = [*values, *([] if limit is None else [limit])]
    if not 0 < len(values) <= BARS_MAX:
        raise ValueError(f"a chart has 1 to {BARS_MAX} values")
    if any(not math.isfinite(number) or number < 0 for number in numbers):
        raise ValueError("a chart's values are numbers of 0 or more")
    top = max(numbers) or 1.0
    room = _HEIGHT - _TOP
    step = _WIDTH / len(values)
    bars = "".join(
        f'<rect x="{at * step:.1f}" y="{_HEIGHT - value / top * room:.1f}" '
        f'width="{max(step - _GAP, step / 2):.1f}" height="{value / top * room:.1f}" '
        f'fill="{_OVER if limit is not None and value > limit else _BAR}"/>'
        for at, value in enumerate(values)
    )
    line = ""
    if limit is not None:
        y = f"{_HEIGHT - limit / top * room:.1f}"
        line = f'<line x1="0" y1="{y}" x2="{_WIDTH}" y2="{y}" stroke="{_LIMIT}" stroke-dasharray="6 4"/>'
    label = f"{title}: last {values[-1]:g}" + (f" of {limit:g}" if limit is not None else "")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"><title>{escape(label)}</title>'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>'
        f'<text x="4" y="26" font-family="sans-serif" font-size="18" fill="#222222">{escape(label)}</text>'
        f"{bars}{line}</svg>"
    )
