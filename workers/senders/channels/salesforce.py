"""Salesforce: records upserted by external id, so that a repeat changes nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote, urlencode

import msgspec

from workers.core.templates.webhook_shapes import SalesforceDocument, SalesforceRecord
from workers.errors import Misconfigured as MisconfiguredError
from workers.senders.channels.base import (
    Accepted,
    DeliveryResult,
    Misconfigured,
    OnUnknown,
    OutgoingMessage,
    Refused,
    RetryAfter,
    Unknown,
)
from workers.senders.channels.hubspot import Stopped
from workers.senders.channels.webhook import document_of
from workers.senders.http.answers import RETRY_AFTER_MAX_MS, RETRY_MS, by_status, no_answer, retry_after_ms
from workers.senders.http.client import Answer, NoAnswer, Request
from workers.senders.http.guard import Forbidden, parse_url

if TYPE_CHECKING:
    from workers.clock import Clock
    from workers.senders.connections import SalesforceConnection
    from workers.senders.http.client import HttpClient

_UNAUTHORISED: Final = 401
_ASSERTION_S: Final = 180
"""Salesforce takes assertions that expire within three minutes."""

_RATE: Final = frozenset({"REQUEST_LIMIT_EXCEEDED", "TXN_SECURITY_METERING_ERROR"})
_RACES: Final = frozenset({"UNABLE_TO_LOCK_ROW", "DUPLICATE_VALUE"})
"""Two writers at once, of which one was first; an upsert that comes again finds what that one wrote."""

_PASSING: Final = frozenset({"SERVER_UNAVAILABLE", "QUERY_TIMEOUT", "UNKNOWN_EXCEPTION"})
_SETTINGS: Final = frozenset(
    {
        *("INVALID_FIELD", "INVALID_FIELD_FOR_INSERT_UPDATE", "INVALID_TYPE", "INVALID_TYPE_FOR_OPERATION"),
        *("NOT_FOUND", "INSUFFICIENT_ACCESS_OR_READONLY", "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"),
        *(
            "REQUIRED_FIELD_MISSING",
            "FIELD_INTEGRITY_EXCEPTION",
            "INACTIVE_OWNER_OR_USER",
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        ),
        "JSON_PARSER_ERROR",
    }
)
"""Refusals that other messages of the template meet too: a person has to act."""

_LOGIN: Final = frozenset(
    {"INVALID_SESSION_ID", "API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "INVALID_LOGIN"}
)


def meaning(answer: Answer, now_ms: int) -> DeliveryResult:
    """What an answer that is no success means, by the code of its first error."""
    said = answer.json()
    first = said[0] if isinstance(said, list) and said and isinstance(said[0], dict) else {}
    code = str(first.get("errorCode", ""))
    known = code.replace("_", "").isalnum() and len(code) <= 64  # noqa: PLR2004 - a code, not a text
    reason = f"salesforce_{code.lower()}" if known else f"http_{answer.status}"
    if code in _RATE:
        return RetryAfter(retry_after_ms(answer.headers, now_ms, RETRY_AFTER_MAX_MS), reason, "rate")
    if code in _RACES or code in _PASSING:
        return RetryAfter(RETRY_MS, reason, "message" if code in _RACES else "provider")
    if code in _LOGIN:
        return Misconfigured(reason)
    if code in _SETTINGS:
        return Misconfigured(reason, "message")
    if known and answer.status in range(400, 500):
        return Refused(reason, "soft")
    return by_status(answer.status, answer.headers, now_ms)


class Salesforce:
    """Writes the records of a document in order. A session that ended is renewed once per delivery."""

    name: ClassVar[str] = "webhook"
    provider = "salesforce"
    idempotent = True
    on_unknown: OnUnknown = "at_least_once"

    def __init__(self, connection: SalesforceConnection, client: HttpClient, clock: Clock) -> None:
        self.limits = connection.limits
        self._connection = connection
        self._client = client
        self._clock = clock
        self._session: tuple[str, str] | None = None
        self._login = asyncio.Lock()
        if connection.private_key is not None:
            self._assertion()

    async def deliver(self, message: OutgoingMessage) -> DeliveryResult:
        """Try once: one call per record, each of which a repeat may make again."""
        document = msgspec.convert(document_of(message).document, SalesforceDocument)
        ids: dict[str, str] = {}
        last = ""
        try:
            for record in document.records:
                last = ids[record.object] = await self._upsert(record, ids)
        except Stopped as stopped:
            return stopped.result
        return Accepted(last)

    async def _upsert(self, record: SalesforceRecord, ids: dict[str, str]) -> str:
        ((key, value),) = record.key.items()
        fields = {**record.fields, **{name: ids[other] for name, other in record.links.items()}}
        version = self._connection.version
        names = "/".join(quote(str(part), safe="") for part in (record.object, key, value))
        said = await self._call("PATCH", f"/services/data/{version}/sobjects/{names}", fields)
        name = said.get("id") if isinstance(said, dict) else None
        if not name:
            raise Stopped(Unknown("salesforce_answer"))
        return str(name)

    async def _call(self, method: str, path: str, body: Any) -> Any:
        for renewed in (False, True):
            session = await self._get_session()
            answer = await self._request(
                Request(
                    method,
                    session[1] + path,
                    {"Authorization": f"Bearer {session[0]}", "Content-Type": "application/json"},
                    msgspec.json.encode(body),
                    0,
                    self._connection.deadline_s,
                )
            )
            if answer.status == _UNAUTHORISED and not renewed:
                if self._session is session:
                    self._session = None
                continue
            if not 200 <= answer.status < 300:  # noqa: PLR2004 - RFC 9110
                raise Stopped(meaning(answer, self._clock.now_ms()))
            return answer.json()
        raise AssertionError("the second round returns or raises")

    async def _get_session(self) -> tuple[str, str]:
        """Token and address; many calls that find none wait for one login."""
        async with self._login:
            if self._session is None:
                self._session = await self._log_in()
            return self._session

    async def _log_in(self) -> tuple[str, str]:
        connection = self._connection
        form: dict[str, str] = {"grant_type": "client_credentials", "client_id": connection.client_id}
        if connection.client_secret is not None:
            form["client_secret"] = connection.client_secret.get_secret_value()
        else:
            form = {
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "assertion": self._assertion(),
            }
        answer = await self._request(
            Request(
                "POST",
                f"{connection.login.rstrip('/')}/services/oauth2/token",
                {"Content-Type": "application/x-www-form-urlencoded"},
                urlencode(form).encode(),
                0,
                connection.deadline_s,
            ),
            login=True,
        )
        said = answer.json()
        if answer.status in (400, 401, 403):
            raise Stopped(Misconfigured("salesforce_login"))
        if answer.status != 200 or not isinstance(said, dict):  # noqa: PLR2004 - RFC 9110
            result = by_status(answer.status, answer.headers, self._clock.now_ms())
            raise Stopped(result if isinstance(result, RetryAfter) else Misconfigured("salesforce_login"))
        token, url = str(said.get("access_token", "")), str(said.get("instance_url", ""))
        try:
            parse_url(url)
        except Forbidden:
            raise Stopped(Misconfigured("salesforce_instance_url")) from None
        return token, url.rstrip("/")

    def _assertion(self) -> str:
        """A signed claim to act as the user (RFC 7523)."""
        connection = self._connection
        claims = {
            "iss": connection.client_id,
            "sub": connection.username,
            "aud": connection.login.rstrip("/"),
            "exp": self._clock.now_ms() // 1000 + _ASSERTION_S,
        }
        assert connection.private_key is not None, "asked for only with a key"
        try:
            import jwt  # noqa: PLC0415 - an extra that only this flow needs
        except ImportError:
            raise MisconfiguredError(
                "a Salesforce private_key needs `pip install brimful[salesforce]`"
            ) from None
        try:
            return jwt.encode(claims, connection.private_key.get_secret_value(), algorithm="RS256")
        except Exception:  # noqa: BLE001 - whatever the library raises, the key is not usable
            raise MisconfiguredError("a Salesforce connection's private_key is no RSA key in PEM") from None

    async def _request(self, request: Request, *, login: bool = False) -> Answer:
        try:
            return await self._client.call(request)
        except NoAnswer as failure:
            result = no_answer(failure)
            if login and isinstance(result, Unknown):  # a login sends nothing
                result = RetryAfter(RETRY_MS, result.reason, "provider")
            raise Stopped(result) from None

    async def close(self) -> None:
        """The client is closed by who made it."""
