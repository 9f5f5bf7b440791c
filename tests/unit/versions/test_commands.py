"""What ``publish`` and ``journey list`` tell of those inside, a shadow's people among them."""

from __future__ import annotations

import pytest

from workers.core.journeys.releases import Cell, Fate
from workers.versions.commands import fate_line, inside_lines

AT = "31 user(s) in upsell v1 at step 3"


@pytest.mark.parametrize(
    ("journey", "version", "steps", "said"),
    [
        ("upsell", "v1", ("3",), f"{AT}: stay"),
        ("upsell", "v2", ("4",), f"{AT}: go on in v2 at step 4"),
        ("upsell", None, (), f"{AT}: STUCK (version_gone)"),
        ("upsell~shadow", None, (), "31 user(s) in upsell~shadow v1 at step 3: end with the shadow"),
    ],
)
def test_each_place_is_told_with_what_becomes_of_it(
    journey: str, version: str | None, steps: tuple[str, ...], said: str
) -> None:
    """Nobody is called stuck whose end is meant, and keeps nobody from publishing."""
    assert fate_line(Fate(Cell("user", journey, "v1", ("3",)), 31, version, steps, "version_gone")) == said


def test_a_shadows_people_are_counted_apart() -> None:
    """With those of each version; of a shadow that nobody has entered yet too."""
    people = {
        Cell("user", "upsell", "v1", ("0",)): 2,
        Cell("user", "upsell", "v1", ("1",)): 3,
        Cell("user", "upsell", "v0", ("1",)): 1,
        Cell("user", "upsell~shadow", "v2", ("1",)): 4,
        Cell("user", "other", "v1", ("1",)): 9,
    }
    assert inside_lines("upsell", "v2", people) == ["v0  1 inside", "v1  5 inside", "shadow v2  4 inside"]
    assert inside_lines("upsell", None, people) == ["v0  1 inside", "v1  5 inside"]
    assert inside_lines("upsell", "v3", {}) == ["shadow v3  0 inside"]
