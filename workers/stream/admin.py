"""Bring a cluster's topics to their declarations: create, adjust settings, refuse what would move keys."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its list of names is incomplete
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from workers.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from concurrent.futures import Future

    from schemas.topics import Topic

TIMEOUT_SECONDS = 30.0
"""One request's patience: creating some twenty topics takes about a second on one slow disk."""

USUAL_REPLICATION = 3
"""Copies of each partition where nobody names a number and the cluster has as many brokers."""

LOOK_SECONDS = 0.05
"""Brokers learn of a change some milliseconds after it was accepted; this is the time between two looks."""

Action = Literal["create", "configure", "keep", "refuse"]


@dataclass(frozen=True)
class Difference:
    """One setting of one topic; ``current`` is None where the topic does not exist yet."""

    setting: str
    current: str | None
    wanted: str


@dataclass(frozen=True)
class TopicChange:
    """What a declaration asks of one topic. ``note`` tells a person why, or what will not be done."""

    topic: str
    action: Action
    differences: tuple[Difference, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Existing:
    """A topic as the cluster has it."""

    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True)
class _Wanted:
    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


def apply_topics(
    bootstrap: str,
    topics: Iterable[Topic],
    *,
    prefix: str = "",
    partitions: int,
    replication: int | None = None,
    dry_run: bool = False,
    options: Mapping[str, str | int | float | bool] | None = None,
) -> list[TopicChange]:
    """Create the missing topics and adjust the changed settings; what was (or, in a dry run, would be) done.

    ``partitions`` is the number of the co-partitioned topics; ``replication`` None means 3, or as
    many as there are brokers. A topic's other settings are left alone. Doing it again changes nothing.
    ``options`` are further client settings, such as credentials.

    Raises:
        Misconfigured: the cluster does not answer or does not allow it, or a topic has another number of
            partitions; in that case nothing was changed. A dry run reports such a topic as ``refuse``.
    """
    admin = AdminClient({"log_level": 0, **(options or {}), "bootstrap.servers": bootstrap})
    declared = tuple(topics)
    try:
        copies = _copies(admin, bootstrap, replication)
        wanted = [_wanted(topic, prefix, partitions, copies) for topic in declared]
        changes = _plan(admin, wanted)
        if dry_run:
            return changes
        _settle(admin, bootstrap, wanted, changes)
    except KafkaException as error:
        raise Misconfigured(_told(bootstrap, error)) from error
    return changes


def partitions_of(
    bootstrap: str, topic: str, options: Mapping[str, str | int | float | bool] | None = None
) -> int:
    """How many partitions a topic has.

    Raises:
        Misconfigured: the cluster does not answer, or has no such topic.
    """
    admin = AdminClient({"log_level": 0, **(options or {}), "bootstrap.servers": bootstrap})
    try:
        found = admin.list_topics(topic, timeout=10).topics.get(topic)
    except KafkaException as error:
        raise Misconfigured(_told(bootstrap, error)) from error
    if found is None or found.error is not None:
        raise Misconfigured(f"there is no topic {topic!r} on {bootstrap}: run `brimful topics apply` first")
    return len(found.partitions)


def plan_change(
    name: str,
    partitions: int,
    replication: int,
    config: Mapping[str, str],
    existing: Existing | None,
) -> TopicChange:
    """What one topic needs. Pure: the same topic always gets the same answer."""
    if existing is None:
        shape = {"partitions": str(partitions), "replication": str(replication)}
        return TopicChange(
            name,
            "create",
            tuple(Difference(setting, None, value) for setting, value in (shape | dict(config)).items()),
        )
    changed = tuple(
        Difference(setting, existing.config.get(setting), value)
        for setting, value in config.items()
        if not _same(existing.config.get(setting), value)
    )
    if existing.partitions != partitions:
        difference = Difference("partitions", str(existing.partitions), str(partitions))
        return TopicChange(
            name, "refuse", (difference, *changed), _moving_keys(existing.partitions, partitions)
        )
    note = ""
    if existing.replication != replication:
        note = f"has {existing.replication} copies, not {replication}: Kafka's reassignment tool changes that"
    return TopicChange(name, "configure" if changed else "keep", changed, note)


def _moving_keys(current: int, wanted: int) -> str:
    return (
        f"has {current} partitions, declared are {wanted}. Another number sends keys away from their "
        f"state: keep {current} (--partitions {current} where the topic is co-partitioned), or begin anew "
        f"under another prefix"
    )


