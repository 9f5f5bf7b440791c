"""What the routes of one gateway share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workers.intake.body import read_body
from workers.intake.problems import unavailable
from workers.intake.publisher import KafkaUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from workers.clock import Clock
    from workers.intake.callers import Callers
    from workers.intake.limits import Limits
    from workers.intake.metrics import GatewayMetrics
    from workers.intake.publisher import Publisher, Record
    from workers.intake.room import Room
    from workers.intake.settings import Topics


@dataclass(frozen=True, slots=True)
class Parts:
    """Made once, by ``create_gateway``."""

    publisher: Publisher
    clock: Clock
    limits: Limits
    topics: Topics
    metrics: GatewayMetrics
    callers: Callers
    room: Room

    async def body(self, request: Request, *, most_bytes: int | None = None) -> bytes:
        """The body of a request, decompressed, within the gateway's bounds, and counted.

        Raises:
            Problem: 413, 415, 400 or 408; see :func:`workers.intake.body.read_body`.
        """
        most = self.limits.batch_bytes if most_bytes is None else most_bytes
        body, wire_bytes = await read_body(request, most_bytes=most, seconds=self.limits.body_seconds)
        self.metrics.received.inc(wire_bytes)
        return body

    async def publish(self, records: Sequence[Record]) -> None:
        """Return when all records are kept.

        Raises:
            Problem: 503 with Retry-After where that is not known; whoever asks again does no harm.
        """
        try:
            await self.publisher.publish(records)
        except KafkaUnavailable as error:
            raise unavailable("it could not be kept; send it again", error.retry_after_s) from error
