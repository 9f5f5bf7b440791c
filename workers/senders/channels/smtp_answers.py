"""What the answers of a mail server mean, by where in the conversation they come. Pure.

A reason is ``smtp_<phase>_<code>[_<enhanced code>]``. The server's words are left out: they often repeat
the address.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

from workers.mail.codes import is_no_address
from workers.senders.channels.base import DeliveryResult, Misconfigured, Refused, RetryAfter, Unknown

Phase: TypeAlias = Literal["connect", "tls", "auth", "sender", "recipient", "data", "body"]
"""``data`` announces the mail, ``body`` is the mail: from there on it may be sent."""

RETRY_MS: Final = 60_000
"""First wait after a passing refusal; most servers that are busy are so for a minute."""

GREYLIST_RETRY_MS: Final = 300_000
"""First wait after 450 or 451 for a recipient: greylisting lets a second attempt pass after minutes."""

_ENHANCED = re.compile(r"^\s*([245])\.(\d{1,3})\.(\d{1,3})\b")
_BEFORE_ANY_MAIL: Final = frozenset({"connect", "tls", "auth"})
"""What goes wrong here is the server's, whatever the mail."""

_TOO_LARGE = 552
_BAD_SEQUENCE_OR_AUTH: Final = frozenset({503, 530, 534, 535, 538})


def meaning(phase: Phase, code: int, text: str) -> DeliveryResult:
    """The result for an answer that is not the one that ``phase`` hopes for."""
    found = _ENHANCED.match(text)
    enhanced = ".".join(found.groups()) if found and found[1] == str(code)[:1] else ""
    reason = f"smtp_{phase}_{code}" + (f"_{enhanced}" if enhanced else "")
    if 400 <= code < 500:  # noqa: PLR2004 - SMTP's passing refusals
        greylisted = phase == "recipient" and code in (450, 451)
        about: Literal["message", "provider"] = "provider" if phase in _BEFORE_ANY_MAIL else "message"
        return RetryAfter(GREYLIST_RETRY_MS if greylisted else RETRY_MS, reason, about)
    if not 500 <= code < 600:  # noqa: PLR2004 - neither yes nor no: the server breaks the protocol
        return Unknown(reason) if phase == "body" else RetryAfter(RETRY_MS, reason)
    if phase in _BEFORE_ANY_MAIL or code in _BAD_SEQUENCE_OR_AUTH:
        return Misconfigured(reason)
    if phase == "sender":
        return Refused(reason, "soft") if code == _TOO_LARGE else Misconfigured(reason)
    if phase == "recipient":
        return Refused(reason, "hard" if is_no_address(enhanced, code) else "soft")
    return Refused(reason, "soft")


def lost(phase: Phase, how: Literal["disconnected", "timeout", "unreachable"]) -> DeliveryResult:
    """The result when the connection broke or the time was up in ``phase``.

    Before the mail itself went out it is certainly not sent. Afterwards the server may have taken it.
    """
    reason = f"smtp_{phase}_{how}"
    if phase == "body":
        return Unknown(reason)
    server = phase in _BEFORE_ANY_MAIL or how != "disconnected"
    return RetryAfter(RETRY_MS, reason, "provider" if server else "message")
