"""Assignment to variants: sticky, by weight, and moved no further than a change of weights asks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import ValidationError

from schemas.workspace import Experiment, GlobalHoldout, Workspace
from tests.unit.core.kit import BANNER, World, journey
from workers.core.compile import compile_workspace
from workers.core.journeys.experiments import assign, compile_holdout, is_in_holdout

if TYPE_CHECKING:
    from workers.core.plan import Plan, SubjectPlan

UNITS = [f"user_{number}" for number in range(20_000)]


def spread(experiment: str, weights: dict[str, int]) -> dict[str, str]:
    """The variant of each unit."""
    return {unit: assign(experiment, unit, weights) for unit in UNITS}


@pytest.mark.parametrize(
    "weights",
    [
        {"a": 5_000, "b": 5_000},
        {"a": 1_000, "b": 9_000},
        {"a": 3_334, "b": 3_333, "c": 3_333},
        {"a": 9_975, "b": 25},
    ],
    ids=str,
)
def test_each_variant_gets_its_share(weights: dict[str, int]) -> None:
    """Of 20,000 units each variant gets its weight, within five standard deviations."""
    counts = Counter(spread("offer", weights).values())
    for variant, weight in weights.items():
        share = weight / 10_000
        deviation = (share * (1 - share) * len(UNITS)) ** 0.5
        assert abs(counts[variant] - share * len(UNITS)) < 5 * deviation


def test_a_variant_without_weight_is_given_to_nobody() -> None:
    """Weight 0 ends a variant without touching who has another."""
    before = spread("offer", {"a": 5_000, "b": 3_000, "c": 2_000})
    after = spread("offer", {"a": 5_000, "b": 3_000, "c": 0})
    assert "c" not in after.values()
    assert all(after[unit] == before[unit] for unit in UNITS if before[unit] != "c")


def test_where_a_weight_grows_units_move_to_that_variant_alone_and_no_more_than_needed() -> None:
    """From 10 to 30 percent: a fifth of all units moves, all of them to the variant that grew."""
    before = spread("offer", {"a": 1_000, "b": 4_500, "c": 4_500})
    after = spread("offer", {"a": 3_000, "b": 3_500, "c": 3_500})
    moved = [unit for unit in UNITS if before[unit] != after[unit]]
    assert {after[unit] for unit in moved} == {"a"}
    assert len(moved) / len(UNITS) == pytest.approx(0.2, abs=0.015)


def test_experiments_are_independent_of_each_other() -> None:
    """Two factors at once: each cell of the four gets a quarter."""
    half = {"a": 5_000, "b": 5_000}
    first, second = spread("subject_line", half), spread("send_hour", half)
    cells = Counter((first[unit], second[unit]) for unit in UNITS)
    assert len(cells) == 4
    deviation = (0.25 * 0.75 * len(UNITS)) ** 0.5
    assert all(abs(count - len(UNITS) / 4) < 5 * deviation for count in cells.values())


def test_an_experiment_without_weight_is_an_error() -> None:
    """There is nobody to fall back to."""
    with pytest.raises(ValueError, match="'offer' has no variant"):
        assign("offer", "user_1", {"a": 0})


WEIGHTS = st.dictionaries(st.text(min_size=1, max_size=8), st.integers(1, 10_000), min_size=1, max_size=6)


@given(st.text(max_size=20), st.text(max_size=20), WEIGHTS, st.data())
def test_the_order_of_variants_and_of_units_makes_no_difference(
    experiment: str, unit: str, weights: dict[str, int], data: st.DataObject
) -> None:
    """Whatever the file's order and whoever came before, the unit has the same variant."""
    names = data.draw(st.permutations(sorted(weights)))
    here = assign(experiment, unit, weights)
    for other in range(3):
        assign(experiment, f"{unit}{other}", weights)
    assert assign(experiment, unit, {name: weights[name] for name in names}) == here
    assert here in weights


EXPERIMENT = {"experiment": "offer", "variants": {"plain": 50, "roi": 50}}


def workspace_of(*journeys: dict[str, Any], **fields: Any) -> Plan:
    """The plan of a workspace."""
    content = {"name": "test", "journeys": list(journeys), **fields}
    return compile_workspace(Workspace.model_validate(content))


def entered(plan: SubjectPlan, subject: str, account: str | None = None) -> World:
    """Someone who has met the entry's event."""
    world = World(plan, subject)
    for record in world.signal("limit")[0]:
        world.enroll(replace(record, account=account))
    return world


def test_an_assignment_is_recorded_and_branches_ask_for_it() -> None:
    """The same person has the same variant in every journey that names the experiment."""
    branch = {
        "branch": [
            {"when": {"experiment": "offer", "is": "roi"}, "steps": [{"send": {"email": "mail"}}]},
            {"otherwise": [BANNER]},
        ]
    }
    fields = {"experiments": ["offer"], "steps": [branch]}
    plan = workspace_of(journey("one", **fields), journey("two", **fields), experiments=[EXPERIMENT]).user
    seen: Counter[str] = Counter()
    for number in range(100):
        world = entered(plan, f"u{number}")
        variants = {one.variant for one in world.decisions if one.kind == "assignment"}
        assert len(variants) == 1
        assert world.sent() == [{"plain": "banner", "roi": "mail"}[variants.pop() or ""]] * 2
        seen[world.sent()[0]] += 1
    assert min(seen.values()) > 30


