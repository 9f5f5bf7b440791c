"""Publishing with people inside: who follows, who stays, who would be lost, and that nobody is unseen."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.workspace import Journey, Workspace
from tests.unit.core.kit import journey
from tests.unit.core.releases_kit import BANNER, DAY, HOUR, MAIL, OFFER, START, WAIT, Publisher
from workers.core.compile import compile_workspace
from workers.core.journeys.alignment import align
from workers.core.journeys.lineage import SPREAD_MS, UNKNOWN_RETRY_MS
from workers.core.journeys.releases import Cell, Wishes, compose, fates, with_strays, without_left

STEPS = [BANNER, WAIT, MAIL]
BRANCH: dict[str, Any] = {
    "branch": [
        {"when": {"trait": "vip", "eq": True}, "steps": [{"wait": "1d"}, OFFER]},
        {"otherwise": [WAIT]},
    ]
}


def edited(steps: list[Any], **fields: Any) -> dict[str, Any]:
    """The journey with other steps."""
    return journey(steps=steps, **fields)


def waiting(steps: list[Any] = STEPS, **fields: Any) -> Publisher:
    """Somebody waits in a published journey: at the first wait, for two days, since now."""
    publisher = Publisher()
    publisher.publish(edited(steps, **fields))
    publisher.world.track("limit")
    return publisher


@pytest.mark.parametrize(
    ("old", "new", "at", "to"),
    [
        pytest.param(STEPS, [OFFER, BANNER, WAIT, MAIL], "1", "2", id="a step added before moves the place"),
        pytest.param(STEPS, [WAIT, MAIL], "1", "0", id="a step removed before moves the place"),
        pytest.param(STEPS, [BANNER, {"wait": "1d"}, MAIL], "1", "1", id="a changed wait is the same wait"),
        pytest.param(STEPS, [BANNER, WAIT, OFFER], "1", "1", id="a change behind leaves the place"),
        pytest.param(STEPS, [BANNER, MAIL], "1", None, id="a removed wait has no successor"),
        pytest.param([BRANCH], [BANNER, BRANCH], "0.0.0", "1.0.0", id="inside a branch that moved"),
        pytest.param([BRANCH], [{"branch": [BRANCH["branch"][0]]}], "0.1.0", None, id="an arm removed"),
        pytest.param(
            [BRANCH],
            [{"branch": [{"when": {"trait": "x", "eq": 1}, "steps": [MAIL]}, *BRANCH["branch"]]}],
            "0.0.0",
            "0.1.0",
            id="an arm added before",
        ),
        pytest.param([BRANCH], [WAIT], "0.0.0", None, id="a branch removed with all in it"),
        pytest.param(
            [WAIT, MAIL, WAIT, OFFER], [WAIT, OFFER], "2", "0", id="equal waits: told by what follows"
        ),
        pytest.param(
            [WAIT, MAIL, WAIT, OFFER], [WAIT, OFFER], "0", None, id="equal waits: the other is gone"
        ),
    ],
)
def test_a_step_is_found_again(old: list[Any], new: list[Any], at: str, to: str | None) -> None:
    """By what it says and its place among its siblings, whatever came before it."""
    models = [Journey.model_validate(edited(steps)) for steps in (old, new)]
    assert align(models[0], models[1], {}).steps[at] == to


def test_moves_are_for_steps_that_are_gone() -> None:
    """A file keeps its moves after the edit they were written for: then they must do no harm."""
    old = Journey.model_validate(edited(STEPS))
    gone = Journey.model_validate(edited([BANNER, MAIL]))
    assert align(old, gone, {"1": "1"}).steps == {"0": "0", "1": "1", "2": "1"}
    assert align(old, gone, {"1": "7"}).steps["1"] is None
    assert align(old, old, {"1": "2"}).changed() == {}


@pytest.mark.parametrize(
    ("policy", "steps", "sent"),
    [
        pytest.param("follow", [BANNER, WAIT, OFFER], ["banner", "offer"], id="follow: the new step comes"),
        pytest.param(
            "follow", [OFFER, *STEPS], ["banner", "mail"], id="follow: what was added before does not"
        ),
        pytest.param("pin", [BANNER, WAIT, OFFER], ["banner", "mail"], id="pin: the old step comes"),
        pytest.param("pin", [OFFER], ["banner", "mail"], id="pin: also where the wait is gone"),
        pytest.param("drain", [OFFER], ["banner", "mail"], id="drain: they finish theirs"),
        pytest.param("drain", None, ["banner", "mail"], id="drain: also of a journey that was removed"),
        pytest.param("pin", None, ["banner", "mail"], id="pin: also of a journey that was removed"),
        pytest.param("follow", None, ["banner"], id="follow: a journey that was removed ends"),
        pytest.param("follow", [BANNER, MAIL], ["banner"], id="follow: a step without successor ends"),
    ],
)
@pytest.mark.parametrize("sweeping", [True, False], ids=["swept", "found by their timer"])
def test_policies(policy: Any, steps: list[Any] | None, sent: list[str], sweeping: bool) -> None:
    """What somebody inside gets after an edit, whether or not they were looked at before their time came."""
    publisher = waiting()
    edit = [] if steps is None else [edited(steps)]
    publisher.publish(*edit, wishes=Wishes(policies={"upsell": policy}))
    if sweeping:
        publisher.sweep()
        publisher.sweep()
    publisher.world.advance(3 * DAY)
    assert publisher.world.sent() == sent
    gone = policy == "follow" and sent == ["banner"]
    reason = ("journey_gone" if steps is None else "version_gone") if gone else None
    assert publisher.world.outcomes("exit") == [("exited" if gone else "completed", reason)]


@pytest.mark.parametrize(
    ("wait", "after_ms"),
    [
        pytest.param("3d", 3 * DAY, id="a longer wait ends later"),
        pytest.param("30h", 30 * HOUR, id="a shorter wait ends earlier, counted from its beginning"),
    ],
)
def test_a_changed_wait_is_counted_from_its_beginning(wait: str, after_ms: int) -> None:
    """Who waits already waits as long as those who come after."""
    publisher = waiting()
    publisher.world.advance(DAY)
    publisher.publish(edited([BANNER, {"wait": wait}, MAIL]))
    publisher.sweep()
    publisher.world.advance(after_ms - DAY - 1)
    assert publisher.world.sent() == ["banner"]
    publisher.world.advance(1)
    assert publisher.world.sent() == ["banner", "mail"]


def test_who_waited_longer_than_the_new_wait_goes_on_within_minutes() -> None:
    """Not all in the same second: a million of them would be a burst."""
    publisher = waiting()
    publisher.world.advance(DAY)
    publisher.publish(edited([BANNER, {"wait": "1h"}, MAIL]))
    publisher.sweep()
    (timer,) = publisher.world.timers.values()
    assert START + DAY <= timer.due_ms < START + DAY + SPREAD_MS
    publisher.world.advance(SPREAD_MS)
    assert publisher.world.sent() == ["banner", "mail"]


def test_a_sleeper_takes_all_moves_that_were_published_meanwhile() -> None:
    """One by one or all at once: the same place."""
    places = []
    for sweeping in (True, False):
        publisher = waiting()
        for steps in ([OFFER, *STEPS], [OFFER, OFFER, *STEPS], [WAIT, MAIL]):
            publisher.publish(edited(steps))
            if sweeping:
                publisher.sweep()
        publisher.sweep()
        (inside,) = publisher.world.progress.enrollments
        places.append((inside.version == publisher.version(), inside.step, inside.due_ms))
    assert places == [(True, "0", START + 2 * DAY)] * 2


def test_who_was_pinned_stays_pinned_when_the_next_edit_is_followed() -> None:
    """Pinned is until the end."""
    publisher = waiting()
    publisher.publish(edited([OFFER]), wishes=Wishes(policies={"upsell": "pin"}))
    publisher.publish(edited([OFFER, OFFER]))
    publisher.sweep()
    publisher.world.advance(2 * DAY)
    assert publisher.world.sent() == ["banner", "mail"]


def test_rolling_back_brings_everybody_back() -> None:
    """Also who was carried over already; versions that follow each other make no circle."""
    publisher = waiting()
    for version in (None, "w1", "w2", "w1"):
        publisher.publish(edited([OFFER, *STEPS]), version=version)
        publisher.sweep()
        (inside,) = publisher.world.progress.enrollments
        assert (inside.version, inside.step) == (publisher.version(), "1" if version == "w1" else "2")
    assert publisher.in_force is not None
    assert [one.version for one in publisher.in_force.history] == ["w1", "w2", "w1", "w2", "w1"]
    assert publisher.in_force.serial == 5


def test_exits_and_goals_of_a_pinned_version_hold_for_its_people() -> None:
    """They finish the journey that they entered, with its rules."""
    rules: dict[str, Any] = {
        "exit": [{"when": {"event": "left"}}],
        "goal": {"event": "bought", "within": "9d"},
    }
    publisher = waiting(**rules)
    publisher.publish(
        edited([OFFER], exit=[{"when": {"event": "gone"}}]), wishes=Wishes(policies={"upsell": "pin"})
    )
    publisher.world.track("gone")
    assert publisher.world.outcomes("exit") == []
    publisher.world.track("bought")
    publisher.world.track("left")
    assert publisher.world.outcomes("exit") == [("exited", "event: left")]
    assert [one.event for one in publisher.world.conversions] == ["bought"]


@pytest.mark.parametrize(("policy", "template"), [("pin", "banner"), ("drain", "offer"), ("follow", "offer")])
def test_who_was_found_eligible_before_the_edit(policy: Any, template: str) -> None:
    """pin: enters the version whose rules chose them; drain and follow: the new one."""
    publisher = Publisher()
    publisher.publish(edited([BANNER, WAIT]))
    records, _ = publisher.world.signal("limit")
    publisher.publish(edited([OFFER]), wishes=Wishes(policies={"upsell": policy}))
    publisher.world.enroll(records[0])
    assert publisher.world.sent() == [template]


def test_what_a_pinned_version_counts_is_still_counted() -> None:
    """Its conditions ask about events that the new version knows nothing of."""
    branch = {"branch": [{"when": {"performed": "used", "at_least": 2, "within": "9d"}, "steps": [OFFER]}]}
    publisher = waiting([BANNER, WAIT, branch])
    publisher.publish(edited([BANNER]), wishes=Wishes(policies={"upsell": "pin"}))
    publisher.world.track("used")
    publisher.world.track("used")
    publisher.world.advance(2 * DAY)
    assert publisher.world.sent() == ["banner", "offer"]


def test_a_message_of_the_new_version_is_not_taken_for_one_of_the_old_at_its_place() -> None:
    """Ids of messages hold the path, and another message may stand there now."""
    publisher = waiting([BANNER, OFFER, WAIT])
    publisher.publish(edited([WAIT, MAIL]))
    publisher.sweep()
    publisher.world.advance(2 * DAY)
    assert publisher.world.sent() == ["banner", "offer", "mail"]


@pytest.mark.parametrize(
    ("steps", "wishes", "stuck"),
    [
        pytest.param([BANNER, MAIL], Wishes(), True, id="the step is gone"),
        pytest.param([BANNER, MAIL], Wishes(moves={"upsell": {"1": "1"}}), False, id="and a move says where"),
        pytest.param([BANNER, MAIL], Wishes(policies={"upsell": "pin"}), False, id="or they are pinned"),
        pytest.param(None, Wishes(), True, id="the journey is gone"),
        pytest.param(None, Wishes(policies={"upsell": "drain"}), False, id="and they drain"),
        pytest.param([OFFER, *STEPS], Wishes(), False, id="the step moved"),
    ],
)
def test_a_preview_tells_who_would_be_stuck(steps: list[Any] | None, wishes: Wishes, stuck: bool) -> None:
    """Before anything is published, by the engine's own rule."""
    publisher = waiting()
    plan = publisher.propose(*([] if steps is None else [edited(steps)]), wishes=wishes)
    assert publisher.fates(plan, "1").is_stuck is stuck


