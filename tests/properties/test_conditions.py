"""Every condition against the reference: random histories, late and out of order, at any instant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.workspace import Journey, Workspace
from tests.properties import reference
from tests.properties.reference import Event, History
from workers.core.activity import slots, windows
from workers.core.compile import compile_workspace
from workers.core.conditions.outcome import Outcome
from workers.core.facts import Moment, SubjectFacts
from workers.core.journeys.progress import Progress, SentMessage

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

    from workers.core.plan import SubjectPlan

    Plain = dict[str, Any]

SECOND, HOUR, DAY = 1_000, 3_600_000, 86_400_000
START = 1_774_720_800_000
"""2026-03-28T18:00Z: clocks are set forward in Europe that night."""

OUTCOMES = {Outcome.TRUE: True, Outcome.FALSE: False, Outcome.MISSING: None}
ZONES = ("UTC", "Europe/Oslo", "Asia/Kathmandu", "America/Havana", "Africa/Cairo", "Pacific/Chatham")
SLIDING = ("1s", "1h", "1d", "7d", "30d")
CALENDAR = ("today", "yesterday", "this_week", "previous_week", "this_month", "previous_month")
BILLING: tuple[Any, ...] = (
    "billing_period",
    "previous_billing_period",
    {"billing_period": {"trait": "billing_anchor"}, "every": "quarter"},
    {"billing_period": {"account": "renews"}, "every": "month", "previous": True},
)

numbers = st.one_of(st.integers(-3, 12), st.sampled_from([0.5, 2.5, -1.25]))
texts = st.sampled_from(["", "a", "ab", "abab", "b*a", "pro"])
scalars = st.one_of(numbers, texts, st.booleans())
EDGES = (0, 1, SECOND - 1, SECOND, HOUR, DAY - 1, DAY, 7 * DAY - 1, 7 * DAY, 30 * DAY, 45 * DAY)
ages = st.one_of(st.sampled_from(EDGES), st.integers(0, 9 * DAY), st.integers(0, 100 * DAY))
dates: SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [
            *("2026-03-28", "2026-03-29", "2026-01-31", "2024-02-29", "2026-03-28T17:59:59.999Z"),
            *("2026-04-02T02:30:00+05:45", "2026-03-29T00:00:00", "soon", "2026-13-01"),
        ]
    ),
    ages.map(lambda age_ms: START - age_ms),
    ages.map(lambda age_ms: START + age_ms),
    ages.map(lambda age_ms: (START - age_ms) // SECOND),
)
fields = st.one_of(
    st.sampled_from([{"trait": "n"}, {"trait": "m"}, {"account": "n"}, {"property": "amount"}]),
)
durations = st.sampled_from(SLIDING)
calendars: SearchStrategy[Any] = st.sampled_from([*CALENDAR, "this_quarter", "previous_year", *BILLING])
spans: SearchStrategy[Any] = st.one_of(durations, calendars, st.just("lifetime"))
wheres = st.sampled_from([None, {"kind": "a"}, {"amount": {"gte": 1}}, {"kind": {"ne": "b"}}])


def some(required: Plain, **optional: SearchStrategy[Any]) -> SearchStrategy[Plain]:
    """A mapping with at least one of the optional fields."""
    return (
        st.fixed_dictionaries({}, optional=optional)
        .filter(bool)
        .flatmap(lambda chosen: st.just({**required, **chosen}))
    )


missing = st.sampled_from(["pass", "fail"])
number_operators: SearchStrategy[Plain] = st.tuples(
    st.sampled_from(["gt", "gte", "lt", "lte", "eq", "ne"]), st.one_of(numbers, fields)
).map(lambda pair: {pair[0]: pair[1]})
value_operators: SearchStrategy[Plain] = st.one_of(
    some({}, gt=st.one_of(numbers, fields), lte=numbers, if_missing=missing).filter(
        lambda one: bool(one.keys() - {"if_missing"})
    ),
    st.tuples(number_operators, fields).map(lambda pair: {**pair[0], "divided_by": pair[1]}),
    some({}, eq=st.one_of(scalars, fields)),
    some({}, ne=scalars),
    some({}, contains=scalars),
    some({}, not_contains=st.one_of(scalars, fields)),
    st.sampled_from(["a", "b", "ab"]).flatmap(
        lambda text: st.sampled_from([{"starts_with": text}, {"ends_with": text}])
    ),
    st.text("ab*", min_size=1, max_size=5).map(lambda pattern: {"matches": pattern}),
    st.lists(scalars, min_size=1, max_size=3).flatmap(
        lambda listed: st.sampled_from([{"in": listed}, {"not_in": listed}])
    ),
    st.booleans().map(lambda wanted: {"exists": wanted}),
)
date_operators: SearchStrategy[Plain] = st.one_of(
    durations.flatmap(
        lambda one: st.sampled_from(
            [{name: one} for name in ("older_than", "younger_than", "in_next", "within")]
        )
    ),
    calendars.map(lambda span: {"within": span}),
    st.sampled_from(["2026-03-29", "2026-03-28T17:00:00Z", {"trait": "date"}]).flatmap(
        lambda edge: st.sampled_from([{"before": edge}, {"after": edge}])
    ),
)


@st.composite
def performed(draw: DrawFn, within: SearchStrategy[Any]) -> Plain:
    """Counts."""
    plain: Plain = {"performed": draw(st.sampled_from(["e", "f"])), "within": draw(within)}
    if (where := draw(wheres)) is not None:
        plain["where"] = where
    bound = draw(st.sampled_from(["at_least", "at_most", "exactly", "none"]))
    if bound != "none":
        plain[bound] = draw(st.sampled_from([1, 1, 2, 3, 200]))
    may_repeat = plain["within"] != "lifetime" and not is_long(plain["within"])
    if may_repeat and draw(st.booleans()):
        plain["each_of_last"] = draw(st.integers(2, 4))
    return plain


def is_long(span: Any) -> bool:
    """Several of them in a row would reach back further than two years."""
    return "year" in str(span) or "quarter" in str(span)


@st.composite
def reached(draw: DrawFn) -> Plain:
    """The event that makes a count."""
    span = draw(spans.filter(lambda one: "previous" not in str(one) and one != "yesterday"))
    plain: Plain = {"performed": "e", "within": span, "reaches": draw(st.integers(1, 4))}
    where = draw(wheres)
    return plain if where is None else {**plain, "where": where}


@st.composite
def measured(draw: DrawFn) -> Plain:
    """Aggregates."""
    function = draw(st.sampled_from(["count", "sum", "average", "min", "max", "distinct"]))
    span = draw(spans)
    if function == "distinct" and ("previous" in str(span) or span == "yesterday"):
        span = "30d"
    plain: Plain = {function: "e"} if function == "count" else {function: "amount", "of": "e"}
    plain["within"] = span
    if (where := draw(wheres)) is not None:
        plain["where"] = where
    several = function != "distinct" and span != "lifetime" and not is_long(span)
    form = draw(st.sampled_from(["plain", "trend", "each"])) if several else "plain"
    operators = draw(number_operators)
    if form == "trend":
        return {**plain, "trend": operators}
    if form == "each":
        plain["each_of_last"] = draw(st.integers(2, 3))
    return {**plain, **operators}


sustained_counts = st.tuples(
    st.sampled_from([{"at_least": 1}, {"at_least": 2}, {"at_most": 1}]), durations, durations
).map(lambda three: {"sustained": {"performed": "e", "within": three[1], **three[0]}, "for": three[2]})

FAMILIES: dict[str, SearchStrategy[Plain]] = {
    "traits": st.tuples(st.sampled_from(["n", "m", "text", "list"]), value_operators).map(
        lambda pair: {"trait": pair[0], **pair[1]}
    ),
    "properties": value_operators.map(lambda operators: {"property": "amount", **operators}),
    "dates": date_operators.map(lambda operators: {"trait": "date", **operators}),
    "counts in sliding windows": performed(durations),
    "counts in calendar periods": performed(st.sampled_from([*CALENDAR, "this_quarter", "previous_year"])),
    "counts in billing periods": performed(st.sampled_from(BILLING)),
    "counts for ever": performed(st.just("lifetime")),
    "crossings": reached(),
    "measures": measured(),
    "first and last times": st.tuples(st.sampled_from(["first", "last"]), date_operators).map(
        lambda pair: {pair[0]: "e", **pair[1]}
    ),
    "sustained counts": sustained_counts,
    "messages": st.one_of(durations, calendars).map(
        lambda span: {"received": {"tag": "upsell"}, "within": span}
    ),
}
FAMILIES["combinations"] = st.recursive(
    st.one_of(*FAMILIES.values()),
    lambda inner: st.one_of(
        inner.map(lambda one: {"not": one}),
        st.lists(inner, min_size=1, max_size=3).map(lambda several: {"all": several}),
        st.lists(inner, min_size=1, max_size=3).map(lambda several: {"any": several}),
    ),
    max_leaves=3,
)

SHIFTS = ((1, 1), (1, 2), (1, 3), (1, 4), (-1, 1))
"""How far from what happened an outcome may turn, in lengths of windows."""

Arrival = tuple[int, Event]


@st.composite
def histories(draw: DrawFn) -> tuple[list[Arrival], History]:
    """What arrived when, late or in order, and all that is known at an instant after it."""
    arrivals: list[Arrival] = []
    now_ms = START + draw(st.integers(-3 * DAY, 3 * DAY))
    some_properties = st.fixed_dictionaries(
        {}, optional={"kind": st.sampled_from(["a", "b"]), "amount": st.one_of(numbers, texts, st.booleans())}
    )
    for _ in range(draw(st.integers(0, 9))):
        now_ms += draw(st.sampled_from([0, 1, SECOND, HOUR, DAY, 5 * DAY]))
        event = Event(draw(st.sampled_from(["e", "e", "f"])), now_ms - draw(ages), draw(some_properties))
        arrivals.append((now_ms, event))
    if arrivals:
        at_ms, last = arrivals[-1]
        arrivals[-1] = at_ms, Event(last.name, last.at_ms, last.properties, trigger=True)
    now_ms += draw(st.sampled_from([0, 0, 1, SECOND, HOUR, DAY, 29 * DAY]))
    traits = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "n": st.one_of(numbers, texts),
                "m": numbers,
                "text": texts,
                "list": st.lists(scalars, max_size=3),
                "date": dates,
                "billing_anchor": dates,
                "timezone": st.sampled_from([*ZONES, "Nowhere/Land", 7]),
            },
        )
    )
    account = draw(
        st.fixed_dictionaries(
            {}, optional={"n": numbers, "renews": dates, "timezone": st.sampled_from(ZONES)}
        )
    )
    messages: list[tuple[int, tuple[str, ...], str]] = [
        (now_ms - age_ms, ("upsell",), "email") for age_ms in draw(st.lists(ages, max_size=2))
    ]
    events = [event for _, event in arrivals]
    known = History(now_ms, events, traits, account, messages=messages, timezone=draw(st.sampled_from(ZONES)))
    return arrivals, known


def plan_of(condition: Plain, timezone: str) -> SubjectPlan:
    """A journey that requires the condition."""
    journey = {
        "journey": "j",
        "subject": "user",
        "entry": {"on": {"event": "e"}, "require": [condition]},
        "steps": [{"send": {"in_app": "b"}}],
    }
    workspace = Workspace(name="w", timezone=timezone, journeys=(Journey.model_validate(journey),))
    return compile_workspace(workspace).user


def rows(plan: SubjectPlan, arrivals: list[Arrival]) -> dict[int, bytes]:
    """What the agents would have kept."""
    held: dict[int, bytes] = {}
    for now_ms, event in arrivals:
        concerned = plan.events.get(event.name)
        if concerned is None:
            continue
        for slot in concerned.slots:
            if (
                slot.where is None or slot.where(event.properties)
            ) and event.at_ms > now_ms - slot.retention_ms:
                held[slot.id] = windows.add(held.get(slot.id), event.at_ms, now_ms, slot.retention_ms)
        for measure in concerned.measures:
            kept = slots.record(
                measure, held.get(measure.id), event.at_ms, now_ms, event.properties, event.member
            )
            if kept is not None:
                held[measure.id] = kept
    return held


def moment_of(plan: SubjectPlan, held: dict[int, bytes], known: History, now_ms: int) -> Moment:
    """The subject at an instant."""
    trigger = next((event for event in known.events if event.trigger), None)
    facts = SubjectFacts(
        now_ms=now_ms,
        traits=known.traits,
        account_traits=known.account,
        event_properties=trigger.properties if trigger else {},
        event=(trigger.name, trigger.at_ms) if trigger else None,
        windows=held,
        retentions_ms=plan.retentions_ms,
    )
    messages = sorted(known.messages)
    progress = Progress(
        "u1",
        messages=tuple(
            SentMessage(str(i), channel, tags, at) for i, (at, tags, channel) in enumerate(messages)
        ),
    )
    return Moment(facts, progress, now_ms)


@pytest.mark.parametrize("family", FAMILIES)
@given(histories(), st.data())
def test_a_condition_means_what_the_reference_says(
    family: str, history: tuple[list[Arrival], History], data: st.DataObject
) -> None:
    """Whatever is asked, whatever came in which order, at any instant."""
    arrivals, known = history
    condition = data.draw(FAMILIES[family])
    plan = plan_of(condition, known.timezone)
    (compiled,) = plan.journeys["j"].require
    outcome = compiled.test(moment_of(plan, rows(plan, arrivals), known, known.now_ms), {})
    assert OUTCOMES[outcome] == reference.evaluate(condition, known)


@pytest.mark.parametrize("family", FAMILIES)
@given(histories(), st.lists(st.integers(0, 40 * DAY), max_size=6), st.data())
def test_an_outcome_stays_until_it_may_change(
    family: str, history: tuple[list[Arrival], History], later_ms: list[int], data: st.DataObject
) -> None:
    """Evaluated at any instant before the one that was told, it is the same; None: for ever."""
    arrivals, known = history
    condition = data.draw(FAMILIES[family])
    plan = plan_of(condition, known.timezone)
    (compiled,) = plan.journeys["j"].require
    held = rows(plan, arrivals)
    present = moment_of(plan, held, known, known.now_ms)
    outcome, changes_at_ms = compiled.test(present, {}), compiled.changes_at_ms(present)
    assert changes_at_ms is None or changes_at_ms > known.now_ms
    turns = [
        event.at_ms + shift for event in known.events for shift in (SECOND, HOUR, DAY, 7 * DAY, 30 * DAY)
    ]
    instants = [known.now_ms + one for one in later_ms] + turns + [turn - 1 for turn in turns]
    instants += [] if changes_at_ms is None else [changes_at_ms - 1]
    for instant in instants:
        if known.now_ms < instant and (changes_at_ms is None or instant < changes_at_ms):
            assert compiled.test(moment_of(plan, held, known, instant), {}) is outcome, instant


@given(histories(), st.integers(1, 4), st.booleans())
def test_a_plain_count_changes_exactly_when_it_is_told(
    history: tuple[list[Arrival], History], number: int, most: bool
) -> None:
    """No needless waking: at the instant that was told the outcome is another."""
    arrivals, known = history
    plan = plan_of({"performed": "e", "within": "7d", "at_most" if most else "at_least": number}, "UTC")
    (compiled,) = plan.journeys["j"].require
    held = rows(plan, arrivals)
    present = moment_of(plan, held, known, known.now_ms)
    changes_at_ms = compiled.changes_at_ms(present)
    if changes_at_ms is not None:
        after = moment_of(plan, held, known, changes_at_ms)
        assert compiled.test(after, {}) is not compiled.test(present, {})


@pytest.mark.parametrize("counted", [{"count": "e"}, {"distinct": "amount", "of": "e"}])
@given(histories(), st.sampled_from(["gt", "gte", "lt", "lte"]), st.sampled_from([0, 1, 1.5, 2, 3, 4.0]))
def test_a_count_of_a_measure_changes_exactly_when_it_is_told(
    counted: Plain, history: tuple[list[Arrival], History], operator: str, number: float
) -> None:
    """As a plain one does; what is below its number already wakes nobody."""
    arrivals, known = history
    plan = plan_of({**counted, "within": "7d", operator: number}, "UTC")
    (compiled,) = plan.journeys["j"].require
    held = rows(plan, arrivals)
    present = moment_of(plan, held, known, known.now_ms)
    changes_at_ms = compiled.changes_at_ms(present)
    if changes_at_ms is not None:
        after = moment_of(plan, held, known, changes_at_ms)
        assert compiled.test(after, {}) is not compiled.test(present, {})
