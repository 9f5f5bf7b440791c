"""The rules of the gate, one decision table each: a row is a sentence."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.workspace import MessageSettings, Send
from schemas.workspace.journeys import Journey
from tests.unit.core.gate.test_gate import ADDRESS, request
from tests.unit.core.kit import DAY, HOUR, START, journey
from workers.core.consent import Said, known, take
from workers.core.engaged import EngagementRow, address_hash, engage, listed, suppress
from workers.core.facts import SubjectFacts
from workers.core.gate.plan import compile_gate, compile_rank, compile_rules
from workers.core.gate.send_time import spread
from workers.core.gate.verdict import OF_ACCOUNT, Defer, decide_send
from workers.core.journeys.progress import Enrollment, Progress, SentMessage, TriggerFacts, Waiting
from workers.core.zones import Zones

OSLO = "Europe/Oslo"


def at(text: str) -> int:
    """A moment in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def decide(
    rules: dict[str, Any],
    now_ms: int = START,
    *,
    send: dict[str, Any] | None = None,
    progress: Progress | None = None,
    traits: dict[str, Any] | None = None,
    zone: str = "UTC",
    row: EngagementRow | None = None,
    **facts: Any,
) -> Any:
    """The gate's verdict on one e-mail under these settings, and what its step says."""
    gate = compile_gate(MessageSettings.model_validate(rules), lambda: Zones(zone))
    fields = dict(send or {})
    said = {key: fields.pop(key) for key in tuple(fields) if key in Send.fields()}
    step = Send.model_validate({"email": "mail", **said})
    asked = request(
        requested_at_ms=now_ms,
        rules=compile_rules(step, Journey.model_validate(journey())),
        **fields,
    )
    addresses = {"email": ADDRESS, "phone": "+14155552671"}
    facts_ = SubjectFacts(
        now_ms, traits={**addresses, **(traits or {})}, engaged=(lambda: row) if row else None, **facts
    )
    return decide_send(asked, facts_, progress or Progress("u1"), now_ms, gate)


def told(verdict: Any) -> tuple[str, str | None]:
    """The outcome and its reason, in the words of decisions."""
    kind = type(verdict).__name__.lower()
    return kind, verdict.waiting.reason if isinstance(verdict, Defer) else getattr(verdict, "reason", None)


def sent(*ages_ms: int, withheld: bool = False, **fields: Any) -> Progress:
    """Someone who had messages so long ago."""
    usual: dict[str, Any] = {"channel": "email", "tags": (), "journey": "upsell", **fields}
    messages = tuple(
        SentMessage(f"s{number}", at_ms=START - age_ms, **usual)
        for number, age_ms in enumerate(sorted(ages_ms)[::-1])
    )
    return Progress("u1", withheld=messages) if withheld else Progress("u1", messages=messages)


TWO = {"caps": [{"max": 2, "within": "7d"}]}


