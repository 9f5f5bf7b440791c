"""A shadow counts what it would have sent itself, and of others what they sent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.core.kit import BANNER, DAY, HOUR, MAIL, START, World, journey
from tests.unit.core.releases_kit import Publisher, edited
from tests.unit.core.shadows.kit import account_beside, beside, told
from workers.core.journeys.progress import Progress, SentMessage, Shadowed, pruned
from workers.core.journeys.releases import Wishes
from workers.core.journeys.shadowing import SHADOWED_MAX, merge_shadows, seen, with_shadowed
from workers.core.merge import merge_progress

TWICE: dict[str, Any] = {"caps": [{"max": 2, "within": "7d"}]}
ONCE: dict[str, Any] = {"send": {"in_app": "banner", "once": "user"}}
UNSENT: dict[str, Any] = {"on": {"event": "limit"}, "again": "always"} | {
    "exclude": [{"received": {"tag": "upsell"}, "within": "30d"}]
}


def sends(world: World, name: str) -> list[tuple[str, str | None]]:
    """Outcome and reason of each send of a journey."""
    return [
        (one.outcome, one.reason) for one in world.decisions if one.journey == name and one.kind == "send"
    ]


def twins(world: World) -> tuple[list[str], list[str]]:
    """What each version of the journey sent, or was kept from; a shadow sends where it would have."""
    shadow = [
        "send" if outcome == "would_send" else f"{outcome} {why}"
        for outcome, why in sends(world, "upsell~shadow")
    ]
    running = ["send" if outcome == "send" else f"{outcome} {why}" for outcome, why in sends(world, "upsell")]
    return shadow, running


@pytest.mark.parametrize(
    ("why", "plain", "messages"),
    [
        ("a cap counts each one's own messages", journey(steps=[BANNER, MAIL, BANNER]), TWICE),
        ("what may come once comes once in each", journey(steps=[ONCE, ONCE]), {}),
        ("who received one is excluded by their own", journey(entry=UNSENT, tags=["upsell"]), {}),
        (
            "a condition of a step sees their own",
            journey(
                steps=[
                    BANNER,
                    {
                        "branch": [
                            {"when": {"received": {"channel": "in_app"}, "within": "1d"}, "steps": [MAIL]}
                        ]
                    },
                ]
            ),
            {},
        ),
        (
            "a cap of the journey by its name counts the shadow's too",
            journey(steps=[BANNER, MAIL]),
            {"caps": [{"max": 1, "within": "7d", "journey": "upsell"}]},
        ),
        (
            "a journey is no rival to its own shadow",
            journey(steps=[MAIL], tags=["sale"]),
            {"exclusive": [{"tag": "sale", "within": "7d"}]},
        ),
    ],
)
def test_a_version_beside_itself_decides_the_same(
    why: str, plain: dict[str, Any], messages: dict[str, Any]
) -> None:
    """Also when the subject comes again; the running version goes first."""
    world = beside(plain, plain, **messages)
    for _ in range(3):
        world.track("limit")
        world.advance(HOUR)
    assert told(world) == []
    shadow, running = twins(world)
    assert shadow == running
    assert "send" in running


def test_a_condition_of_a_step_does_not_see_what_the_running_version_sent() -> None:
    """The person had it; whoever the shadow runs for alone would not have."""
    received = {"received": {"channel": "in_app"}, "within": "1d"}
    shadow = journey(steps=[{"branch": [{"when": received, "steps": [MAIL]}]}])
    world = beside(journey(steps=[BANNER]), shadow)
    world.track("limit")
    assert twins(world) == ([], ["send"])


def test_what_other_journeys_sent_counts_for_both() -> None:
    """A cap is the person's: two messages of another journey leave no room in either."""
    other = journey("tips", entry={"on": {"event": "learned"}, "again": "always"}, steps=[MAIL])
    world = beside(journey(), journey(), other, **TWICE)
    world.track("learned")
    world.track("learned")
    world.track("limit")
    assert twins(world) == (["skip cap"], ["skip cap"])


def test_nobody_else_sees_what_a_shadow_would_have_sent() -> None:
    """Neither the running version, nor another journey, nor the shadow of another."""
    other = journey("tips", entry={"on": {"event": "learned"}, "again": "always"}, steps=[MAIL])
    world = beside(journey(steps=[BANNER]), journey(steps=[BANNER, MAIL]), other, **TWICE)
    world.track("limit")
    world.track("learned")
    assert sends(world, "tips") == [("send", None)]
    assert [one.journey for one in world.progress.messages] == ["upsell", "tips"]
    row = seen(world.progress, "tips~shadow", 0)
    assert [one.journey for one in row.messages] == ["upsell"]


def test_what_the_running_version_sent_before_the_shadow_began_counts_for_both() -> None:
    """It would have been there had the new version replaced the old one."""
    publisher = Publisher()
    publisher.publish(edited([BANNER], entry=UNSENT, tags=["upsell"]))
    publisher.world.track("limit")
    publisher.world.advance(DAY)
    publisher.publish(edited([MAIL], entry=UNSENT, tags=["upsell"]), wishes=Wishes(shadows={"upsell"}))
    publisher.world.track("limit")
    declined = [(one.journey, one.outcome) for one in publisher.world.decisions][-2:]
    assert declined == [("upsell", "declined"), ("upsell~shadow", "declined")]


