"""Providers that one message calls several times: how many calls that takes, and when each may begin."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from workers.core.templates.webhooks import RenderedWebhook

if TYPE_CHECKING:
    from workers.core.templates.render import RenderedContent


_LEAST_S: Final = 0.001
"""Clocks and their sums are not exact: who wakes too early does not wait for less."""


def calls_of(content: RenderedContent) -> int:
    """How many calls a message takes that is delivered at once: what it takes out of its connection's rate.

    Of HubSpot and Salesforce, by what is written. Logins, and the devices of a push, are not counted.
    """
    if not isinstance(content, RenderedWebhook):
        return 1
    match content.provider:
        case "hubspot":
            return _hubspot(content.document)
        case "salesforce":
            return len(content.document["records"])
        case _:
            return 1


def _hubspot(document: dict[str, Any]) -> int:
    """Each record is written by a call and associated with those before it; a company is searched first."""
    records = [name for name in ("contact", "company", "deal", "task", "note") if document.get(name)]
    associations = len(records) * (len(records) - 1) // 2
    drawn = "note" in records and bool(document["note"].get("chart"))
    return len(records) + associations + ("company" in records) + drawn


class CallPace:
    """At most ``calls`` calls within any ``window_s`` seconds."""

    def __init__(self, calls: int, window_s: float) -> None:
        self._window_s = window_s
        self._begun: deque[float] = deque(maxlen=calls)

    def wait_s(self, now_s: float) -> float:
        """How long until a call may begin; 0 or less: now. Changes nothing."""
        is_full = len(self._begun) == self._begun.maxlen
        return self._begun[0] + self._window_s - now_s if is_full else 0.0

    def begin(self, now_s: float) -> None:
        """A call begins, for which nothing is to be waited for."""
        self._begun.append(now_s)


async def turn(*paces: CallPace) -> None:
    """Wait until all of them allow a call, which begins with the end of this."""
    loop = asyncio.get_running_loop()
    while (wait_s := max((pace.wait_s(loop.time()) for pace in paces), default=0.0)) > 0:  # noqa: ASYNC110 - time is what is waited for
        await asyncio.sleep(max(wait_s, _LEAST_S))
    for pace in paces:
        pace.begin(loop.time())
