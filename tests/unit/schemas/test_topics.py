"""The topic declarations."""

from __future__ import annotations

import pytest

from schemas.topics import DAY_MS, ERASURE_LIMIT_MS, Topic, load_topics, parse_topics

SHARED = {
    "product-events",
    "account-traits",
    "objects",
    "account-events",
    "scheduler",
    "engagement",
    "messages.email",
    "messages.sms",
    "messages.push",
    "messages.in_app",
    "messages.webhook",
    "llm-requests",
    "deliveries",
    "decisions",
    "conversions",
    "segments",
    "step-counts",
    "scores",
    "identity",
    "feeds",
    "brimful-engine-changelog",
    "brimful-senders-changelog",
    "brimful-insights-changelog",
}
GOOD = """
topics:
  - name: one
    description: A topic.
    key: person
    retention_ms: 1_000
    producers: [engine]
    consumers: [senders]
"""


def declared(name: str) -> Topic:
    """The topic of that name."""
    return next(topic for topic in load_topics() if topic.name == name)


def test_every_topic_of_the_design_is_declared() -> None:
    """A worker never meets a topic that `topics apply` does not create."""
    assert {topic.name for topic in load_topics()} == SHARED | {"dead-letters", "imports", "workspace"}


def test_co_partitioned_topics_have_the_same_number_of_partitions() -> None:
    """A subject's records of all these topics reach the worker that holds its state."""
    shared = {topic.name for topic in load_topics() if topic.co_partitioned}
    assert shared == SHARED
    assert {declared(name).partition_count(12) for name in shared} == {12}
    assert declared("workspace").partition_count(12) == 1


def test_erased_values_leave_compacted_topics_within_a_day() -> None:
    """A person's erased state is out of the changelog within a day, and no reader misses the erasure."""
    compacted = [topic for topic in load_topics() if topic.cleanup == "compact"]
    assert {topic.name for topic in compacted} == {
        "feeds",
        "brimful-engine-changelog",
        "brimful-senders-changelog",
        "brimful-insights-changelog",
        "step-counts",
        "imports",
        "workspace",
    }
    for topic in compacted:
        assert int(topic.config()["max.compaction.lag.ms"]) <= ERASURE_LIMIT_MS
        assert int(topic.config()["delete.retention.ms"]) == 7 * DAY_MS


def test_deleted_topics_keep_records_to_the_day() -> None:
    """Only closed segments are deleted, so that segments of a day make the retention true."""
    assert declared("decisions").config() == {
        "cleanup.policy": "delete",
        "max.message.bytes": "1048588",
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(90 * DAY_MS),
        "segment.ms": str(DAY_MS),
    }


def test_someone_outside_writes_what_only_others_can_know() -> None:
    """Product events come from the platform, the workspace from people: not from our own roles alone."""
    assert "application" in declared("product-events").producers
    assert declared("workspace").producers == ("operator",)


@pytest.mark.parametrize(
    ("change", "to", "told"),
    [
        (
            "name: one",
            "name: o/ne",
            "topics.yaml: topic o/ne: name: Value error, 'o/ne' is no Kafka topic name",
        ),
        ("retention_ms: 1_000", "retention_ms: 0", "topic one: retention_ms: Input should be greater than 0"),
        ("    retention_ms: 1_000\n", "", "give `retention_ms` exactly where cleanup is delete"),
        (
            "key: person",
            "key: person\n    cleanup: compact",
            "give `retention_ms` exactly where cleanup is delete",
        ),
        ("    retention_ms: 1_000\n", "    cleanup: compact\n", "give `compaction` exactly where cleanup"),
        (
            "key: person",
            "key: person\n    partitions: 3",
            "give `partitions` exactly where co_partitioned is",
        ),
        ("key: person", "key: person\n    co_partitioned: false", "give `partitions` exactly where"),
        ("key: person", "key: person\n    retentoin_ms: 5", "topic one: retentoin_ms: Extra inputs"),
        ("[engine]", "[engin]", "topic one: producers.0: Input should be 'engine'"),
        ("topics:", "topisc:", "topics.yaml: a list `topics` is missing"),
        ("key: person", "key: [person", 'in "<unicode string>", line '),
    ],
)
def test_a_wrong_declaration_is_refused_by_name(change: str, to: str, told: str) -> None:
    """Whoever edits the file reads which topic and which field is wrong."""
    assert change in GOOD
    with pytest.raises(ValueError, match=r"topics\.yaml") as refused:
        parse_topics(GOOD.replace(change, to), "topics.yaml")
    assert told in str(refused.value)


def test_a_name_that_stands_twice_is_refused() -> None:
    """Two declarations of one topic would overwrite each other at each apply."""
    twice = GOOD + GOOD.replace("topics:", "")
    with pytest.raises(ValueError, match=r"topics\.yaml: declared more than once: one"):
        parse_topics(twice, "topics.yaml")


def test_a_compaction_later_than_a_day_is_refused() -> None:
    """The erasure promise cannot be edited away by a bigger number."""
    slow = GOOD.replace(
        "    retention_ms: 1_000\n",
        "    cleanup: compact\n    compaction: {min_cleanable_dirty_ratio: 0.3, "
        "max_compaction_lag_ms: 86_400_001,"
        " delete_retention_ms: 1, segment_bytes: 1_048_576}\n",
    )
    with pytest.raises(ValueError, match=r"compaction\.max_compaction_lag_ms: Input should be less than"):
        parse_topics(slow, "topics.yaml")
