"""Reads topics to their end, read-committed, and tells what still names a person."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from workers.errors import Misconfigured, Retryable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from confluent_kafka import Message

_MOST_RECORDS = 5_000
_PATIENCE_S = 30.0
_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Left:
    """A value that names the person: the newest of its key."""

    topic: str
    partition: int
    offset: int
    key: str


@dataclass
class Looked:
    """What was looked through of one topic, up to which offsets.

    ``superseded`` are older values that name the person: their key has a newer value, or was deleted, and
    compaction removes them.
    """

    topic: str
    partitions: int = 0
    records: int = 0
    superseded: int = 0
    ends: dict[int, int] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)


class Names:
    """Recognises the ids of a person as keys and as whole texts inside msgpack and JSON values."""

    def __init__(self, ids: Sequence[str]) -> None:
        raw = [one.encode() for one in ids]
        self._keys = {*raw}
        self._texts = [*map(msgspec.msgpack.encode, ids), *map(msgspec.json.encode, ids)]

    def are_in(self, key: bytes, value: bytes | None) -> bool:
        """Whether a record names the person; the first byte of a state row's key is its table's."""
        if key in self._keys or key[1:] in self._keys:
            return True
        return value is not None and any(text in value for text in self._texts)


class Reader:
    """Reads whole topics, outside any group."""

    def __init__(self, bootstrap: str, options: Mapping[str, Any]) -> None:
        self._consumer = Consumer(
            {
                "group.id": "brimful-erase",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "log_level": 3,
                **options,
                "bootstrap.servers": bootstrap,
            }
        )

    def close(self) -> None:
        """Let go."""
        self._consumer.close()

    def ends(self, topic: str) -> dict[int, int]:
        """The offset after the last record of each partition.

        Raises:
            Misconfigured: there is no such topic.
            Retryable: the brokers do not answer.
        """
        found = self._consumer.list_topics(topic, timeout=_PATIENCE_S).topics[topic]
        if found.error is not None or not found.partitions:
            raise Misconfigured(f"there is no topic {topic!r}: run `brimful topics apply` first")
        return {number: self._end(TopicPartition(topic, number)) for number in sorted(found.partitions)}

    def _end(self, place: TopicPartition) -> int:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self._consumer.get_watermark_offsets(place, _PATIENCE_S)[1]
            except KafkaException as error:
                # Partitions change their leader, also just after they were created.
                if time.monotonic() >= deadline:
                    raise Retryable(f"{place.topic}: {error.args[0].str()}") from error
                time.sleep(_AGAIN_S)

    def read(self, topic: str, starts: Mapping[int, int]) -> Iterator[Message]:
        """All committed records from ``starts`` to where each partition ends now."""
        self._consumer.assign([TopicPartition(topic, number, at) for number, at in starts.items()])
        open_ends = set(starts)
        deadline = time.monotonic() + _PATIENCE_S
        while open_ends:
            messages = self._consumer.consume(_MOST_RECORDS, _AGAIN_S)
            if messages:
                deadline = time.monotonic() + _PATIENCE_S
            elif time.monotonic() >= deadline:
                raise Retryable(f"{topic} could not be read to its end: silent for {_PATIENCE_S:.0f} s")
            for message in messages:
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                    open_ends.discard(message.partition() or 0)
                else:
                    raise KafkaException(error)
        self._consumer.unassign()

    def look(self, topic: str, names: Names) -> Looked:
        """Look through a compacted topic: what its newest values say of a person."""
        ends = self.ends(topic)
        looked = Looked(topic, len(ends), ends=ends)
        live: dict[tuple[int, bytes], Left] = {}
        for message in self.read(topic, dict.fromkeys(ends, 0)):
            key, value = message.key() or b"", message.value()
            place = message.partition() or 0
            looked.records += 1
            if live.pop((place, key), None) is not None:
                looked.superseded += 1
            if value is not None and names.are_in(key, value):
                text = key.decode(errors="backslashreplace")
                live[place, key] = Left(topic, place, message.offset() or 0, text)
        looked.left = list(live.values())
        return looked