def test_versions_that_nobody_is_inside_of_are_let_go_a_week_later() -> None:
    """Records on their way may name them that long; a version on somebody's way is kept too."""
    publisher = waiting()
    first = publisher.version() or ""
    publisher.publish(edited([OFFER, *STEPS]))
    second = publisher.version() or ""
    publisher.publish(edited([OFFER, OFFER, *STEPS]))
    in_force, now_ms = publisher.in_force, START + 8 * DAY
    assert in_force is not None
    someone = {Cell("user", "upsell", first, ("1",)): 1}
    assert set(without_left(in_force, {}, START).journeys["upsell"].older) == {first, second}
    assert set(without_left(in_force, someone, now_ms).journeys["upsell"].older) == {first, second}
    assert without_left(in_force, {}, now_ms).journeys["upsell"].older == {}


def test_a_paused_journey_takes_nobody_and_runs_no_step_and_lets_people_leave() -> None:
    """Exits act as ever; time goes on, and what falls due is held."""
    publisher = waiting(exit=[{"when": {"event": "left"}}])
    publisher.say("upsell", "paused")
    publisher.world.advance(3 * DAY)
    assert publisher.world.sent() == ["banner"]
    publisher.world.track("left")
    assert publisher.world.outcomes("exit") == [("exited", "event: left")]
    publisher.world.track("limit")
    assert publisher.world.outcomes("entry")[-1] == ("declined", "paused")