@pytest.mark.parametrize(
    ("sentence", "rules", "progress", "fields", "outcome"),
    [
        ("below the cap it goes out", TWO, sent(DAY), {}, ("send", None)),
        ("at the cap it is skipped", TWO, sent(DAY, 2 * DAY), {}, ("skip", "cap")),
        ("exactly a week ago is outside the week", TWO, sent(DAY, 7 * DAY), {}, ("send", None)),
        ("a millisecond less is inside", TWO, sent(DAY, 7 * DAY - 1), {}, ("skip", "cap")),
        (
            "what the holdout would have had counts",
            TWO,
            sent(DAY, 2 * DAY, withheld=True),
            {"holdout": True},
            ("skip", "cap"),
        ),
        (
            "the caps of a channel leave others alone",
            {"caps": [{"max": 1, "within": "7d", "channel": "sms"}]},
            sent(DAY, channel="sms"),
            {},
            ("send", None),
        ),
        (
            "a cap counts what has its tag",
            {"caps": [{"max": 1, "within": "7d", "tag": "upsell"}]},
            sent(DAY, tags=("upsell",)),
            {"tags": ("upsell",)},
            ("skip", "cap"),
        ),
        (
            "and nothing else",
            {"caps": [{"max": 1, "within": "7d", "tag": "upsell"}]},
            sent(DAY, tags=("news",)),
            {"tags": ("upsell",)},
            ("send", None),
        ),
        (
            "a cap of a journey counts that journey's",
            {"caps": [{"max": 1, "within": "7d", "journey": "upsell"}]},
            sent(DAY, journey="other"),
            {},
            ("send", None),
        ),
        (
            "all caps apply: one without room is enough",
            {"caps": [{"max": 9, "within": "7d"}, {"max": 1, "within": "2d", "on_cap": "drop"}]},
            sent(DAY),
            {},
            ("drop", "cap"),
        ),
        (
            "the strictest action wins",
            {"caps": [{"max": 1, "within": "7d", "on_cap": "exit"}, {"max": 1, "within": "2d"}]},
            sent(DAY),
            {},
            ("exit", "cap"),
        ),
        (
            "a step overrules its caps",
            {"caps": [{"max": 1, "within": "2d", "on_cap": "exit"}]},
            sent(DAY),
            {"on_cap": "defer"},
            ("defer", "cap"),
        ),
        (
            "for one member an account's journey does not end",
            {"caps": [{"max": 1, "within": "2d", "on_cap": "exit"}]},
            sent(DAY),
            {"asked": "q"},
            ("drop", "cap"),
        ),
        (
            "what has no room in the time it may be held is skipped at once",
            {"caps": [{"max": 1, "within": "30d", "on_cap": "defer"}]},
            sent(DAY),
            {},
            ("skip", "held_too_long"),
        ),
        (
            "transactional mail has no caps",
            {**TWO, "transactional": {"tags": "receipt"}},
            sent(DAY, DAY),
            {"tags": ("receipt",)},
            ("send", None),
        ),
        ("and counts in none", TWO, sent(DAY, DAY, uncapped=True), {}, ("send", None)),
    ],
)
def test_caps(sentence: str, rules: Any, progress: Progress, fields: Any, outcome: Any) -> None:
    """Frequency caps."""
    assert told(decide(rules, progress=progress, send=fields)) == outcome, sentence


def test_a_capped_message_waits_until_there_is_room_and_no_longer() -> None:
    """With two too many it is the second that has to leave."""
    rules = {"caps": [{"max": 2, "within": "2d", "on_cap": "defer"}]}
    verdict = decide(rules, progress=sent(HOUR, 2 * HOUR, 3 * HOUR))
    assert verdict.waiting.until_ms == START - 2 * HOUR + 2 * DAY
    assert verdict.values["capped by"] == "2 within 2d to a person"


@pytest.mark.parametrize(
    ("zone", "now", "earlier", "outcome"),
    [
        ("UTC", "2026-03-14T10:00", "2026-03-14T00:00", "defer"),
        ("UTC", "2026-03-14T10:00", "2026-03-13T23:59", "send"),
        (OSLO, "2026-03-14T10:00", "2026-03-13T23:30", "defer"),  # half past midnight in Oslo: today
        (
            "America/New_York",
            "2026-03-14T02:00",
            "2026-03-13T23:00",
            "defer",
        ),  # both are the evening of the 13th
    ],
)
def test_a_day_of_a_cap_is_the_persons(zone: str, now: str, earlier: str, outcome: str) -> None:
    """And what is held over midnight is spread behind it."""
    rules = {"caps": [{"max": 1, "within": "today", "on_cap": "defer"}], "spread": "30m"}
    progress = Progress("u1", messages=(SentMessage("s", "email", (), at(earlier), "upsell"),))
    verdict = decide(rules, at(now), progress=progress, traits={"timezone": zone})
    assert told(verdict)[0] == outcome
    if outcome == "defer":
        local = Zones(zone)._default
        released = datetime.fromtimestamp(verdict.waiting.until_ms / 1000, local)
        assert (released.hour, released.minute < 30) == (0, True)


