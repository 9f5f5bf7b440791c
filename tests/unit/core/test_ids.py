"""Ids and buckets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.core.ids import bucket, stable_id


def test_ids_and_buckets_stay_what_they_are() -> None:
    """What was computed last year is computed today: a release that changes it repeats messages."""
    assert stable_id("a", "b") == "51f0df627eafec87293cace2af5bdf2a"
    assert bucket("holdout:upsell", "user-1") == 6966


@given(st.lists(st.text()), st.lists(st.text()))
def test_different_parts_give_different_ids(one: list[str], other: list[str]) -> None:
    """Where a part ends is part of the id: no joining of texts makes two of them collide."""
    assert (stable_id(*one) == stable_id(*other)) is (one == other)


def test_a_share_of_the_buckets_is_a_share_of_the_subjects() -> None:
    """Of 20,000 subjects, 9 to 11 % lie in the first tenth of the buckets."""
    inside = sum(bucket("holdout:upsell", f"user-{number}") < 1_000 for number in range(20_000))
    assert 1_800 < inside < 2_200


def test_experiments_are_independent() -> None:
    """Who is in the first tenth of one experiment is in the first tenth of another by chance alone."""
    subjects = [s for s in (f"user-{number}" for number in range(20_000)) if bucket("one", s) < 1_000]
    both = sum(bucket("two", subject) < 1_000 for subject in subjects)
    assert 0.06 < both / len(subjects) < 0.14