def test_after_a_pause_what_fell_due_runs_in_its_order_and_spread() -> None:
    """The order of the due times, squeezed into the declared time; what is due later keeps its time."""
    publisher = waiting()
    publisher.say("upsell", "paused")
    publisher.world.advance(4 * DAY)
    publisher.say("upsell", "running", spread_ms=8 * HOUR)
    publisher.sweep()
    publisher.sweep()
    (timer,) = publisher.world.timers.values()
    assert timer.due_ms == START + 4 * DAY + 4 * HOUR
    publisher.world.advance(4 * HOUR)
    assert publisher.world.sent() == ["banner", "mail"]


@pytest.mark.parametrize(
    ("state", "sent", "entry"),
    [("draining", ["banner", "mail"], "draining"), ("stopped", ["banner"], "stopped")],
)
@pytest.mark.parametrize("sweeping", [True, False])
def test_stopping_drains_or_ejects(state: Any, sent: list[str], entry: str, sweeping: bool) -> None:
    """Nobody enters; those inside finish, or end at once."""
    publisher = waiting()
    publisher.say("upsell", state)
    if sweeping:
        publisher.sweep()
        assert publisher.world.outcomes("exit") == ([("exited", "stopped")] if state == "stopped" else [])
    publisher.world.advance(3 * DAY)
    publisher.world.track("limit")
    assert publisher.world.sent() == sent
    assert publisher.world.outcomes("entry")[-1] == ("declined", entry)


