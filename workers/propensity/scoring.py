"""Scores as Segment events: traits of each user or account, safe to send again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from workers.core.ids import stable_id
from workers.errors import Retryable
from workers.propensity.features import features_at, is_scored
from workers.propensity.history import OWN_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from workers.propensity.history import History
    from workers.propensity.model import Model
    from workers.settings import Settings

LIBRARY: Final = {"name": "brimful-propensity", "version": "1"}


def score_events(history: History, model: Model, at_ms: int) -> Iterator[dict[str, Any]]:
    """An ``identify`` or ``group`` call for each subject that is scored, of what was known before ``at_ms``.

    The same model and instant give the same message ids, so that a run that is repeated counts once. An
    account's call is made in the name of the member who last did something: a group call makes its user a
    member, and that one is.
    """
    model_id, stamp = model.id(), _stamp(at_ms)
    for subject, record in history.records.items():
        if not is_scored(record, at_ms, model.spec):
            continue
        features = features_at(record, at_ms, model.spec)
        person = record.last_actor(at_ms) if model.spec.subject == "account" else subject
        event: dict[str, Any] = {
            "type": "group" if model.spec.subject == "account" else "identify",
            "messageId": f"propensity-{stable_id(model_id, model.spec.subject, subject, str(at_ms))}",
            "timestamp": stamp,
            "userId": person,
            "context": {"library": LIBRARY},
            "traits": {
                OWN_PREFIX: round(model.probability(features), 4),
                f"{OWN_PREFIX}_reasons": [msgspec.to_builtins(one) for one in model.reasons(features)],
                f"{OWN_PREFIX}_at": stamp,
            },
        }
        if model.spec.subject == "account":
            event["groupId"] = subject
        yield event


def send(events: Iterable[dict[str, Any]], settings: Settings, topic: str) -> int:
    """Write events to ``product-events``, keyed by user; how many. All are in Kafka when it returns.

    Raises:
        Retryable: some are not. Run it again: those that are will count once.
    """
    from confluent_kafka import Producer  # noqa: PLC0415  only this needs it

    failed: list[str] = []

    def told(error: Any, _message: Any) -> None:
        if error is not None:
            failed.append(str(error))

    options = {
        "bootstrap.servers": settings.kafka,
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        **settings.librdkafka(),
    }
    producer = Producer(options)
    count = 0
    for event in events:
        while True:
            try:
                producer.produce(
                    topic, key=event["userId"].encode(), value=msgspec.json.encode(event), on_delivery=told
                )
                break
            except BufferError:
                producer.poll(1.0)
        count += 1
        producer.poll(0)
    left = producer.flush(120.0)
    if left or failed:
        why = failed[0] if failed else "Kafka did not answer in time"
        raise Retryable(f"{left + len(failed)} of {count} scores did not reach {topic}: {why}")
    return count


def _stamp(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")