def _same(current: str | None, wanted: str) -> bool:
    if current == wanted:
        return True
    try:
        return current is not None and float(current) == float(wanted)
    except ValueError:
        return False


def _wanted(topic: Topic, prefix: str, partitions: int, replication: int) -> _Wanted:
    in_sync = max(1, min(2, replication - 1))
    return _Wanted(
        prefix + topic.name,
        topic.partition_count(partitions),
        replication,
        topic.config() | {"min.insync.replicas": str(in_sync)},
    )


def _copies(admin: AdminClient, bootstrap: str, replication: int | None) -> int:
    """Copies of each partition; refuses at once a cluster that could only let every request time out."""
    cluster = admin.list_topics(timeout=TIMEOUT_SECONDS)
    if cluster.controller_id not in cluster.brokers:
        raise Misconfigured(
            f"the cluster at {bootstrap} has no controller, which creates topics (a mock never has one): "
            f"use a real broker, or wait until the cluster has elected one",
        )
    return replication if replication is not None else min(USUAL_REPLICATION, len(cluster.brokers))


def _plan(admin: AdminClient, wanted: Sequence[_Wanted]) -> list[TopicChange]:
    existing = _look(admin, [topic.name for topic in wanted])
    return [
        plan_change(topic.name, topic.partitions, topic.replication, topic.config, existing.get(topic.name))
        for topic in wanted
    ]


def _look(admin: AdminClient, names: Sequence[str]) -> dict[str, Existing]:
    known = admin.list_topics(timeout=TIMEOUT_SECONDS).topics
    present = [name for name in names if name in known and known[name].error is None]
    if not present:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in present]
    asked = admin.describe_configs(resources, request_timeout=TIMEOUT_SECONDS)
    configs = {resource.name: future.result() for resource, future in asked.items()}
    return {
        name: Existing(
            partitions=len(known[name].partitions),
            replication=min((len(part.replicas) for part in known[name].partitions.values()), default=0),
            config={entry.name: str(entry.value) for entry in configs[name].values()},
        )
        for name in present
    }


def _refuse(changes: Sequence[TopicChange]) -> None:
    refused = [f"topic {change.topic} {change.note}" for change in changes if change.action == "refuse"]
    if refused:
        raise Misconfigured("nothing was changed: " + "; ".join(refused))


def _settle(
    admin: AdminClient, bootstrap: str, wanted: Sequence[_Wanted], changes: Sequence[TopicChange]
) -> None:
    """Carry the changes out until the cluster shows them all, so that who comes next does not see less.

    Every request may be made again: a topic that somebody else created meanwhile is only looked at anew.
    """
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        _refuse(changes)
        if all(change.action == "keep" for change in changes):
            return
        if time.monotonic() >= deadline:
            raise Misconfigured(
                f"the topics at {bootstrap} did not become as declared within {TIMEOUT_SECONDS:.0f} s: "
                f"somebody else may be changing them; look at the plan and try again",
            )
        _carry_out(admin, wanted, changes)
        time.sleep(LOOK_SECONDS)
        changes = _plan(admin, wanted)


def _carry_out(admin: AdminClient, wanted: Sequence[_Wanted], changes: Sequence[TopicChange]) -> None:
    actions = {change.topic: change for change in changes}
    new = [topic for topic in wanted if actions[topic.name].action == "create"]
    if new:
        futures = admin.create_topics(
            [
                NewTopic(topic.name, topic.partitions, topic.replication, config=dict(topic.config))
                for topic in new
            ],
            operation_timeout=TIMEOUT_SECONDS,
            request_timeout=TIMEOUT_SECONDS,
        )
        for future in futures.values():
            _created(future)
    altered = [change for change in changes if change.action == "configure"]
    if altered:
        alterations = [_alteration(change) for change in altered]
        for future in admin.incremental_alter_configs(alterations, request_timeout=TIMEOUT_SECONDS).values():
            future.result()


def _created(future: Future[None]) -> None:
    try:
        future.result()
    except KafkaException as error:
        # Created by somebody else since we looked: the next look compares it.
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def _alteration(change: TopicChange) -> ConfigResource:
    entries = [
        ConfigEntry(difference.setting, difference.wanted, incremental_operation=AlterConfigOpType.SET)
        for difference in change.differences
    ]
    return ConfigResource(ResourceType.TOPIC, change.topic, incremental_configs=entries)


def _told(bootstrap: str, error: KafkaException) -> str:
    problem = error.args[0]
    return f"the topics at {bootstrap} could not be applied: {problem.str()} ({problem.name()})"
