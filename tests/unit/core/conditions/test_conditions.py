"""What each condition means, at its edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import TypeAdapter

from schemas.workspace import Condition
from tests.unit.core.kit import DAY, START
from workers.core.activity import windows
from workers.core.conditions.compile import compile_condition, compile_conditions, evaluate, evaluate_none
from workers.core.conditions.outcome import Outcome
from workers.core.facts import Moment, SubjectFacts
from workers.core.journeys.progress import Enrollment, Progress, SentMessage, TriggerFacts
from workers.core.zones import Zones

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from schemas.workspace import SustainedCondition
    from workers.core.activity.needs import Need
    from workers.core.conditions.compile import CompiledCondition

TRUE, FALSE, MISSING = Outcome.TRUE, Outcome.FALSE, Outcome.MISSING
SLOT, MEASURE, TRUTH = 7, 8, 9
_adapter: TypeAdapter[Any] = TypeAdapter(Condition)


class Names:
    """One slot of each kind; journeys by the tag ``upsell``."""

    def slot_id(self, event: str, where: Any) -> int:
        """Always the same."""
        return SLOT

    def measure_id(self, need: Need) -> int:
        """Always the same, and not the plain one."""
        return MEASURE

    def truth_id(self, condition: SustainedCondition) -> int:
        """Always the same."""
        return TRUTH

    def zones(self) -> Zones:
        """Of a workspace in Oslo."""
        return Zones("Europe/Oslo")

    def journeys(self, names: Iterable[str], tags: Iterable[str]) -> frozenset[str]:
        """Those named, and ``tagged`` for the tag."""
        return frozenset(names) | ({"tagged"} if "upsell" in tags else set())


def compiled(plain: Mapping[str, Any]) -> CompiledCondition:
    """A condition from its file form."""
    return compile_condition(_adapter.validate_python(plain), Names())


def moment(
    traits: Mapping[str, Any] | None = None,
    *,
    account: Mapping[str, Any] | None = None,
    happened_ms: tuple[int, ...] = (),
    progress: Progress | None = None,
) -> Moment:
    """A subject at START with these traits and occurrences."""
    held = None
    for at_ms in happened_ms:
        held = windows.add(held, at_ms, START, 30 * DAY)
    facts = SubjectFacts(
        now_ms=START,
        traits=traits or {},
        account_traits=account or {},
        windows={SLOT: held} if held is not None else {},
        retentions_ms={SLOT: 30 * DAY},
    )
    return Moment(facts, progress or Progress("u1"), START)


@pytest.mark.parametrize(
    ("operators", "value", "expected"),
    [
        # eq and ne
        ({"eq": "pro"}, "pro", TRUE),
        ({"eq": "pro"}, "Pro", FALSE),  # letters count
        ({"eq": 5}, 5.0, TRUE),  # numbers are numbers
        ({"eq": 5}, "5", FALSE),  # a text is no number
        ({"eq": True}, 1, FALSE),  # and a truth value is neither
        ({"eq": 1}, True, FALSE),
        ({"eq": "pro"}, ["pro"], FALSE),  # a list is not its item
        ({"eq": "pro"}, None, MISSING),
        ({"ne": "pro"}, "free", TRUE),
        ({"ne": "pro"}, "pro", FALSE),
        ({"ne": "pro"}, None, MISSING),  # who has no plan is not known to have another
        # in and not_in
        ({"in": ["a", "b"]}, "b", TRUE),
        ({"in": ["a", "b"]}, "c", FALSE),
        ({"in": ["a", "b"]}, {"a": 1}, FALSE),
        ({"in": [1, 2]}, True, FALSE),
        ({"in": ["a"]}, None, MISSING),
        ({"not_in": ["pro", "enterprise"]}, "free", TRUE),
        ({"not_in": ["pro", "enterprise"]}, "enterprise", FALSE),
        ({"not_in": ["pro", "enterprise"]}, None, MISSING),
        # order
        ({"gt": 5}, 5, FALSE),
        ({"gt": 5}, 5.1, TRUE),
        ({"gte": 5}, 5, TRUE),
        ({"lt": 5}, 5, FALSE),
        ({"lte": 5}, 5, TRUE),
        ({"gt": 5}, "6", MISSING),  # what cannot be compared is as good as not there
        ({"gt": 0}, True, MISSING),
        ({"lt": 5}, None, MISSING),
        ({"gte": 1, "lt": 3}, 2, TRUE),  # several operators must all hold
        ({"gte": 1, "lt": 3}, 3, FALSE),
        # exists
        ({"exists": True}, "", TRUE),  # an empty text is there
        ({"exists": True}, None, FALSE),
        ({"exists": False}, None, TRUE),
        ({"exists": False}, 0, FALSE),
        # what is said of a missing value
        ({"not_in": ["pro"], "if_missing": "pass"}, None, TRUE),
        ({"not_in": ["pro"], "if_missing": "fail"}, None, FALSE),
        ({"not_in": ["pro"], "if_missing": "pass"}, "pro", FALSE),
        ({"gt": 5, "if_missing": "pass"}, "much", TRUE),
    ],
)
def test_a_trait_compares_as_the_table_says(operators: dict[str, Any], value: Any, expected: Outcome) -> None:
    """Every operator, met, not met, and with nothing to compare."""
    condition = compiled({"trait": "plan", **operators})
    assert condition.test(moment({"plan": value}), {}) is expected
    if value is None:
        assert condition.test(moment({}), {}) is expected


@pytest.mark.parametrize(
    ("bounds", "ages_ms", "expected"),
    [
        ({"at_least": 2}, (0, DAY), TRUE),
        ({"at_least": 2}, (0,), FALSE),  # one short
        ({"at_least": 2}, (0, 21 * DAY - 1), TRUE),  # the last millisecond inside
        ({"at_least": 2}, (0, 21 * DAY), FALSE),  # one millisecond late
        ({"at_most": 1}, (0,), TRUE),
        ({"at_most": 1}, (0, 1), FALSE),
        ({"at_most": 0}, (), TRUE),  # did not happen
        ({"at_most": 0}, (21 * DAY,), TRUE),  # or no longer counts
        ({"exactly": 2}, (0, 1), TRUE),
        ({"exactly": 2}, (0, 1, 2), FALSE),
        ({"exactly": 0}, (), TRUE),
        ({}, (0,), TRUE),  # without a number: at least once
        ({}, (), FALSE),
        ({"at_least": 1, "at_most": 2}, (0, 1, 2), FALSE),
    ],
)
def test_performed_counts_in_a_window_that_ends_now(
    bounds: dict[str, int], ages_ms: tuple[int, ...], expected: Outcome
) -> None:
    """Within 21 days, to the millisecond, with no event needed for the window to move on."""
    condition = compiled({"performed": "limit", "within": "21d", **bounds})
    happened_ms = tuple(sorted(START - age_ms for age_ms in ages_ms))
    assert condition.test(moment(happened_ms=happened_ms), {}) is expected


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        ({"tag": "upsell"}, TRUE),
        ({"tag": ["news", "upsell"]}, TRUE),  # one of the tags is enough
        ({"tag": "news"}, FALSE),
        ({"channel": "email"}, TRUE),
        ({"channel": "in_app"}, FALSE),
        ({"tag": "upsell", "channel": "in_app"}, FALSE),  # both must fit
    ],
)
def test_received_looks_for_one_message_that_fits(received: dict[str, Any], expected: Outcome) -> None:
    """By tag, by channel, by both."""
    progress = Progress("u1", messages=(SentMessage("1", "email", ("upsell",), START - DAY),))
    condition = compiled({"received": received, "within": "30d"})
    assert condition.test(moment(progress=progress), {}) is expected


@pytest.mark.parametrize(("age_ms", "expected"), [(0, TRUE), (30 * DAY - 1, TRUE), (30 * DAY, FALSE)])
def test_a_message_leaves_the_window_after_exactly_its_length(age_ms: int, expected: Outcome) -> None:
    """A message of 30 days ago, to the millisecond, is no longer within 30 days."""
    progress = Progress("u1", messages=(SentMessage("1", "email", ("upsell",), START - age_ms),))
    condition = compiled({"received": {"tag": "upsell"}, "within": "30d"})
    assert condition.test(moment(progress=progress), {}) is expected


@pytest.mark.parametrize(
    ("enrolled", "state", "expected"),
    [
        ({"journey": "tagged"}, "active", TRUE),
        ({"journey": "tagged"}, "ended", FALSE),  # who has left is not inside
        ({"tag": "upsell"}, "active", TRUE),
        ({"journey": ["other", "tagged"]}, "active", TRUE),
        ({"journey": "other"}, "active", FALSE),
    ],
)
def test_enrolled_asks_who_is_inside_now(enrolled: dict[str, Any], state: Any, expected: Outcome) -> None:
    """By the journey's name or by its tag."""
    inside = Enrollment("e", "tagged", "v", START, TriggerFacts("x", "m", START, {}), "0", state=state)
    condition = compiled({"enrolled": enrolled})
    assert condition.test(moment(progress=Progress("u1", (inside,))), {}) is expected


