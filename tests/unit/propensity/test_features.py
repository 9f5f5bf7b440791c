"""Features: what was known just before a cut, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.propensity.kit import DAY_MS, PERIOD_MS, START_MS, TARGET, group, history, message, spec
from workers.propensity.features import features_at, is_scored
from workers.propensity.table import cuts_of, rows_at, split_of

CUT_MS = START_MS + 40 * DAY_MS
SPEC = spec(events=("invite_sent", "login"), traits=("plan", "seats", "active"))


def test_features_of_an_account() -> None:
    """Windows of 7 and 28 days before the cut, half-open at the cut; traits as they stood."""
    day = DAY_MS
    found = features_at(
        history(
            [
                group(START_MS, "a", plan="starter", seats=4, active=True, api_used=30, api_limit=40),
                message("login", CUT_MS - 35 * day, "a", "ada"),
                message("login", CUT_MS - 28 * day, "a", "ben"),
                message("login", CUT_MS - 28 * day - 1, "a", "ada"),
                message("invite_sent", CUT_MS - 3 * day, "a", "ada"),
                message("invite_sent", CUT_MS - 3 * day - 1, "a", "cleo"),
                message("limit", CUT_MS - 10 * day, "a", "ada", usage_percentage=90),
                message(TARGET, CUT_MS - 20 * day, "a", "ada"),
                message("login", CUT_MS, "a", "dev"),
                group(CUT_MS, "a", plan="pro"),
            ]
        ).records["a"],
        CUT_MS,
        SPEC,
    )
    assert {name: value for name, value in found.items() if "trend" not in name} == pytest.approx(
        {
            "events_28d": 5,
            "active_days_28d": 5,
            "days_since_last": 3,
            "age_days": 35,
            "active_users_28d": 3,
            "new_users_28d": 2,
            "event.invite_sent": 2,
            "event.login": 1,
            "targets_before": 1,
            "days_since_target": 20,
            "usage.seats": 0.75,
            "usage.api": 0.75,
            "usage.reported": 0.9,
            "usage.highest": 0.9,
            "trait.plan": "starter",
            "trait.seats": 4.0,
            "trait.active": "true",
        }
    )
    assert found["events_trend_14d"] == pytest.approx(0.288, abs=1e-3)  # 3 against 2: log(4 / 3)


def test_who_is_scored() -> None:
    """Who did something in the last 28 days, unless a trait excludes it."""
    made = history(
        [
            group(START_MS, "a", plan="starter"),
            message("login", CUT_MS - 28 * DAY_MS, "a"),
            message("login", CUT_MS, "b"),
            message("login", CUT_MS - 28 * DAY_MS - 1, "c"),
        ]
    )
    scored = [name for name, record in made.records.items() if is_scored(record, CUT_MS, SPEC)]
    assert scored == ["a"]
    excluding = spec(exclude=(("plan", "starter"),))
    assert not is_scored(made.records["a"], CUT_MS, excluding)


TIMES = st.integers(0, 80 * DAY_MS)
EVENTS = st.lists(
    st.tuples(st.sampled_from(["login", "invite_sent", TARGET, "limit", "group"]), TIMES, st.integers(0, 3)),
    max_size=25,
)


def _messages(events: list[tuple[str, int, int]]) -> list[dict[str, object]]:
    return [
        group(
            START_MS + offset,
            "a",
            f"user-{user}",
            plan=f"plan-{user}",
            seats=user,
            api_used=user,
            api_limit=2,
        )
        if name == "group"
        else message(name, START_MS + offset, "a", f"user-{user}", number, usage_percentage=40 * user)
        for number, (name, offset, user) in enumerate(events)
    ]


@given(EVENTS, EVENTS, EVENTS)
def test_what_happens_at_or_after_the_cut_changes_no_feature(
    past: list[tuple[str, int, int]], one: list[tuple[str, int, int]], other: list[tuple[str, int, int]]
) -> None:
    """Two futures of the same past: the same features, whatever comes, in whatever order it is read."""
    before = [event for event in past if START_MS + event[1] < CUT_MS]
    known = [("login", 39 * DAY_MS, 0), *before]
    first, second = (
        [(name, max(offset, CUT_MS - START_MS), user) for name, offset, user in future]
        for future in (one, other)
    )
    found = [
        features_at(history(_messages(known) + later[::step]).records["a"], CUT_MS, SPEC)
        for future, step in ((first, 1), (second, -1))
        if (later := _messages([*known, *future])[len(known) :]) is not None
    ]
    assert found[0] == found[1]


def test_scores_of_ours_and_roles_are_no_features() -> None:
    """The model does not feed on itself, and the role of a member is not the account's."""
    made = history(
        [
            group(START_MS, "a", plan="starter", role="admin", upgrade_propensity=0.9, seats=3),
            message("login", START_MS, "a"),
        ]
    )
    assert made.records["a"].traits_before(CUT_MS) == {"plan": "starter", "seats": 3}


def test_a_repeated_message_counts_once_and_order_does_not_matter() -> None:
    """Files overlap, and are not sorted."""
    messages = [message("login", START_MS + hour * 3_600_000, "a", f"user-{hour % 3}") for hour in range(50)]
    once, again = history(messages), history([*reversed(messages), *messages])
    assert once.records == again.records
    assert again.left_out == {"repeated": 50}


def test_events_of_a_user_without_an_account_go_to_the_last_one() -> None:
    """As the engine does; those of who has none are left out and counted."""
    bare = {key: value for key, value in message("login", START_MS, "x").items() if key != "context"}
    made = history([bare, group(START_MS, "a"), bare | {"messageId": "2"}])
    assert list(made.records) == ["a"]
    assert made.records["a"].count("login", START_MS, CUT_MS) == 1
    assert made.left_out == {"repeated": 0, "without account": 1}


def test_a_label_is_the_target_within_the_horizon() -> None:
    """Half-open: at the cut it counts, a horizon later it does not. A changed trait can be the target."""
    logins = [message("login", CUT_MS - 1, name) for name in "abcd"]
    made = history(
        [
            *logins,
            message(TARGET, CUT_MS, "a"),
            message(TARGET, CUT_MS + PERIOD_MS - 1, "b"),
            message(TARGET, CUT_MS + PERIOD_MS, "c"),
            group(START_MS, "d", plan="starter"),
            group(CUT_MS + 1, "d", plan="pro"),
        ]
    )
    assert {row.subject: row.label for row in rows_at(made, [CUT_MS], spec())} == {
        "a": True, "b": True, "c": False, "d": False,
    }  # fmt: skip
    by_trait = {row.subject: row.label for row in rows_at(made, [CUT_MS], spec(target="trait:plan"))}
    assert by_trait == {"a": False, "b": False, "c": False, "d": True}


def test_no_label_of_training_reaches_into_the_holdout() -> None:
    """Every training cut ends a horizon before the first that is held out."""
    made = history(
        [
            message(name, START_MS + day * DAY_MS, "a", number=day)
            for day in range(150)
            for name in ("x", TARGET)
        ]
    )
    cuts = cuts_of(made, PERIOD_MS, 7 * DAY_MS)
    assert cuts[0] == START_MS + 28 * DAY_MS
    assert cuts[-1] + PERIOD_MS <= made.end_ms
    split = split_of(made, cuts, spec(), 0.35)
    assert split.train[-1] + PERIOD_MS <= split.holdout[0] < split.train[-1] + PERIOD_MS + 7 * DAY_MS
    assert split.holdout[-1] == cuts[-1]
