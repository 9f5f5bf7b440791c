"""Many subjects added up: rates of the right whole, reasons that are counted, samples that are bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.unit.core.kit import BANNER, DAY, MAIL, journey
from tests.unit.core.shadows.kit import beside, compared, steps_beside
from workers.core.shadows.differences import KINDS, Compared, Difference
from workers.core.shadows.history import Run
from workers.core.shadows.tally import OTHERS, REASONS_MAX, Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

OFFER: dict[str, Any] = {"send": {"email": "offer"}}


def of(steps: Sequence[Any], shadow: Sequence[Any]) -> list[Compared]:
    """What comes of one person in a journey and its shadow."""
    world = steps_beside(list(steps), list(shadow))
    world.track("limit")
    world.advance(DAY)
    return compared(world.decisions)


def test_rates_are_of_what_could_have_differed() -> None:
    """Of two people with two messages each, one of whom has a third in the shadow."""
    tally = Tally()
    tally.add("user", "ada", of([BANNER, MAIL], [BANNER, MAIL]))
    tally.add("user", "bob", of([BANNER, MAIL], [BANNER, MAIL, OFFER]))
    assert (tally.enrollments, tally.messages, tally.differing, tally.share) == (2, 5, 1, 0.5)
    assert tally.rate("message_only_in_shadow") == 0.2
    report = tally.report()
    assert report["enrollments"] == {"shadow": 2, "running": 2, "both": 2}
    assert report["messages"] == {"shadow": 5, "running": 4, "either": 5, "held_in_running": 0}
    assert report["differences"].keys() == set(KINDS)
    (group,) = report["differences"]["message_only_in_shadow"]["reasons"]
    assert (group["reason"], group["number"]) == ("it had ended, completed", 1)
    assert (group["sample"][0]["subject"], group["sample"][0]["what"]) == ("bob", "email offer")


def test_an_entry_of_one_side_is_of_all_enrollments() -> None:
    """Each that both have counts once."""
    entry = {"on": {"event": "limit"}, "again": "always", "require": [{"trait": "vip", "eq": True}]}
    tally = Tally()
    for vip in (True, False):
        world = beside(journey(), journey(entry=entry))
        world.traits["vip"] = vip
        world.track("limit")
        tally.add("user", f"vip {vip}", compared(world.decisions))
    assert (tally.enrollments, tally.both, tally.rate("entered_only_in_running")) == (2, 1, 0.5)


def test_nothing_is_a_share_of_nothing() -> None:
    """Whoever asks has to look whether there was anybody."""
    tally = Tally()
    tally.add("user", "ada", [])
    assert (tally.subjects, tally.enrollments, tally.share) == (0, 0, 0.0)


def test_what_is_ignored_makes_nothing_different_and_is_counted() -> None:
    """By its kind, or by its reason."""
    for ignored in ("message_only_in_shadow", "it had ended, completed"):
        tally = Tally(ignored=[ignored])
        tally.add("user", "bob", of([BANNER], [BANNER, OFFER]))
        assert (tally.differing, tally.ignored) == (0, 1)
        assert not any(found.number for found in tally.found.values())


def test_reasons_and_samples_are_bounded() -> None:
    """Whatever reasons exits have; what is beyond is counted together, and keeps its reason in the sample."""
    tally = Tally(sample=2)
    run = Run("e", "user", 0, holdout=False)
    for number in range(3 * REASONS_MAX):
        one = Difference("exit", "e", "", f"request: {number}", 1, 2)
        tally.add("user", f"u{number}", [Compared(run, run, (one,), 0)])
    found = tally.found["exit"]
    assert found.number == found.reasons.total() == 3 * REASONS_MAX
    assert (len(found.reasons), found.reasons[OTHERS]) == (REASONS_MAX + 1, 2 * REASONS_MAX)
    assert [one["reason"] for one in found.samples[OTHERS]] == ["request: 100", "request: 101"]
