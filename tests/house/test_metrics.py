"""A metric's name is a promise to dashboards and alerts: ours, with its unit, and explained."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tests.house.code import ROOT, source_of, sources
from workers import telemetry
from workers.clock import FixedClock
from workers.engine_metrics import SignalMetrics
from workers.imports.metrics import ImportMetrics
from workers.insights.metrics import JourneyMetrics
from workers.intake.metrics import GatewayMetrics
from workers.senders.llm.metrics import LlmMetrics
from workers.senders.metrics import SenderMetrics
from workers.stream.metrics import KernelMetrics, LagCollector, StreamMetrics
from workers.tracking import TrackingPlanMetrics
from workers.versions.metrics import WorkspaceMetrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.core import Metric

    from tests.house.code import Source

OPERATIONS = ROOT / "docs" / "operations.md"

SUFFIXES = {"counter": "_total", "info": "_info"}
"""What Prometheus shows after the name of some kinds."""

UNITS = ("_total", "_info", "_seconds", "_bytes", "_records", "_members", "_ratio")

COUNTS_OF_THINGS = {
    "brimful_background_tasks": "tasks",
    "brimful_partitions_running": "partitions",
    "brimful_gateway_requests_in_work": "requests",
    "brimful_gateway_streams_open": "streams",
    "brimful_journey_revenue": "the currency of the goal's events",
}
"""Gauges that say in the middle of their name what they count, and their unit."""

OTHER_NAMES = {"brimful_message_id": "a property that HubSpot is asked to hold"}
"""What begins like a metric and is none."""

_DOCUMENTED = re.compile(r"`(brimful_[a-z0-9_]+)`")
_NAME = re.compile(r"brimful_[a-z0-9_]+")


def families() -> list[Metric]:
    """Every metric that a worker with all roles shows, but for those of Python and the process."""
    registry = telemetry.new_registry("0.0.0", "all")
    kernel = KernelMetrics(registry)
    StreamMetrics(kernel, "app", FixedClock(0))
    GatewayMetrics(registry)
    SenderMetrics(registry)
    LlmMetrics(registry)
    SignalMetrics(registry)
    TrackingPlanMetrics(registry)
    WorkspaceMetrics(registry)
    ImportMetrics("name", registry)
    registry.register(JourneyMetrics())
    registry.register(LagCollector("app", list, lambda _: None))
    return [metric for metric in registry.collect() if not metric.name.startswith(("process_", "python_"))]


def shown(metric: Metric) -> str:
    """The name as dashboards use it."""
    return metric.name + SUFFIXES.get(metric.type, "")


def breaches(metrics: Iterable[Metric], documented: frozenset[str]) -> Iterator[str]:
    """What is wrong with metrics."""
    for metric in metrics:
        name = shown(metric)
        if not _NAME.fullmatch(name):
            yield f"{name} does not begin with brimful_"
        if not name.endswith(UNITS) and name not in COUNTS_OF_THINGS:
            yield f"{name} does not end in a unit ({', '.join(UNITS)})"
        if name not in documented:
            yield f"{name} is not explained in docs/operations.md"


def named(source: Source) -> Iterator[str]:
    """The metric names that a module writes out, as the client library calls them: without ``_total``."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _NAME.fullmatch(node.value):
            yield node.value.removesuffix("_total")


def documented() -> frozenset[str]:
    """The metrics that the page for operators explains."""
    return frozenset(_DOCUMENTED.findall(OPERATIONS.read_text(encoding="utf-8")))


def test_metrics_are_named_and_explained() -> None:
    """Every metric of every role."""
    assert list(breaches(families(), documented())) == []


def test_every_explained_metric_exists() -> None:
    """An alert on a metric that is gone never fires."""
    assert documented() - {shown(metric) for metric in families()} == frozenset()


def test_every_metric_in_the_code_is_looked_at() -> None:
    """A name that stands in a module and not in the list above escapes these rules."""
    known = {metric.name for metric in families()}
    written = {name for source in sources("workers") for name in named(source)}
    assert written - known == set(OTHER_NAMES)


@pytest.mark.parametrize(
    ("metric", "wrong"),
    [
        (Counter("events", "", registry=None), "events_total does not begin with brimful_"),
        (Gauge("brimful_lag", "", registry=None), "brimful_lag does not end in a unit"),
        (Histogram("brimful_latency_ms", "", registry=None), "brimful_latency_ms does not end in a unit"),
        (Gauge("brimful_x_seconds", "", registry=None), "brimful_x_seconds is not explained"),
    ],
)
def test_the_rule_finds_what_it_forbids(metric: Counter | Gauge | Histogram, wrong: str) -> None:
    """One breach of each kind."""
    assert any(breach.startswith(wrong) for breach in breaches(metric.collect(), frozenset()))


def test_the_rule_lets_pass_what_is_named_well() -> None:
    """A counter is known by the name that it is shown under."""
    registry = CollectorRegistry()
    Counter("brimful_a", "", registry=registry)
    Histogram("brimful_b_seconds", "", registry=registry)
    explained = frozenset({"brimful_a_total", "brimful_b_seconds"})
    assert list(breaches(registry.collect(), explained)) == []


def test_names_are_found_however_a_metric_is_made() -> None:
    """Through a helper, a subclass, a table: the name is what counts."""
    source = source_of("made = make('brimful_a_total', 'A.')\nother = {'name': 'brimful_b_seconds'}")
    assert list(named(source)) == ["brimful_a", "brimful_b_seconds"]
