"""Journeys in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from prometheus_client import CollectorRegistry

from schemas import wire
from tests.unit.stream.kit import Rec
from workers.insights.logic import DAYS_KEPT, InsightsLogic
from workers.insights.metrics import JourneyMetrics
from workers.stream.batch import TP, Batch
from workers.stream.store import PartitionStore
from workers.stream.view import View
from workers.tallies import SIZES, TALLIES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1_773_480_000_000


class Insights:
    """One partition's insights over a real store."""

    def __init__(self, path: Path) -> None:
        self.store = PartitionStore(path / "p0")
        self.dead: list[tuple[int, str]] = []
        self.keys: dict[bytes, bytes] = {}
        self.begin()

    def begin(self) -> None:
        """A new owner's."""
        self.metrics = JourneyMetrics()
        self.registry = CollectorRegistry()
        self.registry.register(self.metrics)
        self.logic = InsightsLogic(0, lambda name: "eu." + name, self.metrics)
        assert self.logic.opened(self.store) == ()

    async def take(self, topic: str, *values: bytes) -> None:
        """One committed transaction."""
        tp = TP("eu." + topic, 0)
        view = View(self.store.get)
        records = [Rec(at, value, self.keys.get(value, b"")) for at, value in enumerate(values)]
        items, keys = self.logic.prepare(Batch(tp, records, 0, len(records)), view, NOW)
        assert len(keys) >= len(items) or topic == "identity"
        self.logic.apply(tp, items, view, NOW)
        self.store.write(view.changes(), changelog_next=1, now_ms=NOW)
        self.dead += [(letter.offset, letter.reason) for letter in view.dead]
        await self.logic.act(view.effects, None)

    def number(self, kind: str, outcome: str, metric: str = "records", version: str = "v1") -> float | None:
        """What Prometheus sees."""
        labels = {"journey": "upsell", "version": version, "kind": kind, "outcome": outcome}
        return self.registry.get_sample_value(f"brimful_journey_{metric}", labels)


@pytest.fixture
def insights(tmp_path: Path) -> Iterator[Insights]:
    """Empty ones."""
    made = Insights(tmp_path)
    yield made
    made.store.abandon()


def decision(outcome: str = "eligible", version: str = "v1") -> bytes:
    """A decision on an entry."""
    return wire.encode(
        wire.Decision(
            id="d",
            kind="entry",
            subject_type="user",
            subject="u1",
            journey="upsell",
            version=version,
            outcome=outcome,
            values={},
            at_ms=NOW,
        )
    )


def delivery(outcome: Any = "sent", channel: Any = "email") -> bytes:
    """What became of a message."""
    return wire.encode(
        wire.Delivery(
            id="d",
            message_id="m",
            channel=channel,
            person="u1",
            journey="upsell",
            version="v1",
            enrollment="e",
            step="0",
            template="t",
            outcome=outcome,
            provider="smtp",
            latency_ms=1,
            at_ms=NOW,
        )
    )


def conversion(*, attributed: bool = True, holdout: bool = False, revenue: float | None = None) -> bytes:
    """A goal reached."""
    return wire.encode(
        wire.Conversion(
            id="c",
            subject_type="user",
            subject="u1",
            journey="upsell",
            version="v1",
            enrollment="e",
            event="paid",
            message_id="m",
            entered_at_ms=NOW,
            converted_at_ms=NOW,
            time_to_convert_ms=0,
            attributed=attributed,
            holdout=holdout,
            revenue=revenue,
        )
    )


async def test_decisions_are_counted_by_journey_version_kind_and_outcome(insights: Insights) -> None:
    """Each apart; what never happened has no number."""
    await insights.take("decisions", decision(), decision(), decision("declined"), decision(version="v2"))
    assert insights.number("entry", "eligible") == 2
    assert insights.number("entry", "declined") == 1
    assert insights.number("entry", "eligible", version="v2") == 1
    assert insights.number("send", "send") is None


