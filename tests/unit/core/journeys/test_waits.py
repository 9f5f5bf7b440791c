"""Waits until a date, a time of day, a day of the week: by the right clock, also where clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.workspace import Journey, Workspace
from tests.unit.core.kit import DAY, HOUR, World, journey
from workers.core.compile import compile_workspace
from workers.core.local_time import next_local_ms

MON, TUE, WED, THU, FRI, SAT, SUN = range(7)


def ms(text: str) -> int:
    """A moment as ISO 8601 in milliseconds; without an offset UTC."""
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def text(at_ms: int) -> str:
    """Milliseconds as a moment in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@pytest.mark.parametrize(
    ("now", "at", "days", "zone", "expected"),
    [
        # now is early enough, too late, the very instant
        ("2026-03-16T08:59:59", "09:00", None, "UTC", "2026-03-16T09:00:00"),
        ("2026-03-16T09:00:00", "09:00", None, "UTC", "2026-03-16T09:00:00"),
        ("2026-03-16T09:00:01", "09:00", None, "UTC", "2026-03-17T09:00:00"),
        # 08:00 on Monday in Tokyo is Sunday 23:00 in UTC
        ("2026-03-15T12:00:00", "08:00", {MON}, "Asia/Tokyo", "2026-03-15T23:00:00"),
        ("2026-03-15T23:00:01", "08:00", {MON}, "Asia/Tokyo", "2026-03-22T23:00:00"),
        # Sunday evening in Los Angeles is Monday in UTC
        ("2026-03-16T02:00:00", "20:00", {SUN}, "America/Los_Angeles", "2026-03-16T03:00:00"),
        # days without a time: now where it is such a day, else the midnight that begins one
        ("2026-03-18T12:00:00", None, {WED}, "UTC", "2026-03-18T12:00:00"),
        ("2026-03-18T12:00:00", None, {FRI, SAT}, "Europe/Oslo", "2026-03-19T23:00:00"),
        # the clock goes on: 02:30 on 29 March is 03:30 in Oslo; the day after it is 02:30 again
        ("2026-03-28T12:00:00", "02:30", None, "Europe/Oslo", "2026-03-29T01:30:00"),
        ("2026-03-29T01:30:01", "02:30", None, "Europe/Oslo", "2026-03-30T00:30:00"),
        # 09:00 on both sides of the change
        ("2026-03-28T12:00:00", "09:00", None, "Europe/Oslo", "2026-03-29T07:00:00"),
        ("2026-03-27T12:00:00", "09:00", None, "Europe/Oslo", "2026-03-28T08:00:00"),
        # the clock goes back: 02:30 comes twice on 25 October, the first counts
        ("2026-10-24T12:00:00", "02:30", None, "Europe/Oslo", "2026-10-25T00:30:00"),
        ("2026-10-25T00:30:01", "02:30", None, "Europe/Oslo", "2026-10-26T01:30:00"),
        # Samoa had no 30 December 2011
        ("2011-12-29T20:00:00", "12:00", None, "Pacific/Apia", "2011-12-29T22:00:00"),
        ("2011-12-29T23:00:00", "12:00", None, "Pacific/Apia", "2011-12-30T22:00:00"),
        ("2011-12-29T23:00:00", "12:00", {FRI}, "Pacific/Apia", "2012-01-05T22:00:00"),
        # a year later on the one day that is asked for is never more than a week away
        ("2026-12-31T23:59:59", "00:00", {THU}, "UTC", "2027-01-07T00:00:00"),
    ],
)
def test_the_next_local_time(
    now: str, at: str | None, days: set[int] | None, zone: str, expected: str
) -> None:
    """On the clock and the calendar of the zone, at or after now."""
    found = next_local_ms(ms(now), time.fromisoformat(at) if at else None, days, ZoneInfo(zone))
    assert found is not None
    assert text(found) == expected


def test_where_dates_end_there_is_no_next_time() -> None:
    """Nobody waits for the year 10,000."""
    assert next_local_ms(ms("9999-12-31T23:00:00"), time(9), None, ZoneInfo("UTC")) is None


NOW = "2026-03-14T10:02:00"
"""A Saturday."""


def waiting(
    wait: Any, *, subject: str = "user", account: dict[str, Any] | None = None, **traits: Any
) -> World:
    """Somebody who has reached a wait in a workspace whose zone is New York."""
    steps = [{"wait": wait}, {"send": {"webhook": "after"}}]
    model = Journey.model_validate(journey(steps=steps, subject=subject))
    plan = compile_workspace(Workspace(name="test", timezone="America/New_York", journeys=(model,)))
    world = World(plan.user if subject == "user" else plan.account, "s1", **traits)
    world.account_traits = account or {}
    world.track("limit", date=traits.get("renews"))
    return world


def went_on(world: World) -> str | None:
    """When it went on, within ten years; None where it did not."""
    world.advance(3_650 * DAY)
    return text(world.messages[0].requested_at_ms) if world.messages else None


