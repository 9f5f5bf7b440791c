"""What answers mean that are the same for all providers over HTTP. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from workers.senders.channels.base import DeliveryResult, Misconfigured, Refused, RetryAfter, Unknown
from workers.senders.http.client import NoAnswer, NotCalled

if TYPE_CHECKING:
    from collections.abc import Mapping

RETRY_MS: Final = 250
"""First wait after a failure of the server, most of which are over by then; doubled by the ledger."""

RATE_MS: Final = 30_000
"""Wait where a provider asks for patience and says not how long."""

RETRY_AFTER_MAX_MS: Final = 3_600_000
"""Whoever asks for more is asked again after an hour: clocks are wrong and limits are lifted."""

_LOGIN: Final = frozenset({401, 403, 407})
_PASSING: Final = frozenset({408, 425})


def no_answer(failure: NoAnswer) -> DeliveryResult:
    """The result where no answer came."""
    reason = f"http_{failure.reason}"
    if isinstance(failure, NotCalled):
        return Misconfigured(reason)
    return Unknown(reason) if failure.sent else RetryAfter(RETRY_MS, reason, "provider")


def retry_after_ms(headers: Mapping[str, str], now_ms: int, default_ms: int) -> int:
    """What ``Retry-After`` says, in seconds or as a date (RFC 9110), within an hour; else the default."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal() and text.isascii():
        wait_ms = int(text[:9]) * 1000
    else:
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return default_ms
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        wait_ms = int((at - datetime.fromtimestamp(now_ms / 1000, UTC)).total_seconds() * 1000)
    return min(max(wait_ms, 0), RETRY_AFTER_MAX_MS)


def by_status(status: int, headers: Mapping[str, str], now_ms: int) -> DeliveryResult:
    """The result of a status that is not one of success, where a provider says no more.

    A 5xx without ``Retry-After`` is certainly no success, so the message is tried again; that it was taken
    all the same is possible, and told apart by its id.
    """
    reason = f"http_{status}"
    if status == 429 or (status == 503 and "retry-after" in headers):  # noqa: PLR2004 - RFC 6585, RFC 9110
        return RetryAfter(retry_after_ms(headers, now_ms, RATE_MS), reason, "rate")
    if status >= 500 or status in _PASSING:  # noqa: PLR2004 - RFC 9110
        return RetryAfter(RETRY_MS, reason, "provider")
    if status in _LOGIN:
        return Misconfigured(reason)
    if 300 <= status < 400:  # noqa: PLR2004 - RFC 9110
        return Misconfigured(f"{reason}_redirect")
    return Refused(reason, "soft")
