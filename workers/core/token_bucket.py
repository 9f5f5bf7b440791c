"""A token bucket: so much at once, and so much a second in the long run. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

_SECOND_MS = 1000


@dataclass(frozen=True, slots=True)
class Rate:
    """``per_second`` tokens come back each second, up to ``burst``. Both are above 0."""

    per_second: float
    burst: float


class Bucket(NamedTuple):
    """``tokens`` that were there at ``at_ms``. May be below 0: see :func:`spend`."""

    tokens: float
    at_ms: int


class Left(NamedTuple):
    """What a caller is told: whole tokens that are left, and how long until the bucket is full."""

    tokens: int
    full_ms: int


def full(rate: Rate, now_ms: int) -> Bucket:
    """The bucket of a caller who was not seen before."""
    return Bucket(rate.burst, now_ms)


def wait_ms(bucket: Bucket, rate: Rate, now_ms: int) -> int:
    """How long until one token is there; 0: now. A clock that went back gives nothing and takes nothing."""
    missing = 1 - _filled(bucket, rate, now_ms)
    return max(0, _whole_ms(missing * _SECOND_MS / rate.per_second))


def spend(bucket: Bucket, rate: Rate, cost: float, now_ms: int) -> Bucket:
    """The bucket after ``cost`` was taken.

    It may go below nothing, by one request at most where callers ask :func:`wait_ms` first: what a request
    costs is known when it has been read, and to refuse it then would waste the work and give it twice.
    """
    return Bucket(_filled(bucket, rate, now_ms) - cost, max(now_ms, bucket.at_ms))


def left(bucket: Bucket, rate: Rate, now_ms: int) -> Left:
    """What is left now."""
    tokens = _filled(bucket, rate, now_ms)
    return Left(max(0, math.floor(tokens)), _whole_ms((rate.burst - tokens) * _SECOND_MS / rate.per_second))


def _whole_ms(ms: float) -> int:
    """Rounded up, but for what fractions of tokens lose in binary."""
    return math.ceil(ms - 1e-6)


def _filled(bucket: Bucket, rate: Rate, now_ms: int) -> float:
    passed_ms = max(0, now_ms - bucket.at_ms)
    return min(rate.burst, bucket.tokens + passed_ms * rate.per_second / _SECOND_MS)