def test_factors_are_assigned_each_by_itself() -> None:
    """Four cells, by the names that conditions use."""
    factors = {"subject": {"a": 50, "b": 50}, "hour": {"early": 50, "late": 50}}
    plan = workspace_of(
        journey(experiments=["offer"]), experiments=[{"experiment": "offer", "factors": factors}]
    ).user
    cells: Counter[tuple[str, ...]] = Counter()
    for number in range(200):
        (held,) = entered(plan, f"u{number}").progress.enrollments
        assert held.variants.keys() == {"offer.subject", "offer.hour"}
        cells[tuple(held.variants.values())] += 1
    assert len(cells) == 4


def test_an_account_is_assigned_as_one() -> None:
    """All its users have its variant; who has no account stands for themselves."""
    plan = workspace_of(journey(experiments=["offer"]), experiments=[{**EXPERIMENT, "unit": "account"}]).user
    for account in ("a1", "a2", "a3", "a4"):
        variants = {
            entered(plan, f"u{number}", account).progress.enrollments[0].variants["offer"]
            for number in range(10)
        }
        assert variants == {assign("offer", account, {"plain": 5_000, "roi": 5_000})}
    alone = {entered(plan, f"u{number}").progress.enrollments[0].variants["offer"] for number in range(20)}
    assert alone == {"plain", "roi"}


def test_who_is_held_out_of_the_workspace_gets_no_message_of_any_journey() -> None:
    """They walk the same way, and each message is one that would have been sent."""
    journeys = [journey("one"), journey("two")]
    plan = workspace_of(*journeys, holdout={"share": "20%"}).user
    held_out = 0
    for number in range(300):
        world = entered(plan, f"u{number}")
        outcomes = {outcome for outcome, _ in world.outcomes("send")}
        assert len(outcomes) == 1
        held_out += outcomes == {"would_send"}
    assert 35 < held_out < 90


def test_who_is_held_out_stays_so_whatever_else_is_published() -> None:
    """The hash takes in nothing of the workspace; a larger share holds out more, and the same."""
    shares = ["5%", "10%", "50%"]
    groups = [
        {f"u{n}" for n in range(300) if is_in_holdout(compile_holdout(holdout), f"u{n}", None)}
        for holdout in (GlobalHoldout.model_validate({"share": share}) for share in shares)
    ]
    assert groups[0] < groups[1] < groups[2]


def test_by_account_all_of_an_account_are_held_out_together() -> None:
    """So that nobody hears of an offer from a colleague; the account's own journeys hold out too."""
    holdout = compile_holdout(GlobalHoldout.model_validate({"share": "50%", "unit": "account"}))
    for number in range(50):
        account = f"a{number}"
        ones = {is_in_holdout(holdout, f"u{n}", account) for n in range(5)}
        assert ones == {is_in_holdout(holdout, account, account)}


@given(st.permutations([f"u{number}" for number in range(12)]))
def test_assignment_does_not_depend_on_who_comes_first(subjects: list[str]) -> None:
    """Nor does the holdout: it is a function of the id."""
    plan = workspace_of(
        journey(experiments=["offer"], holdout="30%"), experiments=[EXPERIMENT], holdout={"share": "10%"}
    ).user
    found = {}
    for subject in subjects:
        (held,) = entered(plan, subject).progress.enrollments
        found[subject] = (held.holdout, held.variants)
    assert found == {
        subject: (one.holdout, one.variants)
        for subject in sorted(subjects)
        for one in entered(plan, subject).progress.enrollments
    }


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"variants": {"a": 50, "b": 40}}, "add up to 90, not to 100"),
        ({"variants": {"a": 100}}, "at least 2 items"),
        ({"variants": {"a": 33.333, "b": 66.667}}, "two decimals"),
        ({"variants": {"a": -1, "b": 101}}, "0 to 100"),
        ({}, "variants, or factors"),
        ({"variants": {"a": 50, "b": 50}, "factors": {"f": {"a": 50, "b": 50}}}, "variants, or factors"),
    ],
    ids=str,
)
def test_weights_that_make_no_whole_are_refused(fields: dict[str, Any], says: str) -> None:
    """With what they add up to."""
    with pytest.raises(ValidationError, match=says):
        Experiment.model_validate({"experiment": "offer", **fields})


def test_an_experiment_comes_back_from_its_dump() -> None:
    """What is published is what was read."""
    experiment = Experiment.model_validate({"experiment": "offer", "variants": {"a": 33.33, "b": 66.67}})
    assert Experiment.model_validate(experiment.model_dump(mode="json", exclude_defaults=True)) == experiment
