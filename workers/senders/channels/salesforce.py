"""Salesforce: records upserted by external id, so that a repeat changes nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import msgspec

from workers.core.templates.webhook_shapes import SalesforceDocument, SalesforceRecord
from workers.errors import Misconfigured as MisconfiguredError
from workers.senders.channels.base import (
    Accepted,
    DeliveryResult,
    Misconfigured,
    OutgoingMessage,
    Refused,
    RetryAfter,
    Stopped,
    Unknown,
)
from workers.senders.channels.over_http import HttpChannel, call
from workers.senders.channels.webhook import document_of
from workers.senders.connections import SalesforceConnection
from workers.senders.http.answers import RETRY_AFTER_MAX_MS, RETRY_MS, by_status, retry_after_ms
from workers.senders.http.client import Answer, Request
from workers.senders.http.guard import Forbidden, parse_url

if TYPE_CHECKING:
    from workers.clock import Clock
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


class Salesforce(HttpChannel[SalesforceConnection]):
    """Writes the records of a document in order. A session that ended is renewed once per delivery."""

    provider = "salesforce"
    idempotent = True
    on_unknown = "at_least_once"

    def __init__(self, connection: SalesforceConnection, client: HttpClient, clock: Clock) -> None:
        super().__init__(connection, client, clock)
        self._session: tuple[str, str] | None = None
        self._login = asyncio.Lock()
        if connection.private_key is not None:
            self._assertion()

    async def _attempt(self, message: OutgoingMessage) -> DeliveryResult:
        # One call per record, each of which a repeat may make again.
        document = msgspec.convert(document_of(message).document, SalesforceDocument)
        ids: dict[str, str] = {}
        last = ""
        for record in document.records:
            last = ids[record.object] = await self._upsert(record, ids)
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
            answer = await call(
                self._client,
                Request(
                    method,
                    session[1] + path,
                    {"Authorization": f"Bearer {session[0]}", "Content-Type": "application/json"},
                    msgspec.json.encode(body),
                    0,
                    self._connection.deadline_s,
                ),
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
        answer = await call(
            self._client,
            Request(
                "POST",
                f"{connection.login.rstrip('/')}/services/oauth2/token",
                {"Content-Type": "application/x-www-form-urlencoded"},
                urlencode(form).encode(),
                0,
                connection.deadline_s,
            ),
            sends=False,
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