def test_a_shadow_runs_beside_the_journey_and_nobody_gets_anything_of_it() -> None:
    """Its own entries, steps and goals, told apart by name; no message, no cap, no conversion."""
    goal = {"goal": {"event": "bought", "within": "9d"}}
    publisher = Publisher()
    publisher.publish(edited([BANNER], **goal))
    publisher.publish(edited([OFFER, WAIT, MAIL], **goal), wishes=Wishes(shadows={"upsell"}))
    publisher.world.track("limit")
    publisher.world.advance(2 * DAY)
    publisher.world.track("bought")
    world = publisher.world
    assert world.sent() == ["banner"]
    assert [one.journey for one in world.conversions] == ["upsell"]
    shadow = [one for one in world.decisions if one.journey == "upsell~shadow"]
    assert [(one.kind, one.outcome, one.reason) for one in shadow] == [
        ("entry", "enrolled", None),
        ("send", "would_send", "shadow"),
        ("send", "would_send", "shadow"),
        ("exit", "completed", None),
        ("goal", "converted", None),
    ]
    assert len(world.progress.messages) == 1


def test_a_shadow_that_becomes_the_journey_starts_without_its_shadows_history() -> None:
    """Who went through the shadow never got anything: they may still enter once."""
    publisher = Publisher()
    once = {"entry": {"on": {"event": "limit"}, "again": "never"}}
    publisher.publish(edited([OFFER, WAIT], shadow=True, **once))
    publisher.world.track("limit")
    publisher.publish(edited([OFFER, WAIT], **once))
    publisher.sweep()
    assert publisher.world.outcomes("exit") == [("exited", "journey_gone")]
    publisher.world.track("limit")
    assert publisher.world.sent() == ["offer"]


def test_what_is_said_about_an_edit_is_no_edit() -> None:
    """A policy or a move in the file makes no new version: nobody would have to go anywhere."""
    said = edited(STEPS, on_edit="pin", moves={"1": "2"})
    plans = [
        compile_workspace(Workspace(name="w", journeys=(Journey.model_validate(one),)))
        for one in (edited(STEPS), said)
    ]
    assert plans[0].user.journeys["upsell"].version == plans[1].user.journeys["upsell"].version


def test_a_worker_that_is_behind_leaves_people_of_newer_versions_as_they_are() -> None:
    """A partition came to a worker that has not read, or refuses, what its people run: it must not guess."""
    publisher = waiting()
    behind = publisher.plan.user
    publisher.publish(edited([OFFER, *STEPS]))
    publisher.sweep()
    ahead, publisher.world.plan = publisher.world.plan, behind
    publisher.sweep()
    publisher.world.advance(2 * DAY)
    (inside,) = publisher.world.progress.enrollments
    assert (inside.version, inside.step) == (publisher.version(), "2")
    publisher.world.plan = ahead
    publisher.world.advance(UNKNOWN_RETRY_MS)
    assert publisher.world.sent() == ["banner", "mail"]


@pytest.mark.parametrize(
    ("step", "journeys", "stuck"),
    [("1", [edited(STEPS)], False), ("7", [edited(STEPS)], True), ("1", [], True)],
)
def test_people_of_a_folders_version_follow_the_first_publication(
    step: str, journeys: list[Any], stuck: bool
) -> None:
    """Workers ran a folder before: nothing was published of what people are inside of."""
    publisher = Publisher()
    publisher.publish(*journeys)
    assert publisher.in_force is not None
    people = {Cell("user", "upsell", "of the folder", (step,)): 2}
    known = with_strays(publisher.in_force, people)
    plan = compile_workspace(*compose(known, publisher.workspaces))
    (fate,) = fates(plan, people)
    assert (fate.people, fate.is_stuck) == (2, stuck)
