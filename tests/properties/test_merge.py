"""Merging the rows of two ids against the row of one id that did it all."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.properties.test_windows import RETENTIONS, Arrival, histories, replay, truth
from workers.core.activity import row as activities
from workers.core.activity.row import DUPLICATE_HORIZON_MS, Activity
from workers.core.activity.windows import EXACT_OCCURRENCES, add_all, count, decode
from workers.core.journeys.progress import ACTIVE_MAX, Enrollment, Progress, SentMessage, TriggerFacts
from workers.core.merge import merge_activity, merge_progress, merge_traits, merge_windows

NOW = 1_773_480_000_000
HOUR = 3_600_000


@given(histories(), st.data())
def test_a_merged_window_reaches_what_one_window_of_everything_reaches(
    history: tuple[int, list[Arrival]], data: st.DataObject
) -> None:
    """Whoever of the two did it: every threshold up to 128 is reached exactly when it is in truth."""
    retention_ms, arrivals = history
    sides: tuple[list[Arrival], list[Arrival]] = ([], [])
    for now_ms, times in arrivals:
        cut = data.draw(st.integers(0, len(times)))
        for side, part in zip(sides, (times[:cut], times[cut:]), strict=True):
            side.append((now_ms, part))
    mine, theirs = (replay(retention_ms, side, together=True) for side in sides)
    now_ms = arrivals[-1][0] + data.draw(st.one_of(st.just(0), st.integers(0, retention_ms)))
    merged = merge_windows(mine, theirs, now_ms, retention_ms)
    within_ms = data.draw(st.one_of(st.just(retention_ms), st.integers(1, retention_ms)))
    expected = truth(arrivals, now_ms, within_ms)
    counted = count(merged, now_ms, within_ms, retention_ms)
    assert counted <= expected
    assert min(counted, EXACT_OCCURRENCES) == min(expected, EXACT_OCCURRENCES)


@given(histories(), histories())
def test_a_merged_window_is_as_small_and_ordered_as_any_other(
    one: tuple[int, list[Arrival]], other: tuple[int, list[Arrival]]
) -> None:
    """So that later events find what they expect; and which side is which makes no difference."""
    retention_ms, mine_of = one
    now_ms = max(mine_of[-1][0], other[1][-1][0])
    mine = replay(retention_ms, mine_of, together=True)
    theirs = replay(retention_ms, other[1], together=True)
    merged = merge_windows(mine, theirs, now_ms, retention_ms)
    assert merged == merge_windows(theirs, mine, now_ms, retention_ms)
    if mine is None or theirs is None or merged is None:
        return
    held = decode(merged, retention_ms)
    assert len(held.singles) <= EXACT_OCCURRENCES + 64
    assert list(held.singles) == sorted(held.singles)
    assert [start for start, _ in held.buckets] == sorted({start for start, _ in held.buckets})
    if held.buckets:
        assert len(held.singles) >= EXACT_OCCURRENCES
        assert held.buckets[-1][0] <= held.singles[0]
    later = add_all(merged, [now_ms], now_ms, retention_ms)
    assert count(later, now_ms, 1, retention_ms) == 1 + count(merged, now_ms, 1, retention_ms)


@given(RETENTIONS)
def test_a_window_merged_with_nothing_stays_what_it_is(retention_ms: int) -> None:
    """Most merges are of visitors who did little."""
    window = add_all(None, [NOW], NOW, retention_ms)
    assert merge_windows(window, None, NOW, retention_ms) == window
    assert merge_windows(None, window, NOW, retention_ms) == window
    assert merge_windows(None, None, NOW, retention_ms) is None


seen_at = st.lists(st.tuples(st.integers(0, 72), st.integers(0, 40), st.booleans()), max_size=40)


@given(seen_at, st.integers(0, 48))
def test_no_message_id_is_forgotten_by_a_merge(seen: list[tuple[int, int, bool]], age_h: int) -> None:
    """What either id sent in the 24 hours before is a duplicate when it comes again under the one id."""
    mine, theirs = Activity(), Activity()
    last: dict[str, int] = {}
    for hour, number, is_mine in sorted(seen):
        at_ms = NOW + hour * HOUR
        activities.is_duplicate(mine if is_mine else theirs, f"m{number}", at_ms)
        last.setdefault(f"m{number}", at_ms)
    merged_ms = NOW + 72 * HOUR
    merged = merge_activity(mine, theirs, {}, merged_ms)
    now_ms = merged_ms + age_h * HOUR
    for message_id, first_ms in last.items():
        if now_ms - first_ms < DUPLICATE_HORIZON_MS:
            assert activities.is_duplicate(
                msgspec.convert(msgspec.to_builtins(merged), Activity), message_id, now_ms
            )
    assert not activities.is_duplicate(merged, "never seen", now_ms)


def enrolled(number: int, journey: str, entered_ms: int, *, active: bool) -> Enrollment:
    """An enrollment that waits, or is over."""
    return Enrollment(
        id=f"{number:032x}",
        journey=journey,
        version="v",
        entered_at_ms=entered_ms,
        trigger=TriggerFacts("limit", f"m{number}", entered_ms, {"seats": 3}),
        step="1",
        state="active" if active else "ended",
        timer_id=f"{number + 1000:032x}" if active else None,
        due_ms=entered_ms + HOUR if active else None,
    )


@st.composite
def progresses(draw: st.DrawFn, subject: str, first: int) -> Progress:
    """A row as the engine leaves it: one active enrollment per journey at most."""
    journeys = draw(st.lists(st.sampled_from("abcdefgh"), max_size=6, unique=True))
    over = draw(st.lists(st.sampled_from("abcdefgh"), max_size=4))
    times = st.integers(NOW, NOW + 50)
    rows = [enrolled(first + at, name, draw(times), active=True) for at, name in enumerate(journeys)]
    rows += [enrolled(first + 50 + at, name, draw(times), active=False) for at, name in enumerate(over)]
    sent = draw(st.lists(st.integers(0, 20), max_size=8, unique=True))
    return Progress(
        subject,
        tuple(rows),
        {held.journey: held.entered_at_ms for held in rows},
        tuple(SentMessage(f"s{number}", "email", ("upsell",), NOW + number) for number in sorted(sent)),
        tuple(f"once{number}" for number in sent),
    )


@given(progresses("u", 0), progresses("a", 200))
def test_a_merged_person_is_in_each_journey_once_and_received_what_both_received(
    mine: Progress, theirs: Progress
) -> None:
    """Nobody is in the same journey twice, none entered later wins, and caps and `once` see everything."""
    merged = merge_progress(mine, theirs, NOW + 100)
    both = (*mine.enrollments, *theirs.enrollments)
    assert merged.subject == "u"
    assert {held.id for held in merged.enrollments} == {held.id for held in both}
    for journey in {held.journey for held in both if held.is_active}:
        (going,) = (held for held in merged.enrollments if held.is_active and held.journey == journey)
        assert going == min(
            (held for held in both if held.is_active and held.journey == journey),
            key=lambda held: (held.entered_at_ms, held.id),
        )
    for held in merged.enrollments:
        if held.end_reason == "merged":
            assert (held.timer_id, held.due_ms, held.trigger.properties) == (None, None, {})
    for journey, entered_ms in merged.entered.items():
        assert entered_ms == max(row.entered.get(journey, 0) for row in (mine, theirs))
    assert {sent.id for sent in merged.messages} == {sent.id for sent in (*mine.messages, *theirs.messages)}
    assert len({sent.id for sent in merged.messages}) == len(merged.messages)
    assert [sent.at_ms for sent in merged.messages] == sorted(sent.at_ms for sent in merged.messages)
    assert set(merged.once) == {*mine.once, *theirs.once}


def test_nobody_is_in_more_journeys_than_a_row_may_hold() -> None:
    """The latest entered end, silently."""
    mine = Progress("u", tuple(enrolled(n, f"j{n}", NOW + n, active=True) for n in range(ACTIVE_MAX)))
    theirs = Progress("a", tuple(enrolled(100 + n, f"k{n}", NOW + n, active=True) for n in range(ACTIVE_MAX)))
    merged = merge_progress(mine, theirs, NOW + 100)
    assert sum(held.is_active for held in merged.enrollments) == ACTIVE_MAX
    assert len(merged.enrollments) == 2 * ACTIVE_MAX
    assert (
        max(held.entered_at_ms for held in merged.enrollments if held.is_active) == NOW + ACTIVE_MAX // 2 - 1
    )


consents: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.dictionaries(st.sampled_from(["email", "in_app"]), st.one_of(st.none(), st.booleans())),
)


def _refuses(consent: Any, channel: str) -> bool:
    held = consent.get(channel) if isinstance(consent, dict) else consent
    return held is not None and held is not True


@given(consents, consents, st.booleans(), st.booleans())
def test_a_refused_consent_stays_refused(mine: Any, theirs: Any, has_mine: bool, has_theirs: bool) -> None:
    """Whoever said no, and however it was said, the person gets nothing over that channel."""
    merged = merge_traits(
        {"consent": mine} if has_mine else {}, {"consent": theirs} if has_theirs else {}
    ).get("consent")
    for channel in ("email", "in_app"):
        either = (has_mine and _refuses(mine, channel)) or (has_theirs and _refuses(theirs, channel))
        assert _refuses(merged, channel) or not either


def test_the_known_traits_win_and_missing_ones_are_filled() -> None:
    """Of two names the one that the known id has is right; what only the visitor told is kept."""
    assert merge_traits({"plan": "pro", "name": "Ada"}, {"plan": "free", "city": "Riga"}) == {
        "plan": "pro",
        "name": "Ada",
        "city": "Riga",
    }


def test_accounts_are_united_and_the_latest_stays_the_latest() -> None:
    """The account that the known id acted for last is still the one that its next event counts for."""
    mine, theirs = Activity(accounts=["b", "c"]), Activity(accounts=["c", "a"])
    assert merge_activity(mine, theirs, {}, NOW).accounts == ["a", "b", "c"]
