"""The chart of usage that goes with a lead."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.core.templates.chart import bar_chart

SVG = "{http://www.w3.org/2000/svg}"


def test_bars_are_as_high_as_their_values_and_tell_the_limit() -> None:
    """The highest number fills the room; what is above the limit has another colour."""
    chart = ET.fromstring(bar_chart("API calls <week>", [50, 100, 25], 80))  # noqa: S314 - our own text
    bars = chart.findall(f"{SVG}rect")[1:]
    heights = [float(bar.get("height", "0")) for bar in bars]
    assert heights == [98.0, 196.0, 49.0]
    colours = [bar.get("fill") for bar in bars]
    assert colours[0] == colours[2] != colours[1]
    assert chart.findtext(f"{SVG}title") == "API calls <week>: last 25 of 80"
    (line,) = chart.findall(f"{SVG}line")
    assert float(line.get("y1", "0")) == pytest.approx(240 - 0.8 * 196)


@given(
    st.lists(st.floats(0, 1e12), min_size=1, max_size=400),
    st.none() | st.floats(0, 1e12),
    st.text(max_size=30),
)
def test_whatever_the_numbers_are_nothing_is_drawn_outside(
    values: list[float], limit: float | None, title: str
) -> None:
    """Each bar is inside of the picture."""
    printable = "".join(char for char in title if char.isprintable())
    chart = ET.fromstring(bar_chart(printable, values, limit))  # noqa: S314 - our own text
    bars = chart.findall(f"{SVG}rect")[1:]
    assert len(bars) == len(values)
    for bar in bars:
        x, y = float(bar.get("x", "")), float(bar.get("y", ""))
        assert -0.1 <= x <= 600
        assert 43.9 <= y <= 240.1
        assert y + float(bar.get("height", "")) <= 240.2


@pytest.mark.parametrize(
    ("values", "limit"),
    [([], None), ([1] * 401, None), ([-1], None), ([float("nan")], None), ([1], float("inf"))],
)
def test_numbers_that_cannot_be_drawn_are_refused(values: list[float], limit: float | None) -> None:
    """No empty or broken picture."""
    with pytest.raises(ValueError, match="a chart"):
        bar_chart("x", values, limit)