NIGHT = {"quiet_hours": [{"from": "22:00", "to": "08:00"}], "spread": "30m"}


@pytest.mark.parametrize(
    ("sentence", "now", "traits", "fields", "until"),
    [
        ("by day it goes out", "2026-03-14T12:00", {}, {}, None),
        ("quiet hours begin at their first minute", "2026-03-14T22:00", {}, {}, "2026-03-15T08:00"),
        ("before midnight it waits for the next morning", "2026-03-14T23:30", {}, {}, "2026-03-15T08:00"),
        ("after midnight for the same one", "2026-03-15T03:00", {}, {}, "2026-03-15T08:00"),
        ("and end without their last", "2026-03-15T08:00", {}, {}, None),
        (
            "it is the person's clock that counts",
            "2026-03-14T21:30",
            {"timezone": OSLO},
            {},
            "2026-03-15T07:00",
        ),
        (
            "also where it was set forward that night",
            "2026-03-28T23:00",
            {"timezone": OSLO},
            {},
            "2026-03-29T06:00",
        ),
        ("and back", "2026-10-24T23:00", {"timezone": OSLO}, {}, "2026-10-25T07:00"),
        ("in-app waits quietly by itself", "2026-03-14T23:30", {}, {"channel": "in_app"}, None),
    ],
)
def test_quiet_hours(sentence: str, now: str, traits: Any, fields: Any, until: str | None) -> None:
    """Overnight, in any zone, released spread over the half hour behind them."""
    verdict = decide(NIGHT, at(now), traits=traits, send=fields)
    if until is None:
        assert told(verdict) == ("send", None), sentence
        return
    assert told(verdict) == ("defer", "quiet_hours"), sentence
    assert verdict.waiting.until_ms == at(until) + spread(request(), 1_800_000), sentence


def test_the_zone_is_the_persons_else_the_accounts_else_the_workspaces() -> None:
    """A name that is none counts as none."""
    seven = at("2026-03-14T21:30")
    assert told(decide(NIGHT, seven))[0] == "send"
    assert told(decide(NIGHT, seven, zone=OSLO))[0] == "defer"
    assert told(decide(NIGHT, seven, account_traits={"timezone": OSLO}))[0] == "defer"
    assert told(decide(NIGHT, seven, zone=OSLO, traits={"timezone": "UTC"}))[0] == "send"
    assert told(decide(NIGHT, seven, zone=OSLO, traits={"timezone": "Mars"}))[0] == "defer"


def test_what_many_wait_for_is_spread_and_each_has_a_place_of_their_own() -> None:
    """No burst at eight: a thousand people go out over the half hour, always at the same place."""
    places = [spread(request(subject=f"u{number}"), 1_800_000) for number in range(1_000)]
    quarters = [sum(low <= place < low + 450_000 for place in places) for low in range(0, 1_800_000, 450_000)]
    assert min(quarters) > 200
    assert places[0] == spread(request(subject="u0"), 1_800_000)


OFFICE = {"window": {"from": "09:00", "to": "17:00", "days": "mon-fri"}}


@pytest.mark.parametrize(
    ("sentence", "now", "send", "until"),
    [
        ("inside its window it goes out", "2026-03-13T12:00", OFFICE, None),  # a Friday
        ("on Friday evening it waits for Monday", "2026-03-13T17:00", OFFICE, "2026-03-16T09:00"),
        ("at nine, before nine", "2026-03-13T08:00", {"at": "09:00"}, "2026-03-13T09:00"),
        ("at nine, after nine", "2026-03-13T10:00", {"at": "09:00"}, "2026-03-14T09:00"),
        ("at nine sharp", "2026-03-13T09:00", {"at": "09:00"}, None),
        (
            "its hour is held to the end of quiet hours",
            "2026-03-13T12:00",
            {"at": "23:00"},
            "2026-03-14T08:00",
        ),
    ],
)
def test_windows_and_times_of_day(sentence: str, now: str, send: Any, until: str | None) -> None:
    """What a step asks for, and quiet hours over it."""
    verdict = decide({**NIGHT, "spread": "1s"}, at(now), send=send)
    if until is None:
        assert told(verdict) == ("send", None), sentence
    else:
        assert 0 <= verdict.waiting.until_ms - at(until) < 1_000, sentence


