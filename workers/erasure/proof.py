"""Reads topics to their end, read-committed, and tells what still names a person."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from workers.reading.topics import ends_of, read_topic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from workers.reading.topics import Found


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
        self._options = {**options, "bootstrap.servers": bootstrap}

    def ends(self, topic: str) -> dict[int, int]:
        """The offset after the last record of each partition.

        Raises:
            Misconfigured: there is no such topic.
            Retryable: the brokers do not answer.
        """
        return ends_of(self._options, topic)

    def read(self, topic: str, starts: Mapping[int, int]) -> Iterator[Found]:
        """All committed records from ``starts`` to where each partition ends now, deletions too."""
        return read_topic(self._options, topic, None, lambda *_: None, deletions=True, starts=starts)

    def look(self, topic: str, names: Names) -> Looked:
        """Look through a compacted topic: what its newest values say of a person."""
        ends = self.ends(topic)
        looked = Looked(topic, len(ends), ends=ends)
        live: dict[tuple[int, bytes], Left] = {}
        for message in self.read(topic, dict.fromkeys(ends, 0)):
            key, value = message.key or b"", None if message.deleted else message.value
            place = message.partition
            looked.records += 1
            if live.pop((place, key), None) is not None:
                looked.superseded += 1
            if value is not None and names.are_in(key, value):
                text = key.decode(errors="backslashreplace")
                live[place, key] = Left(topic, place, message.offset, text)
        looked.left = list(live.values())
        return looked
