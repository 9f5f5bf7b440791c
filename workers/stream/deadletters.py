"""Dead letters: records put aside with their reason, and the limit at which a worker stops."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import msgspec

from workers.core.ids import stable_id
from workers.errors import TooManyDead
from workers.stream.view import Output

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workers.stream.view import DeadLetter

PAYLOAD_MAX_BYTES = 256 * 1024
"""Payload kept in a dead letter. The whole record stays in its topic, named by partition and offset."""

PANE_RECORDS = 1_000
"""Records over which the share of dead ones is judged; two panes, so a burst at a seam is still seen."""

_encode = msgspec.json.Encoder().encode


class DeadLetterLimit:
    """Stops the worker when the share of dead records of a topic passes ``share`` (0 to 1; 1: never).

    A few bad records never stop anything; a producer that broke its format would otherwise empty the
    whole topic into ``dead-letters`` overnight.
    """

    def __init__(self, topic: str, share: float) -> None:
        self._topic = topic
        self._share = share
        self._seen = self._dead = self._seen_before = self._dead_before = 0

    def count(self, seen: int, dead: int) -> None:
        """Count one transaction.

        Raises:
            TooManyDead: nothing of the transaction is committed, and the worker has to stop.
        """
        seen_all = self._seen + self._seen_before + seen
        dead_all = self._dead + self._dead_before + dead
        if seen_all >= PANE_RECORDS and dead_all > self._share * seen_all:
            raise TooManyDead(self._topic, dead_all, seen_all)
        self._seen += seen
        self._dead += dead
        if self._seen >= PANE_RECORDS:
            self._seen_before, self._dead_before = self._seen, self._dead
            self._seen = self._dead = 0


def outputs(dead: Iterable[DeadLetter], topic: str, app_id: str, now_ms: int) -> list[Output]:
    """The dead letters as records of ``topic``."""
    return [Output(topic, letter.key, _record(letter, app_id, now_ms)) for letter in dead]


def _record(letter: DeadLetter, app_id: str, now_ms: int) -> bytes:
    payload = letter.value or b""
    kept = payload[:PAYLOAD_MAX_BYTES]
    record = {
        "v": 1,
        "id": stable_id("dead", letter.tp.topic, str(letter.tp.partition), str(letter.offset), app_id),
        "app": app_id,
        "topic": letter.tp.topic,
        "partition": letter.tp.partition,
        "offset": letter.offset,
        "reason": letter.reason,
        "detail": letter.detail,
        "key": None if letter.key is None else base64.b64encode(letter.key[:PAYLOAD_MAX_BYTES]).decode(),
        "payload": base64.b64encode(kept).decode(),
        "payload_bytes": len(payload),
        "truncated": len(kept) < len(payload),
        "at_ms": now_ms,
    }
    return _encode(record)
