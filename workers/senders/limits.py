"""How fast and how long a provider is called: a token bucket and a circuit breaker. Pure.

Both are values; every function takes one and the time and gives the next. A process has one of each per
connection, in memory: after a restart the bucket is full and the breaker closed, and the first answers say
again what they said before.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - a dataclass names it
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias, assert_never

from workers.senders.channels.base import (
    Accepted,
    DeliveryResult,
    Misconfigured,
    Refused,
    RetryAfter,
    Unknown,
)
from workers.senders.pace import DAY_MS, SLICES_A_DAY, Pace

DOMAINS_MAX: Final = 1_000
"""Domains whose rate is watched at once."""

FAILURES_TO_OPEN: Final = 5
"""Failures in a row, whoever's message: what fails so often is not the messages."""

OPEN_MIN_MS: Final = 1_000
OPEN_MAX_MS: Final = 300_000
"""One that is back after a moment is found within a second; after hours, within five minutes."""

MISCONFIGURED_MS: Final = 60_000
"""A person has to act; asking once a minute is soon enough to see that they did."""

PROBED_MS: Final = 250
"""When to look again while a call probes: the result comes to the partition that made it, not to others."""

PROBE_MS: Final = 60_000
"""A probe whose result is not known by then was lost with its worker; another may be made."""

FOREVER_MS: Final = 86_400_000