async def test_deliveries_are_counted_by_channel(insights: Insights) -> None:
    """An in-app banner is no mail."""
    await insights.take("deliveries", delivery(), delivery("failed"), delivery(channel="in_app"))
    assert insights.number("delivery_email", "sent") == 1
    assert insights.number("delivery_email", "failed") == 1
    assert insights.number("delivery_in_app", "sent") == 1


async def test_conversions_tell_the_treated_from_the_held_out(insights: Insights) -> None:
    """With their revenue; one without revenue is a conversion of nothing."""
    await insights.take(
        "conversions",
        conversion(revenue=10.5),
        conversion(revenue=4.5),
        conversion(attributed=False),
        conversion(attributed=False, holdout=True, revenue=7),
    )
    assert insights.number("conversion", "attributed") == 2
    assert insights.number("conversion", "attributed", "revenue") == 15
    assert insights.number("conversion", "organic") == 1
    assert insights.number("conversion", "organic", "revenue") == 0
    assert insights.number("conversion", "holdout", "revenue") == 7


async def test_counts_go_on_over_transactions_and_owners(insights: Insights) -> None:
    """The row is the number; a new owner shows it before anything happens."""
    await insights.take("decisions", decision())
    await insights.take("decisions", decision())
    assert insights.number("entry", "eligible") == 2
    insights.begin()
    assert insights.number("entry", "eligible") == 2
    await insights.take("decisions", decision())
    assert insights.number("entry", "eligible") == 3
    assert len(insights.store.scan(TALLIES.prefix)) == 1


async def test_partitions_are_summed_and_a_lost_one_is_not_shown(insights: Insights) -> None:
    """Its new owner shows it: the sum over all workers stays right."""
    other = InsightsLogic(1, lambda name: "eu." + name, insights.metrics)
    other.opened(insights.store)
    await insights.take("decisions", decision(), decision())
    other.opened(insights.store)
    assert insights.number("entry", "eligible") == 4
    await other.close()
    assert insights.number("entry", "eligible") == 2


async def test_what_cannot_be_read_is_put_aside(insights: Insights) -> None:
    """With the reason; its neighbours count."""
    await insights.take("decisions", decision(), b"{", b"{}", decision())
    assert insights.dead == [(1, "unreadable"), (2, "invalid")]
    assert insights.number("entry", "eligible") == 2


def change(subject: str, change: str, at_ms: int, segment: str = "ready") -> bytes:
    """A subject came into a segment, or left it."""
    return wire.encode(
        wire.SegmentChange(
            id="s",
            segment=segment,
            version="v1",
            subject_type="user",
            subject=subject,
            change=cast("Any", change),
            values={},
            at_ms=at_ms,
        )
    )


async def test_the_size_of_a_segment_is_kept_by_the_day(insights: Insights) -> None:
    """What Prometheus sees is the size now; the row has each day's comings and goings."""
    day_ms = 86_400_000
    await insights.take("segments", change("u1", "entered", NOW), change("u2", "entered", NOW))
    await insights.take("segments", change("u1", "left", NOW + day_ms), change("u9", "entered", NOW, "other"))
    insights.begin()
    labels = {"segment": "ready", "subject": "user"}
    assert insights.registry.get_sample_value("brimful_segment_members", labels) == 1
    (stored,) = [row for key, row in insights.store.scan(SIZES.prefix) if key.endswith(b"ready")]
    assert SIZES.decode(stored).days == {"2026-03-14": (2, 0, 2), "2026-03-15": (0, 1, 1)}
    await insights.logic.close()
    assert insights.registry.get_sample_value("brimful_segment_members", labels) is None


async def test_days_of_a_segment_are_bounded(insights: Insights) -> None:
    """The oldest are given up; the size is not."""
    day_ms = 86_400_000
    changes = [change(f"u{day}", "entered", NOW + day * day_ms) for day in range(DAYS_KEPT + 3)]
    await insights.take("segments", *changes)
    ((_, stored),) = insights.store.scan(SIZES.prefix)
    size = SIZES.decode(stored)
    assert (len(size.days), size.members, min(size.days)) == (DAYS_KEPT, DAYS_KEPT + 3, "2026-03-17")
