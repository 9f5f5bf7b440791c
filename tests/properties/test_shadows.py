"""A version beside itself differs in nothing, and what is taken from one side is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.properties.test_releases import STEPS
from tests.unit.core.kit import HOUR
from tests.unit.core.shadows.kit import SPAN, compared, differences, steps_beside
from workers.core.journeys.lineage import is_shadow
from workers.core.shadows.history import SENT

if TYPE_CHECKING:
    from tests.unit.core.kit import World

HAPPENED = st.lists(st.tuples(st.sampled_from(["limit", "paid", "seats", "none"]), st.integers(1, 200)))


def live(world: World, happened: list[tuple[str, int]]) -> None:
    """Events come, traits change and hours pass."""
    for number, (what, hours) in enumerate(happened):
        if what == "seats":
            world.identify(seats=number, vip=number % 2 == 0)
        elif what != "none":
            world.track(what)
        world.advance(hours * HOUR)


@given(STEPS, HAPPENED)
def test_a_version_beside_itself_differs_in_nothing(
    steps: list[Any], happened: list[tuple[str, int]]
) -> None:
    """Whatever its steps are and whatever happens; its decisions are those of the engine's core."""
    world = steps_beside(steps, steps)
    world.track("limit")
    live(world, happened)
    assert differences(world) == []


@given(STEPS, HAPPENED, st.data())
def test_a_message_that_one_side_lacks_is_found(
    steps: list[Any], happened: list[tuple[str, int]], data: st.DataObject
) -> None:
    """One difference of that kind, on the side that has it."""
    world = steps_beside([*steps, {"send": {"sms": "last"}}], [*steps, {"send": {"sms": "last"}}])
    world.track("limit")
    live(world, happened)
    sent = [one for one in world.decisions if one.kind == "send" and one.outcome in SENT]
    if not sent:
        return
    gone = data.draw(st.sampled_from(sent))
    left = [one for one in world.decisions if one.id != gone.id]
    found = [one.kind for each in compared(left) for one in each.differences]
    lacking = "message_only_in_running" if is_shadow(gone.journey) else "message_only_in_shadow"
    certain = SPAN.is_certain(gone.at_ms)
    assert lacking in found or "message_changed" in found or "message_time" in found or not certain


@given(STEPS, HAPPENED, st.integers(0, 1_000))
def test_the_order_of_simultaneous_decisions_of_the_two_makes_no_difference(
    steps: list[Any], happened: list[tuple[str, int]], late_ms: int
) -> None:
    """One may be decided a moment after the other."""
    world = steps_beside(steps, steps)
    world.track("limit")
    live(world, happened)
    moved = [
        replace(one, at_ms=one.at_ms + late_ms) if is_shadow(one.journey) else one for one in world.decisions
    ]
    assert [one for each in compared(moved) for one in each.differences] == []