def test_the_best_hour_is_that_of_most_engagements_else_the_fallback() -> None:
    """By the person's own clock; three are the least that say anything."""
    row = EngagementRow()
    send = {"at": "best_hour", "fallback": "11:30"}
    for count in range(3):
        verdict = decide({}, at("2026-03-13T12:00"), send=send, row=row)
        assert verdict.values["send at"] == "11:30", count
        engage(row, "email", "opened", START, 19)
    engage(row, "email", "delivered", START, 4)
    verdict = decide({}, at("2026-03-13T12:00"), send=send, row=row)
    assert verdict.values["best hour"] == 19
    assert at("2026-03-13T19:00") <= verdict.waiting.until_ms < at("2026-03-13T20:00")


CONSENT = {"transactional": {"tags": "receipt", "exempt_from": ["consent"]}}


@pytest.mark.parametrize(
    ("sentence", "fields", "trait", "consents", "outcome"),
    [
        ("nothing said is a yes to e-mail", {}, None, {}, "send"),
        ("a no to the channel is a no", {}, None, {("email", None): False}, "no_consent"),
        ("a no to the topic is a no", {"topic": "news"}, None, {("email", "news"): False}, "no_consent"),
        ("a no to another topic is none", {"topic": "news"}, None, {("email", "tips"): False}, "send"),
        ("a later yes to the topic opens it", {"topic": "news"}, {"email": False},
         {("email", "news"): True}, "send"),
        ("and nothing else of the channel", {"topic": "tips"}, {"email": False},
         {("email", "news"): True}, "no_consent"),
        ("SMS needs a yes", {"channel": "sms"}, None, {}, "no_consent"),
        ("of the channel", {"channel": "sms"}, None, {("sms", None): True}, "send"),
        ("or as a trait", {"channel": "sms"}, {"sms": True}, {}, "send"),
        ("what is no marketing needs none", {"tags": ("receipt",)}, {"email": False}, {}, "send"),
        ("but a no to SMS is final", {"tags": ("receipt",), "channel": "sms"}, {"sms": False}, {},
         "no_consent"),
    ],
)  # fmt: skip
def test_consent(sentence: str, fields: Any, trait: Any, consents: Any, outcome: str) -> None:
    """Opt-in for SMS, opt-out for the others."""
    traits = {} if trait is None else {"consent": trait}
    row = known(None, trait)
    for (channel, topic), opted_in in consents.items():
        take(row, Said(channel, topic, opted_in), START, "test")
    verdict = decide(CONSENT, send=fields, traits=traits, consented=lambda: row)
    assert (getattr(verdict, "reason", None) or told(verdict)[0]) == outcome, sentence


@pytest.mark.parametrize(
    ("sentence", "channel", "reason", "address", "outcome"),
    [
        ("an address that bounced is not written to", "email", "bounced", ADDRESS, "suppressed"),
        ("however it is written", "email", "bounced", " ADA@example.com", "suppressed"),
        ("another address of the person is", "email", "bounced", "old@example.com", "send"),
        ("who complained is not written to at any address", "email", "complained", None, "suppressed"),
        ("a list from elsewhere holds too", "email", listed("esp"), None, "suppressed"),
        ("one channel is not another", "sms", "complained", None, "send"),
    ],
)
def test_suppression(sentence: str, channel: str, reason: str, address: str | None, outcome: str) -> None:
    """With the reason among the values, and never the address."""
    row = EngagementRow()
    suppress(row, channel, reason, START, address_hash(address) if address else None)
    verdict = decide({}, row=row)
    assert (getattr(verdict, "reason", None) or "send") == outcome, sentence
    if outcome == "suppressed":
        assert verdict.values["suppressed by"] == reason


