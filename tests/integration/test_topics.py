"""Topic declarations against a real broker."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient

from schemas.topics import DAY_MS, Compaction, Topic, load_topics
from workers.errors import Misconfigured
from workers.local.kafka_mock import MockKafka
from workers.stream.admin import Difference, Existing, TopicChange, apply_topics, plan_change

RETENTION = {"retention.ms": "1000"}

broker = pytest.mark.kafka


def topic(name: str = "events", *, retention_ms: int = DAY_MS) -> Topic:
    """A small declaration of ours."""
    return Topic(
        name=name,
        description="A topic.",
        key="person",
        retention_ms=retention_ms,
        producers=("engine",),
        consumers=("engine",),
    )


def actions(changes: list[TopicChange]) -> list[str]:
    """What each change does, in order."""
    return [change.action for change in changes]


@broker
def test_all_declared_topics_are_created_once(kafka: str, topic_prefix: str) -> None:
    """The first apply creates every topic as declared; the second finds nothing to do."""
    first = apply_topics(kafka, load_topics(), prefix=topic_prefix, partitions=2)
    second = apply_topics(kafka, load_topics(), prefix=topic_prefix, partitions=2)
    assert set(actions(first)) == {"create"}
    assert set(actions(second)) == {"keep"}
    known = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).topics
    assert {
        declared.name: len(known[topic_prefix + declared.name].partitions) for declared in load_topics()
    } == {declared.name: declared.partition_count(2) for declared in load_topics()}


@broker
def test_a_dry_run_changes_nothing(kafka: str, topic_prefix: str) -> None:
    """`plan` says what would be created, and creates nothing."""
    planned = apply_topics(kafka, [topic()], prefix=topic_prefix, partitions=2, dry_run=True)
    assert actions(planned) == ["create"]
    assert (
        topic_prefix + "events"
        not in AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).topics
    )


@broker
def test_a_changed_setting_is_adjusted_alone(kafka: str, topic_prefix: str) -> None:
    """A new retention reaches the topic; nothing else of it is touched."""
    apply_topics(kafka, [topic()], prefix=topic_prefix, partitions=2)
    changed = apply_topics(kafka, [topic(retention_ms=2 * DAY_MS)], prefix=topic_prefix, partitions=2)
    assert changed == [
        TopicChange(
            topic_prefix + "events",
            "configure",
            (Difference("retention.ms", str(DAY_MS), str(2 * DAY_MS)),),
        )
    ]
    again = apply_topics(kafka, [topic(retention_ms=2 * DAY_MS)], prefix=topic_prefix, partitions=2)
    assert actions(again) == ["keep"]


@broker
def test_compaction_settings_reach_the_topic_and_stay_equal(kafka: str, topic_prefix: str) -> None:
    """A ratio that the broker spells its own way is not a difference for ever."""
    state = Topic(
        name="changelog",
        description="State.",
        key="row",
        cleanup="compact",
        compaction=Compaction(
            min_cleanable_dirty_ratio=0.25,
            max_compaction_lag_ms=DAY_MS,
            delete_retention_ms=7 * DAY_MS,
            segment_bytes=1_048_576,
        ),
        producers=("engine",),
        consumers=("engine",),
    )
    assert actions(apply_topics(kafka, [state], prefix=topic_prefix, partitions=1)) == ["create"]
    assert actions(apply_topics(kafka, [state], prefix=topic_prefix, partitions=1)) == ["keep"]


@broker
def test_another_partition_count_is_refused_before_anything_is_done(kafka: str, topic_prefix: str) -> None:
    """Keys never move away from their state by a deployment; the other topics wait too."""
    apply_topics(kafka, [topic()], prefix=topic_prefix, partitions=2)
    both = [topic("new"), topic()]
    with pytest.raises(Misconfigured, match="has 2 partitions, declared are 4") as refused:
        apply_topics(kafka, both, prefix=topic_prefix, partitions=4)
    assert "--partitions 2" in str(refused.value)
    planned = apply_topics(kafka, both, prefix=topic_prefix, partitions=4, dry_run=True)
    assert actions(planned) == ["create", "refuse"]
    assert (
        topic_prefix + "new" not in AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).topics
    )


@broker
def test_more_copies_than_brokers_is_told(kafka: str, topic_prefix: str) -> None:
    """The cluster's own reason reaches the person, with the address."""
    with pytest.raises(Misconfigured, match=f"the topics at {kafka} could not be applied: .*replication"):
        apply_topics(kafka, [topic()], prefix=topic_prefix, partitions=1, replication=3)


def test_a_mock_cluster_is_told_apart_from_a_broken_one() -> None:
    """Who runs on librdkafka's mock reads that it cannot take declarations."""
    mock = MockKafka()
    mock.start()
    try:
        with pytest.raises(Misconfigured, match="use a real broker"):
            apply_topics(mock.bootstrap, [topic()], partitions=1)
    finally:
        mock.stop()


@pytest.mark.parametrize(
    ("existing", "action", "settings", "note"),
    [
        (None, "create", ["partitions", "replication", "retention.ms"], ""),
        (Existing(2, 1, RETENTION), "keep", [], ""),
        (Existing(2, 1, {"retention.ms": "2000"}), "configure", ["retention.ms"], ""),
        (Existing(2, 1, {}), "configure", ["retention.ms"], ""),
        (Existing(2, 1, {"retention.ms": "1000.0"}), "keep", [], ""),
        (Existing(2, 3, RETENTION), "keep", [], "has 3 copies, not 1"),
        (Existing(3, 1, RETENTION), "refuse", ["partitions"], "has 3 partitions, declared are 2"),
        (Existing(1, 1, {"retention.ms": "5"}), "refuse", ["partitions", "retention.ms"], "has 1 partitions"),
    ],
)
def test_the_plan_of_one_topic(
    existing: Existing | None, action: str, settings: list[str], note: str
) -> None:
    """Missing is created, changed is adjusted, copies are reported, partitions are refused."""
    change = plan_change("events", 2, 1, RETENTION, existing)
    assert change.action == action
    assert [difference.setting for difference in change.differences] == settings
    assert note in change.note