@pytest.mark.parametrize(
    ("wait", "traits", "expected"),
    [
        ("90s", {}, "2026-03-14T10:03:30"),
        ({"for": "1d"}, {}, "2026-03-15T10:02:00"),
        # times of day: the person's zone, the account's, the workspace's, one by name
        ({"at": "09:00"}, {"timezone": "Europe/Oslo"}, "2026-03-15T08:00:00"),
        ({"at": "12:00"}, {"timezone": "Europe/Oslo"}, "2026-03-14T11:00:00"),
        ({"at": "09:00", "zone": "account"}, {"timezone": "Europe/Oslo"}, "2026-03-15T00:00:00"),
        ({"at": "09:00", "zone": "workspace"}, {"timezone": "Europe/Oslo"}, "2026-03-14T13:00:00"),
        ({"at": "09:00", "zone": "Asia/Dubai"}, {"timezone": "Europe/Oslo"}, "2026-03-15T05:00:00"),
        ({"at": "09:00"}, {"timezone": "Nowhere"}, "2026-03-15T00:00:00"),
        # days of the week, and both after a time
        ({"on": ["mon", "tue"]}, {"timezone": "UTC"}, "2026-03-16T00:00:00"),
        ({"on": "sat"}, {"timezone": "UTC"}, "2026-03-14T10:02:00"),
        ({"at": "09:00", "on": ["mon"]}, {"timezone": "UTC"}, "2026-03-16T09:00:00"),
        ({"for": "3d", "at": "09:00", "on": ["mon"]}, {"timezone": "UTC"}, "2026-03-23T09:00:00"),
        # dates: a day begins in the zone, a moment is a moment
        ({"until": "2026-04-01"}, {"timezone": "Europe/Oslo"}, "2026-03-31T22:00:00"),
        ({"until": "2026-04-01", "zone": "workspace"}, {"timezone": "Europe/Oslo"}, "2026-04-01T04:00:00"),
        ({"until": "2026-04-01T09:30:00Z"}, {}, "2026-04-01T09:30:00"),
        ({"until": "2026-04-08", "offset": "-7d"}, {"timezone": "UTC"}, "2026-04-01T00:00:00"),
        ({"until": "2026-04-01", "offset": "36h"}, {"timezone": "UTC"}, "2026-04-02T12:00:00"),
        ({"until": "2026-04-01", "at": "09:00", "on": ["fri"]}, {"timezone": "UTC"}, "2026-04-03T09:00:00"),
        # a date that is over
        ({"until": "2026-03-01"}, {"timezone": "UTC"}, "2026-03-14T10:02:00"),
        ({"until": "2026-03-01", "if_past": "exit"}, {"timezone": "UTC"}, None),
        ({"until": "2026-03-20", "offset": "-7d", "if_past": "exit"}, {"timezone": "UTC"}, None),
    ],
)
def test_a_wait_ends_at_its_instant(wait: Any, traits: dict[str, Any], expected: str | None) -> None:
    """Reached on Saturday, 14 March 2026, at 10:02 UTC, with an account in Tokyo."""
    world = waiting(wait, account={"timezone": "Asia/Tokyo"}, **traits)
    assert went_on(world) == expected
    assert expected is not None or world.outcomes("exit") == [("exited", "wait: the date is past")]


@pytest.mark.parametrize(
    ("field", "traits", "account"),
    [
        ({"trait": "renews"}, {"renews": "2026-04-01"}, {}),
        ({"trait": "billing.renews"}, {"billing": {"renews": 1_775_001_600}}, {}),
        ({"account": "renews"}, {}, {"renews": "2026-04-01"}),
        ({"property": "date"}, {"renews": "2026-04-01"}, {}),
    ],
)
def test_a_date_may_stand_in_a_field(field: dict[str, str], traits: Any, account: Any) -> None:
    """A trait, one of the account, a property of the trigger."""
    wait = {"until": field, "if_missing": "exit", "zone": "UTC"}
    assert went_on(waiting(wait, account=account, **traits)) == "2026-04-01T00:00:00"


@pytest.mark.parametrize("value", [None, "soon", True, [], {"x": 1}])
@pytest.mark.parametrize(("if_missing", "expected"), [("go_on", NOW), ("exit", None)])
def test_what_a_missing_date_means_is_declared(value: Any, if_missing: str, expected: str | None) -> None:
    """Whatever is no date counts as none."""
    world = waiting({"until": {"trait": "renews"}, "if_missing": if_missing}, renews=value)
    assert went_on(world) == expected
    assert expected is not None or world.outcomes("exit") == [("exited", "wait: no date")]


@pytest.mark.parametrize(
    ("renews", "expected"),
    [
        ("2026-05-01", "2026-05-01T00:00:00"),  # later
        ("2026-03-20", "2026-03-20T00:00:00"),  # sooner
        ("2026-03-15", "2026-03-15T10:02:00"),  # over by now: at once
        ("2026-03-01", "2026-03-15T10:02:00"),  # from before the step: if_past, which goes on
        (None, None),
    ],
)
def test_a_wait_follows_its_date(renews: str | None, expected: str | None) -> None:
    """A renewal that is moved while somebody waits for it moves the wait."""
    wait = {"until": {"trait": "renews"}, "if_missing": "exit", "zone": "UTC"}
    world = waiting(wait, renews="2026-04-01")
    world.advance(DAY)
    world.identify(renews=renews)
    assert went_on(world) == expected


def test_an_accounts_journey_goes_by_the_accounts_clock() -> None:
    """Of its own trait."""
    world = waiting({"at": "09:00"}, subject="account", timezone="Asia/Tokyo")
    assert went_on(world) == "2026-03-15T00:00:00"


def test_a_wait_in_the_past_of_its_own_step_goes_on_at_once() -> None:
    """Without a timer."""
    assert waiting({"on": "sat", "zone": "UTC"}).timers == {}
    assert waiting({"for": "1h"}).timers != {}


def test_a_zone_that_changes_meanwhile_changes_nothing_for_who_waits() -> None:
    """The instant was chosen when the step was reached."""
    world = waiting({"at": "09:00"}, timezone="UTC")
    world.advance(HOUR)
    world.identify(timezone="Asia/Tokyo")
    assert went_on(world) == "2026-03-15T09:00:00"
