"""The provider ``ses``: what Amazon SES tells through SNS of mails; see :mod:`workers.mail.ses_events`.

Certificates of SNS are fetched when they are first asked for, and kept. Until one is there the answer is 503,
and SNS comes again. A subscription is confirmed where its request is signed and the topic is configured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import httpx
import structlog

from workers.intake.callbacks import Read, Told
from workers.intake.callbacks import Unreadable as UnreadableCallback
from workers.intake.problems import Problem, unavailable
from workers.intake.tokens import MessageClaim
from workers.mail.ses_events import (
    CertificateMissing,
    NotFromSns,
    Unreadable,
    fields_of,
    is_confirmation_url,
    read_notice,
    verified,
)

if TYPE_CHECKING:
    from schemas.wire import Engagement
    from workers.intake.callbacks import Callback

log = structlog.get_logger(__name__)

Get: TypeAlias = Callable[[str], Awaitable[bytes]]
"""The body at a URL of SNS's. Any ``httpx.HTTPError`` where there is none."""

CERTIFICATES_MAX: Final = 16
"""SNS has one certificate a region, and changes it now and then."""

FETCH_S: Final = 5.0
AGAIN_S: Final = 2.0


async def fetch(url: str) -> bytes:
    """See :data:`Get`: one GET, no redirects, no proxy."""
    async with httpx.AsyncClient(timeout=FETCH_S, follow_redirects=False, trust_env=False) as client:
        answer = await client.get(url)
        answer.raise_for_status()
        return answer.content


class SesCallback:
    """See :class:`workers.intake.callbacks.Provider`.

    ``topics`` are the ARNs that may tell, ``keys`` those that sign our mails, the present one first.
    """

    name = "ses"

    def __init__(self, topics: Collection[str], keys: Sequence[bytes], get: Get = fetch) -> None:
        self._topics = frozenset(topics)
        self._keys = tuple(keys)
        self._get = get
        self._certificates: dict[str, bytes] = {}
        self._fetching: dict[str, asyncio.Task[None]] = {}

    def verify(self, callback: Callback) -> None:
        """By SNS's own signature; 503 while its certificate is on the way."""
        try:
            verified(callback.body, self._topics, self._certificates.get)
        except NotFromSns as error:
            raise Problem(403, "bad_signature", str(error)) from None
        except CertificateMissing as missing:
            self._start(missing.url, self._take_certificate)
            raise unavailable("the certificate of SNS is being fetched; send it again", AGAIN_S) from None

    def read(self, callback: Callback) -> Read:
        """What became of a mail; nothing of mails that are not ours."""
        try:
            notice = read_notice(fields_of(callback.body), self._keys, callback.now_ms)
        except Unreadable as error:
            raise UnreadableCallback(str(error)) from None
        url = notice.confirm
        if url is not None and is_confirmation_url(url):
            self._start(url, self._confirm)
        return Read([_told(record) for record in notice.records])

    def _start(self, url: str, work: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        """Do it beside the request, once at a time for a URL."""
        if url in self._fetching or len(self._fetching) >= CERTIFICATES_MAX:
            return
        task = self._fetching[url] = asyncio.create_task(work(url))
        task.add_done_callback(lambda _: self._fetching.pop(url))

    async def _take_certificate(self, url: str) -> None:
        try:
            found = await self._get(url)
        except httpx.HTTPError as error:
            log.warning("ses.no_certificate", url=url, error=type(error).__name__)
            return
        if len(self._certificates) >= CERTIFICATES_MAX:
            del self._certificates[next(iter(self._certificates))]
        self._certificates[url] = found

    async def _confirm(self, url: str) -> None:
        try:
            await self._get(url)
        except httpx.HTTPError as error:
            log.warning("ses.not_confirmed", error=type(error).__name__)
            return
        log.info("ses.topic_confirmed")


def _told(record: Engagement) -> Told:
    claim = MessageClaim(record.person, record.message_id, record.journey, record.step)
    return Told(
        record.id, record.type, claim, "email", record.at_ms, reason=record.reason, address=record.address
    )