YES = {"trait": "here", "eq": 1}
NO = {"trait": "here", "eq": 2}
GONE = {"trait": "gone", "eq": 1}


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        ({"all": [YES, YES]}, TRUE),
        ({"all": [YES, NO]}, FALSE),
        ({"all": [YES, GONE]}, MISSING),
        ({"all": [GONE, NO]}, FALSE),  # one that is false decides
        ({"any": [NO, YES]}, TRUE),
        ({"any": [GONE, YES]}, TRUE),  # one that is true decides
        ({"any": [NO, NO]}, FALSE),
        ({"any": [NO, GONE]}, MISSING),
        ({"not": YES}, FALSE),
        ({"not": NO}, TRUE),
        ({"not": GONE}, MISSING),  # a missing value does not make its opposite true
        ({"not": {"any": [NO, GONE]}}, MISSING),
    ],
)
def test_missing_is_neither_true_nor_false(plain: dict[str, Any], expected: Outcome) -> None:
    """all, any and not keep the third outcome."""
    assert compiled(plain).test(moment({"here": 1}), {}) is expected


def test_a_missing_value_neither_requires_nor_excludes() -> None:
    """Require is not met, exclude excludes nobody."""
    conditions = compile_conditions([_adapter.validate_python(GONE)], Names())
    required, excluded = evaluate(conditions, moment()), evaluate_none(conditions, moment())
    assert (required.ok, required.outcome, required.failed) == (False, MISSING, "trait gone eq 1")
    assert excluded.ok


