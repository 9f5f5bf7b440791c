"""Where a replay sends its messages: to the gateway, as a producer's SDK would, or straight to Kafka."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Self

import httpx
import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from workers.errors import BrimfulError, Misconfigured, Retryable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from workers.local.demo.mapping import Message

log = structlog.get_logger(__name__)

FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 5.0
GIVE_UP_S = 120.0  # of waiting between attempts in a row; longer than any restart of the gateway takes
BUSY = frozenset({408, 410, 429, 460})  # what the official SDKs try again, beside every 5xx


class GatewayRefusalError(BrimfulError):
    """The gateway answered that the batch is wrong; sending it again would not help.

    Operator action: the message has the gateway's answer. 401 means that the write key is not one of its own.
    """


class GatewayPublisher:
    """Posts batches to ``/v1/batch`` with a write key and tries again as the official SDKs do.

    429 and 503 wait as long as ``Retry-After`` says; other 5xx, 408, 410, 460 and a gateway that cannot be
    reached wait 0.2 s, doubling up to 5 s. ``Retryable`` is raised after 120 s of such waits in a row,
    ``GatewayRefusalError`` at any other 4xx. The message ids make a repeated batch harmless.
    """

    def __init__(
        self,
        url: str,
        write_key: str,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """``url`` is the gateway's base address; ``transport`` replaces the network in tests."""
        self._pause = pause
        self._client = httpx.AsyncClient(
            base_url=url, auth=(write_key, ""), timeout=30.0, transport=transport
        )

    async def __call__(self, messages: list[Message]) -> None:
        """Returns when the gateway has taken all ``messages``."""
        waited_s, backoff_s = 0.0, FIRST_BACKOFF_S
        while True:
            status, told_s, problem = await self._attempt(messages)
            if problem is None:
                return
            if status is not None and status not in BUSY and status < httpx.codes.INTERNAL_SERVER_ERROR:
                raise GatewayRefusalError(f"the gateway refused a batch of {len(messages)} events: {problem}")
            delay_s = backoff_s if told_s is None else told_s
            if waited_s + delay_s > GIVE_UP_S:
                raise Retryable(f"the gateway took no events for {waited_s:.0f} s: {problem}")
            log.info("replay.waiting", delay_s=delay_s, status=status)
            await self._pause(delay_s)
            waited_s += delay_s
            backoff_s = min(backoff_s * 2, LONGEST_BACKOFF_S)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _attempt(self, messages: list[Message]) -> tuple[int | None, float | None, str | None]:
        """One request: status (None when unreachable), seconds told to wait, problem (None when taken)."""
        try:
            answer = await self._client.post("/v1/batch", json={"batch": messages})
        except httpx.TransportError as error:
            return None, None, f"{type(error).__name__}: {error}"
        if answer.is_success:
            return answer.status_code, None, None
        told_s = _seconds(answer.headers.get("retry-after"))
        return answer.status_code, told_s, f"{answer.status_code} {answer.text[:500]}"


class KafkaPublisher:
    """Produces messages to a topic as the gateway would: key is the user, idempotent, murmur2."""

    def __init__(self, bootstrap: str, topic: str, config: dict[str, Any] | None = None) -> None:
        """``config`` is added to librdkafka's, for security settings."""
        self._topic = topic
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 5,
                **(config or {}),
            }
        )

    async def __call__(self, messages: list[Message]) -> None:
        """Returns when Kafka has acknowledged all ``messages``; raises ``KafkaException`` if it did not."""
        await asyncio.to_thread(self._send, messages)

    async def close(self) -> None:
        """Waits for what is under way, at most 10 s. Raises ``Retryable`` when something is left."""
        left = await asyncio.to_thread(self._producer.flush, 10.0)
        if left:
            raise Retryable(f"{left} demo events were not acknowledged by Kafka within 10 s")

    def _send(self, messages: list[Message]) -> None:
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, _record: object) -> None:
            if error is not None:
                failures.append(error)

        for message in messages:
            key = message.get("userId") or message.get("anonymousId")
            if key is None:
                raise Misconfigured(
                    f"demo message {message.get('messageId')!r} has no userId and no anonymousId"
                )
            value = json.dumps(message, separators=(",", ":")).encode()
            self._producer.produce(self._topic, value, key.encode(), on_delivery=delivered)
        self._producer.flush()
        if failures:
            raise KafkaException(failures[0])


def _seconds(header: str | None) -> float | None:
    """``Retry-After`` in seconds; None when absent, negative or a date (which the gateway does not send)."""
    try:
        seconds = float(header) if header is not None else -1.0
    except ValueError:
        return None
    return seconds if seconds >= 0 else None
