"""Push to Android and iOS by the FCM HTTP v1 API (firebase.google.com/docs/cloud-messaging/send/v1-api)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import msgspec

from workers.errors import Misconfigured as MisconfiguredError
from workers.senders.channels.base import (
    Accepted,
    DeliveryResult,
    Misconfigured,
    News,
    Refused,
    RetryAfter,
    Stopped,
    Unknown,
)
from workers.senders.channels.over_http import call
from workers.senders.http.answers import by_status, retry_after_ms
from workers.senders.http.client import Answer, HttpClient, Request
from workers.senders.mobile_connections import read_service_account

if TYPE_CHECKING:
    from workers.clock import Clock
    from workers.core.templates.mobile import RenderedPush
    from workers.senders.channels.base import OutgoingMessage
    from workers.senders.mobile_connections import FcmSettings

SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
_ASSERTION_S: Final = 3_600
_RENEW_EARLY_MS: Final = 60_000
QUOTA_MS: Final = 60_000
"""Least wait after QUOTA_EXCEEDED, as FCM asks for where it names none."""

_UNAUTHENTICATED: Final = 401
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    until_ms: int


class Fcm:
    """Sends to one device at a time. FCM has no idempotency key."""

    def __init__(self, settings: FcmSettings, deadline_s: float, client: HttpClient, clock: Clock) -> None:
        self._account = read_service_account(settings.service_account)
        project = quote(self._account["project_id"], safe="")
        self._url = f"{settings.api.rstrip('/')}/v1/projects/{project}/messages:send"
        self._deadline_s = deadline_s
        self._client = client
        self._clock = clock
        self._token: _Token | None = None
        self._login = asyncio.Lock()
        self._assertion()

    async def deliver(self, message: OutgoingMessage, content: RenderedPush, token: str) -> DeliveryResult:
        """Try once; a token that Google takes no more is renewed, once."""
        body = msgspec.json.encode(document_of(message.id, content, token, self._clock.now_ms()))
        try:
            answer = await self._send(body, await self._access())
            if answer.status == _UNAUTHENTICATED and error_of(answer)[1] != "THIRD_PARTY_AUTH_ERROR":
                self._token = None
                answer = await self._send(body, await self._access())
        except Stopped as stopped:
            return stopped.result
        if answer.status == _OK:
            said = answer.json()
            name = said.get("name") if isinstance(said, dict) else None
            return Accepted(name) if isinstance(name, str) else Unknown("fcm_answer")
        return meaning(answer, self._clock.now_ms())

    async def _send(self, body: bytes, access: str) -> Answer:
        headers = {"Authorization": f"Bearer {access}", "Content-Type": "application/json"}
        return await call(self._client, Request("POST", self._url, headers, body, 0, self._deadline_s))

    async def _access(self) -> str:
        """The access token; many calls that find none wait for one login."""
        async with self._login:
            now_ms = self._clock.now_ms()
            if self._token is None or self._token.until_ms <= now_ms:
                self._token = await self._log_in(now_ms)
            return self._token.text

    async def _log_in(self, now_ms: int) -> _Token:
        """Exchange a signed claim for a token (RFC 7523)."""
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": self._assertion()}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        uri, body = self._account["token_uri"], urlencode(form).encode()
        request = Request("POST", uri, headers, body, 0, self._deadline_s)
        answer = await call(self._client, request, sends=False)
        said = answer.json()
        text = said.get("access_token") if isinstance(said, dict) else None
        if answer.status != _OK or not isinstance(text, str):
            result = by_status(answer.status, answer.headers, now_ms)
            raise Stopped(result if isinstance(result, RetryAfter) else Misconfigured("fcm_login"))
        seconds = said.get("expires_in")
        lasts_ms = seconds * 1000 if isinstance(seconds, int) else _ASSERTION_S * 1000
        return _Token(text, now_ms + max(lasts_ms - _RENEW_EARLY_MS, 0))

    def _assertion(self) -> str:
        now_s = self._clock.now_ms() // 1000
        claims = {
            "iss": self._account["client_email"],
            "scope": SCOPE,
            "aud": self._account["token_uri"],
            "iat": now_s,
            "exp": now_s + _ASSERTION_S,
        }
        named = {"kid": self._account["private_key_id"]} if "private_key_id" in self._account else None
        try:
            import jwt  # noqa: PLC0415 - an extra that only push needs
        except ImportError:
            raise MisconfiguredError("push needs `pip install brimful[push]`") from None
        try:
            return jwt.encode(claims, self._account["private_key"], algorithm="RS256", headers=named)
        except Exception:  # noqa: BLE001 - whatever the library raises, the key is not usable
            raise MisconfiguredError("push.fcm.service_account: its private_key is no RSA key") from None


def document_of(name: str, content: RenderedPush, token: str, now_ms: int) -> dict[str, Any]:
    """The body of ``messages:send``. The app finds the message's id and address in ``data``."""
    notification = {"title": content.title, "body": content.body}
    if content.image is not None:
        notification["image"] = content.image
    data = {"brimful_message_id": name, **content.data}
    if content.url is not None:
        data.setdefault("url", content.url)
    high = content.priority == "high"
    android: dict[str, Any] = {"priority": "HIGH" if high else "NORMAL"}
    apns = {"apns-priority": "10" if high else "5"}
    if content.collapse_key is not None:
        android["collapse_key"] = apns["apns-collapse-id"] = content.collapse_key
    if content.ttl_ms is not None:
        android["ttl"] = f"{content.ttl_ms // 1000}s"
        apns["apns-expiration"] = str((now_ms + content.ttl_ms) // 1000) if content.ttl_ms else "0"
    message: dict[str, Any] = {
        "token": token,
        "notification": notification,
        "data": data,
        "android": android,
        "apns": {"headers": apns},
    }
    if content.image is not None:
        message["apns"] |= {
            "payload": {"aps": {"mutable-content": 1}},
            "fcm_options": {"image": content.image},
        }
    return {"message": message}


def error_of(answer: Answer) -> tuple[str, str, bool]:
    """Google's status, FCM's error code (empty where there is none), and whether the token is at fault."""
    said = answer.json()
    error = said.get("error") if isinstance(said, dict) else None
    if not isinstance(error, dict):
        return "", "", False
    details = error.get("details")
    found = [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    code = next((str(one["errorCode"]) for one in found if "errorCode" in one), "")
    violations = [
        one for detail in found for one in detail.get("fieldViolations", ()) if isinstance(one, dict)
    ]
    return str(error.get("status", "")), code, any(one.get("field") == "message.token" for one in violations)


def meaning(answer: Answer, now_ms: int) -> DeliveryResult:
    """The result of an answer that is no success (FCM's reference, ``ErrorCode``)."""
    status, code, is_token = error_of(answer)
    known = code or status
    reason = f"fcm_{known.lower()}" if known.replace("_", "").isalpha() else f"http_{answer.status}"
    if code == "UNREGISTERED" or (answer.status == 400 and is_token):  # noqa: PLR2004 - RFC 9110
        return Refused(reason, "hard", news=News(dead=True))
    match known:
        case "INVALID_ARGUMENT" | "SENDER_ID_MISMATCH":
            # A token of another project is kept: were the settings wrong, all devices would be forgotten.
            return Refused(reason, "soft")
        case "QUOTA_EXCEEDED" | "RESOURCE_EXHAUSTED":
            return RetryAfter(retry_after_ms(answer.headers, now_ms, QUOTA_MS), reason, "rate")
        case "THIRD_PARTY_AUTH_ERROR":
            return Misconfigured(reason, "message")
        case "PERMISSION_DENIED" | "UNAUTHENTICATED" | "NOT_FOUND":
            return Misconfigured(reason)
    return by_status(answer.status, answer.headers, now_ms)