def test_the_values_that_were_looked_at_are_kept_by_name() -> None:
    """A decision shows what it saw, in words that the author of the journey recognises."""
    plain = [
        {"performed": "limit", "at_least": 1, "within": "21d", "where": {"kind": "seats"}},
        {"trait": "plan", "not_in": ["pro"]},
        {"account": {"trait": "acv", "gte": 5}},
    ]
    conditions = compile_conditions(map(_adapter.validate_python, plain), Names())
    verdict = evaluate(conditions, moment({"plan": "free"}, account={"acv": 9}, happened_ms=(START,)))
    assert verdict.ok
    assert verdict.values == {
        "trait plan": "free",
        "account trait acv": 9,
        "performed limit where kind eq seats within 21d": 1,
    }


def test_cheap_conditions_come_first() -> None:
    """A trait that says no spares the counting."""
    plain = [{"performed": "limit", "within": "21d"}, {"trait": "plan", "eq": "free"}]
    verdict = evaluate(
        compile_conditions(map(_adapter.validate_python, plain), Names()), moment({"plan": "pro"})
    )
    assert verdict.values == {"trait plan": "pro"}


def test_a_dotted_name_leads_into_objects() -> None:
    """And into nothing where the object is not there, or is none."""
    condition = compiled({"trait": "address.city", "eq": "Oslo"})
    assert condition.test(moment({"address": {"city": "Oslo"}}), {}) is TRUE
    assert condition.test(moment({"address": "Oslo"}), {}) is MISSING
    assert condition.test(moment({}), {}) is MISSING
