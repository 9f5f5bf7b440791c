"""Room for requests in work: one bound for every route that holds a body, whoever sends it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from workers.intake.problems import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.intake.limits import Limits
    from workers.intake.metrics import GatewayMetrics

_ONE_REQUEST_S = 1.0
"""Retry-After when too many requests are in work: one of them is answered in far less."""


class Room:
    """Counts the requests in work of one gateway, and refuses those beyond its limit."""

    def __init__(self, limits: Limits, metrics: GatewayMetrics) -> None:
        self._limits = limits
        self._metrics = metrics
        self._in_work = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a place while the request is in work.

        Raises:
            Problem: 503 with Retry-After where none is free; clients retry.
        """
        if self._in_work >= self._limits.concurrent_requests:
            raise unavailable("too many requests at once", _ONE_REQUEST_S)
        self._in_work += 1
        self._metrics.in_work.inc()
        try:
            yield
        finally:
            self._in_work -= 1
            self._metrics.in_work.dec()
