"""What the gateway accepts and how long it waits: one frozen object, every bound with its unit."""

from __future__ import annotations

from dataclasses import dataclass, fields

from workers.errors import Misconfigured

KIB = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the gateway. Each is above 0; a request over one is refused with an answer that names it."""

    event_bytes: int = 32 * KIB
    """Most bytes of one event, as sent. Segment's documented limit."""

    batch_bytes: int = 500 * KIB
    """Most bytes of a request body, both as it comes over the wire and after gunzip. Segment's limit.
    RudderStack's own clients build batches of up to 4 MB; raise it where they send large events."""

    batch_events: int = 2500
    """Most events of one batch: it bounds the dead letters that 500 KB of ``{},{},{}`` can cause."""

    api_items: int = 1000
    """Most people, words or objects of one request to the API."""

    json_depth: int = 32
    """Deepest nesting of arrays and objects inside one event."""

    id_length: int = 255
    """Most characters of userId, anonymousId, groupId and previousId."""

    message_id_length: int = 100
    """Most characters of messageId; it is kept for the time of de-duplication, so it must be short."""

    future_ms: int = 3_600_000
    """How far an event's corrected time may lie ahead of the gateway's clock."""

    strict: bool = False
    """True: a batch with any bad event is refused whole, as if every request asked for it."""

    concurrent_requests: int = 256
    """Event requests in work at once. One holds its body on the wire, the body after gunzip and
    the records made of it; above the bound the answer is 503 with Retry-After, which clients retry."""

    body_seconds: float = 15.0
    """Longest time for a client to send its body; then 408, which clients retry."""

    streams: int = 5_000
    """Most open feed streams and long polls of all people together."""

    streams_per_person: int = 10
    """Most open feed streams and long polls of one person: some browser tabs on some devices."""

    long_poll_seconds: float = 25.0
    """Longest wait of a long poll: below the 30 s after which some proxies cut a silent connection."""

    heartbeat_seconds: float = 15.0
    """Silence after which a stream sends a comment line, so that proxies keep it and dead peers are found."""

    stream_write_seconds: float = 30.0
    """How long a client of a stream may take nothing in before its connection is closed."""

    keep_alive_seconds: int = 65
    """How long an idle connection stays open: above the 60 s of common load balancers, so that they never
    reuse one that is being closed."""

    shutdown_seconds: int = 15
    """How long requests in work may take after a shutdown began: above the 10 s in which Kafka answers."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "strict" and value <= 0:
                raise Misconfigured(f"gateway limit {field.name} must be above 0, not {value}")