ONE = {"exclusive": [{"tag": "upsell", "within": "3d"}]}
COLLECT = {"exclusive": [{"tag": "upsell", "within": "3d", "collect": "5m"}]}
UPSELL = {"tags": ("upsell",)}


def competing(journey_name: str, rank: float, since_ms: int, *, active: bool = True) -> Progress:
    """Another journey's message that collects."""
    trigger = TriggerFacts("limit", "m", START, {})
    enrollment = Enrollment(
        "e2", journey_name, "v", START, trigger, "0", state="active" if active else "ended"
    )
    other = Waiting(
        "w2", "e2", journey_name, ("upsell",), since_ms, since_ms + 300_000, "collecting", rank,
        recorded=True, collect_until_ms=since_ms + 300_000,
    )  # fmt: skip
    mine = Waiting(
        "id1", "e", "upsell", ("upsell",), START - 300_000, START, "collecting", 5.0,
        recorded=True, collect_until_ms=START,
    )  # fmt: skip
    return Progress("u1", enrollments=(enrollment,), waiting=(mine, other))


@pytest.mark.parametrize(
    ("sentence", "rules", "progress", "outcome"),
    [
        ("another journey's message keeps it away", ONE, sent(DAY, tags=("upsell",), journey="x"),
         ("skip", "exclusive")),
        ("for its time", ONE, sent(3 * DAY, tags=("upsell",), journey="x"), ("send", None)),
        ("its own journey's does not", ONE, sent(DAY, tags=("upsell",)), ("send", None)),
        ("nor does one without the tag", ONE, sent(DAY, journey="x"), ("send", None)),
        ("it waits for others", COLLECT, Progress("u1"), ("defer", "collecting")),
        ("a higher rank wins", COLLECT, competing("x", 9.0, START - 60_000), ("skip", "exclusive")),
        ("a lower one loses", COLLECT, competing("x", 1.0, START - 60_000), ("send", None)),
        ("of equals the first", COLLECT, competing("x", 5.0, START - 60_000), ("send", None)),
        ("whose journey has ended does not", COLLECT, competing("x", 9.0, START - 60_000, active=False),
         ("send", None)),
        ("nor who collected long ago", COLLECT, competing("x", 9.0, START - DAY), ("send", None)),
    ],
)  # fmt: skip
def test_exclusive_tags(sentence: str, rules: Any, progress: Progress, outcome: Any) -> None:
    """One journey of the tag at a time; losing says to whom."""
    verdict = decide(rules, progress=progress, send={**UPSELL, "rank": 5.0})
    assert told(verdict) == outcome, sentence
    if outcome[1] == "exclusive":
        assert verdict.values["exclusive upsell"]["journey"] == "x"


@pytest.mark.parametrize(
    ("priority", "rank"),
    [
        (80, 80.0),
        ("properties.margin", 12.5),
        ("traits.score", 3.0),
        ("account.acv", 0.0),
        ("properties.name", 0.0),
    ],
)
def test_a_priority_is_a_number_or_a_field(priority: Any, rank: float) -> None:
    """Where the field holds no number it is the least."""
    found = compile_rank(Journey.model_validate(journey(priority=priority)))
    assert found({"score": 3}, {"acv": True}, {"margin": 12.5, "name": "x"}) == rank


def test_an_account_is_asked_last_and_once() -> None:
    """What its caps count goes out with its word; meanwhile nothing is asked again."""
    rules = {"caps": [{"max": 1, "within": "7d", "of": "account"}]}
    verdict = decide(rules, send={"account": "acme"})
    assert (told(verdict), verdict.ask) == (("defer", OF_ACCOUNT), True)
    waiting = Waiting("id1", "e", "upsell", (), START, START + HOUR, OF_ACCOUNT, ask="a")
    again = decide(rules, send={"account": "acme"}, progress=Progress("u1", waiting=(waiting,)))
    assert (told(again), again.ask) == (("defer", OF_ACCOUNT), False)
    assert told(decide(rules))[0] == "send"  # somebody without an account
