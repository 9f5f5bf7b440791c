"""How far an import came, kept in the compacted topic ``imports``: any machine goes on where another stopped.

Records are written first and the checkpoint after they are acknowledged. A run that is killed between the two
sends those rows again, with the ids that they had, and the engine drops them. A Kafka transaction would spare
that, at a price: while one is open, and for its time-out after its owner was killed, everybody who reads
committed records waits behind it on all partitions of ``product-events``, live events included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from schemas import wire
from workers.errors import Misconfigured
from workers.imports.rows import Sent
from workers.reading.topics import read_topic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.imports.output import Output

TOPIC: Final = "imports"


class Checkpoints(Protocol):
    """Keeps the newest checkpoint of each import."""

    def load(self, name: str) -> wire.ImportCheckpoint | None:
        """The newest checkpoint of an import; None where it never ran."""
        ...

    def save(self, checkpoint: wire.ImportCheckpoint) -> None:
        """Keep a checkpoint; it is kept when this returns."""
        ...


class MemoryCheckpoints:
    """Checkpoints that live as long as this object."""

    def __init__(self) -> None:
        self.saved: list[wire.ImportCheckpoint] = []

    def load(self, name: str) -> wire.ImportCheckpoint | None:
        """The last one saved."""
        return next((one for one in reversed(self.saved) if one.name == name), None)

    def save(self, checkpoint: wire.ImportCheckpoint) -> None:
        """Append it."""
        self.saved.append(checkpoint)


class KafkaCheckpoints:
    """Checkpoints in the topic; ``topic`` is its full name, ``output`` writes them."""

    def __init__(self, bootstrap: str, topic: str, output: Output, config: Mapping[str, Any]) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._output = output
        self._config = dict(config)

    def load(self, name: str) -> wire.ImportCheckpoint | None:
        """See :class:`Checkpoints`; reads the topic, which holds some records per import.

        Raises:
            Misconfigured: the topic is not there, or the newest record is none of ours.
            Retryable: Kafka does not answer.
        """
        options = {**self._config, "bootstrap.servers": self._bootstrap}
        newest: bytes | None = None
        for found in read_topic(options, self._topic, None, lambda *_: None, deletions=True):
            if found.key == name.encode():
                newest = None if found.deleted else found.value
        if newest is None:
            return None
        try:
            return wire.decode_import_checkpoint(newest)
        except msgspec.DecodeError as error:
            raise Misconfigured(
                f"the checkpoint of import {name!r} in topic {self._topic} is not readable: {error}"
            ) from error

    def save(self, checkpoint: wire.ImportCheckpoint) -> None:
        """See :class:`Checkpoints`."""
        self._output.send([Sent(TOPIC, checkpoint.name.encode(), wire.encode(checkpoint))])