ASIDE_MAX: Final = 3
"""Calls without an answer that are not counted, for each that is: some that hang must not stop all others."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection bears. ``per_second`` calls (None: as fast as it answers); ``pace``: of receivers.

    ``calls_at_once`` is of the process; ``waiting_max`` is how many messages of one partition may wait in the
    state for their turn before the topic is left alone. A call that has no answer after ``slow_s`` (None:
    however long) lets another one begin beside it, up to :data:`ASIDE_MAX` times ``calls_at_once``.
    """

    calls_at_once: int = 16
    per_second: float | None = None
    burst: int = 0
    waiting_max: int = 50_000
    pace: Pace | None = None
    slow_s: float | None = None

    @property
    def burst_size(self) -> float:
        """Calls that may come at once after a quiet time; a second's worth where nothing else is said."""
        return max(1.0, float(self.burst or self.per_second or 1))


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens that were there at ``at_ms``; fewer than none where calls are owed."""

    tokens: float
    at_ms: int


def take_token(
    bucket: Bucket | None, limits: Limits, now_ms: int, calls: int = 1
) -> tuple[Bucket | None, int]:
    """The bucket afterwards, and 0 where a token was taken, else the milliseconds until there is one.

    A message of several ``calls`` begins with one token and owes the others: the next waits so much longer.
    """
    if limits.per_second is None:
        return None, 0
    full = Bucket(limits.burst_size, now_ms)
    return take(bucket or full, limits.per_second, limits.burst_size, now_ms, calls)


def take(bucket: Bucket, per_second: float, burst: float, now_ms: int, calls: int = 1) -> tuple[Bucket, int]:
    """As :func:`take_token`, for a rate that may change; ``burst`` is the most that the bucket holds."""
    passed_ms = max(0, now_ms - bucket.at_ms)
    tokens = min(burst, bucket.tokens + passed_ms * per_second / 1000)
    at_ms = max(now_ms, bucket.at_ms)
    if tokens >= 1 - 1e-9:
        return Bucket(tokens - calls, at_ms), 0
    return Bucket(tokens, at_ms), max(1, round((1 - tokens) * 1000 / per_second))


@dataclass(frozen=True, slots=True)
class Receivers:
    """What was sent at a :class:`Pace`, lately. After a restart the warm-up goes on with one mail."""

    warming: Bucket | None = None
    domains: Mapping[str, Bucket] = field(default_factory=dict)


def ask_warm_up(receivers: Receivers, pace: Pace | None, now_ms: int) -> tuple[Receivers, int]:
    """The receivers after one mail, and 0 where it may leave, else the milliseconds to wait."""
    allowance = pace.warm_up.allowance(now_ms) if pace is not None and pace.warm_up is not None else None
    if allowance is None:
        return receivers, 0
    burst = max(1.0, allowance / SLICES_A_DAY)
    bucket, wait_ms = take(receivers.warming or Bucket(1, now_ms), allowance * 1000 / DAY_MS, burst, now_ms)
    return (receivers if wait_ms else replace(receivers, warming=bucket)), wait_ms


def ask_domain(receivers: Receivers, pace: Pace | None, domain: str, now_ms: int) -> tuple[Receivers, int]:
    """The receivers after one mail to a domain, and 0 where it may leave, else the milliseconds to wait."""
    rate = pace.rate_of(domain) if pace is not None else None
    if rate is None:
        return receivers, 0
    burst = max(1.0, rate)
    bucket, wait_ms = take(receivers.domains.get(domain, Bucket(burst, now_ms)), rate, burst, now_ms)
    if wait_ms:
        return receivers, wait_ms
    kept = receivers.domains
    if len(kept) >= DOMAINS_MAX:
        # Who was not written to for longest has a full bucket, or nearly so.
        oldest = sorted(kept, key=lambda one: kept[one].at_ms)[: DOMAINS_MAX // 2]
        kept = {name: one for name, one in kept.items() if name not in set(oldest)}
    return replace(receivers, domains={**kept, domain: bucket}), 0


@dataclass(frozen=True, slots=True)
class Breaker:
    """Closed while ``open_until_ms`` is None; then open until that time; then half-open: one call probes.

    ``opened`` counts how often in a row it opened because of failures; ``probe_at_ms`` is when a probe began.
    ``told``: the provider said how long, and is taken at its word, without a probe.
    """

    failures: int = 0
    open_until_ms: int | None = None
    opened: int = 0
    probe_at_ms: int | None = None
    told: bool = False


CLOSED: Final = Breaker()


def ask_breaker(breaker: Breaker, now_ms: int) -> tuple[Breaker, int]:
    """The breaker afterwards, and 0 where a call may begin, else the milliseconds to wait."""
    if breaker.open_until_ms is None:
        return breaker, 0
    if now_ms < breaker.open_until_ms:
        return breaker, breaker.open_until_ms - now_ms
    if breaker.probe_at_ms is not None and now_ms < breaker.probe_at_ms + PROBE_MS:
        return breaker, PROBED_MS
    if breaker.told:
        return Breaker(opened=breaker.opened), 0
    return replace(breaker, probe_at_ms=now_ms), 0


Verdict: TypeAlias = Literal["answers", "fails", "slow_down", "misconfigured"]
"""What a result says of the provider, whatever it says of the message."""


def verdict(result: DeliveryResult) -> tuple[Verdict, int]:
    """What a result says of the provider, and for how long it wants to be left alone (0: nothing said)."""
    match result:
        case Accepted() | Refused():
            return "answers", 0
        case RetryAfter(about="message") | Misconfigured(about="message"):
            return "answers", 0
        case RetryAfter(delay_ms, about="rate"):
            return "slow_down", delay_ms
        case Misconfigured():
            return "misconfigured", MISCONFIGURED_MS
        case RetryAfter() | Unknown():
            return "fails", 0
        case _:
            assert_never(result)


def after_result(breaker: Breaker, result: DeliveryResult, now_ms: int) -> Breaker:
    """The breaker after a call came back."""
    said, wait_ms = verdict(result)
    is_open = breaker.open_until_ms is not None and now_ms < breaker.open_until_ms
    match said:
        case "answers":
            # A call that began before the breaker opened says nothing about now.
            return breaker if is_open else CLOSED
        case "slow_down" | "misconfigured":
            until_ms = now_ms + min(max(wait_ms, 1), FOREVER_MS)
            told = said == "slow_down" and (breaker.told or not is_open)
            return Breaker(0, max(until_ms, breaker.open_until_ms or 0), breaker.opened, told=told)
        case "fails":
            if is_open:
                return breaker
            failures = breaker.failures + 1
            if breaker.open_until_ms is None and failures < FAILURES_TO_OPEN:
                return replace(breaker, failures=failures)
            open_ms = min(OPEN_MIN_MS * 2 ** min(breaker.opened, 10), OPEN_MAX_MS)
            return Breaker(0, now_ms + open_ms, breaker.opened + 1)
        case _:
            assert_never(said)