def test_a_message_that_the_gate_would_hold_counts_from_when_it_would_be_released() -> None:
    """The shadow goes on at once; a cap counts the message, and no condition has seen it yet."""
    quiet = {"quiet_hours": [{"from": "00:00", "to": "23:00"}], "caps": [{"max": 1, "within": "7d"}]}
    world = beside(journey(steps=[MAIL, BANNER]), journey(steps=[MAIL, BANNER]), **quiet)
    world.track("limit")
    (held,) = world.progress.shadows["upsell~shadow"].messages
    assert held.at_ms > world.now_ms
    assert sends(world, "upsell~shadow") == [("would_send", "shadow"), ("skip", "cap")]


def test_who_is_held_out_is_so_in_both_and_caps_count_them_alike() -> None:
    """What a holdout would have had counts for caps, and nobody received it."""
    plain = journey(steps=[BANNER, MAIL, BANNER], holdout="100%")
    world = beside(plain, plain, **TWICE)
    world.track("limit")
    shadow, running = ([why for why, _ in sends(world, name)] for name in ("upsell~shadow", "upsell"))
    assert shadow == running == ["would_send", "would_send", "skip"]
    assert not world.progress.shadows["upsell~shadow"].messages
    assert len(world.progress.shadows["upsell~shadow"].withheld) == 2


def test_an_accounts_shadow_counts_what_it_would_have_asked_for() -> None:
    """`received` of an account looks at what its journeys asked for."""
    entry = UNSENT | {"exclude": [{"received": {"channel": "in_app"}, "within": "30d"}]}
    plain = journey(subject="account", entry=entry)
    world = account_beside(plain, plain)
    world.track("limit")
    world.track("limit")
    assert [(one.journey, one.shadow) for one in world.requests] == [
        ("upsell", False),
        ("upsell~shadow", True),
    ]
    entries = [(one.journey, one.outcome) for one in world.decisions if one.kind == "entry"]
    assert entries[-2:] == [("upsell", "declined"), ("upsell~shadow", "declined")]


# -- kept, pruned, merged


def sent(number: int, at_ms: int = START) -> SentMessage:
    """A message of the journey."""
    return SentMessage(f"m{number:04}", "email", ("upsell",), at_ms, "upsell")


def test_what_ends_with_a_shadow_is_forgotten_by_all_who_are_looked_at() -> None:
    """At the next publication's sweep, also of somebody who is in no journey; another version begins anew."""
    publisher = Publisher()
    publisher.publish(edited([BANNER]))
    publisher.publish(edited([MAIL]), wishes=Wishes(shadows={"upsell"}))
    publisher.world.track("limit")
    publisher.sweep()
    assert publisher.world.progress.shadows.keys() == {"upsell~shadow"}
    publisher.world.advance(1)
    publisher.publish(edited([MAIL, BANNER]), wishes=Wishes(shadows={"upsell"}))
    publisher.sweep()
    assert publisher.world.progress.shadows == {}


def test_a_shadow_that_is_published_again_as_it_is_goes_on() -> None:
    """Other changes of the workspace make no new shadow."""
    publisher = Publisher()
    publisher.publish(edited([BANNER]))
    publisher.publish(edited([MAIL]), wishes=Wishes(shadows={"upsell"}))
    publisher.world.advance(DAY)
    publisher.publish(edited([MAIL]), journey("tips"), wishes=Wishes(shadows={"upsell"}))
    assert publisher.plan.user.shadows == {"upsell~shadow": START}
    assert publisher.plan.user.journeys["upsell"].shadow_since_ms == START


def test_what_a_shadow_would_have_sent_is_pruned_as_messages_are() -> None:
    """After a week, or what conditions look back; of a shadow that is not in force at once."""
    row = Progress("u1", shadows={"a~shadow": Shadowed(1, (sent(1, START - 8 * DAY), sent(2)), (sent(3),))})
    kept = pruned(row, START, 0, {"a~shadow": 1}).shadows["a~shadow"]
    assert (kept.messages, kept.withheld) == ((sent(2),), (sent(3),))
    assert pruned(row, START, 0, {"a~shadow": 2}).shadows == {}
    assert pruned(row, START, 0, {}).shadows == {}
    again = pruned(row, START, 0, {"a~shadow": 1})
    assert pruned(again, START, 0, {"a~shadow": 1}) is again


def test_a_row_remembers_so_many_of_a_shadow_the_latest() -> None:
    """A row stays far below what a record may hold."""
    row = Progress("u1")
    for number in range(SHADOWED_MAX + 1):
        row = with_shadowed(row, "a~shadow", 1, message=sent(number, START + number), once=str(number))
    held = row.shadows["a~shadow"]
    assert len(held.messages) == len(held.once) == SHADOWED_MAX
    assert held.messages[0] == sent(1, START + 1)


def test_two_ids_of_one_person_have_what_the_shadow_would_have_sent_to_either() -> None:
    """Of the same shadow both; of an earlier one of that name nothing."""
    mine = {"a~shadow": Shadowed(2, (sent(2, START + 1),), once=("x",)), "b~shadow": Shadowed(1, (sent(4),))}
    theirs = {"a~shadow": Shadowed(2, (sent(1), sent(2, START + 1)), (sent(5),), ("y",), ("z",))}
    older = {"b~shadow": Shadowed(0, (sent(6),))}
    both = merge_progress(Progress("u1", shadows=mine), Progress("u2", shadows=theirs | older), START).shadows
    messages = (sent(1), sent(2, START + 1))
    assert both["a~shadow"] == Shadowed(2, messages, (sent(5),), ("y", "x"), ("z",))
    assert both["b~shadow"] == mine["b~shadow"]
    assert merge_shadows(both, theirs)["a~shadow"].messages == messages
