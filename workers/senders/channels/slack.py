"""Slack: messages by a bot (``chat.postMessage``) or by an incoming webhook."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from workers.senders.channels.base import (
    Accepted,
    DeliveryResult,
    Misconfigured,
    OutgoingMessage,
    Refused,
    RetryAfter,
)
from workers.senders.channels.over_http import HttpChannel, call
from workers.senders.channels.webhook import document_of
from workers.senders.connections import SlackConnection
from workers.senders.http.answers import RATE_MS, RETRY_MS, by_status, retry_after_ms
from workers.senders.http.client import Answer, Request

_OK: Final = 200
_REFUSALS: Final = frozenset({400, 403, 404, 410})
_RATE: Final = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_FAILS: Final = frozenset(
    {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "rollup_error"}
)
_LOGIN: Final = frozenset(
    (
        *(
            "invalid_auth",
            "not_authed",
            "account_inactive",
            "token_revoked",
            "token_expired",
            "access_denied",
        ),
        *("no_permission", "missing_scope", "ekm_access_denied", "org_login_required", "accesslimited"),
        *("team_access_not_granted", "team_disabled", "two_factor_setup_required", "not_allowed_token_type"),
        # of incoming webhooks
        *("no_service", "no_service_id", "no_team", "invalid_token", "action_prohibited", "no_active_hooks"),
        "posting_to_general_channel_denied",
    )
)
"""A person has to act on the app or its token."""

_CHANNEL: Final = frozenset(
    {"channel_not_found", "not_in_channel", "is_archived", "channel_is_archived", "restricted_action"}
)
"""A person has to create the channel or invite the app; messages to other channels are fine."""


def meaning(error: str, answer: Answer, now_ms: int) -> DeliveryResult:
    """What an error code of Slack's means: docs.slack.dev/reference/methods/chat.postMessage and others."""
    reason = f"slack_{error}" if error.replace("_", "").isalnum() and len(error) <= 64 else "slack_error"  # noqa: PLR2004
    if error in _RATE:
        return RetryAfter(retry_after_ms(answer.headers, now_ms, RATE_MS), reason, "rate")
    if error in _FAILS:
        return RetryAfter(RETRY_MS, reason, "provider")
    if error in _LOGIN:
        return Misconfigured(reason)
    if error in _CHANNEL:
        return Misconfigured(reason, "message")
    return Refused(reason, "soft")


class Slack(HttpChannel[SlackConnection]):
    """Posts messages. Slack takes no idempotency key, so a lost answer is not asked for again."""

    provider = "slack"
    idempotent = False
    on_unknown = "at_most_once"

    async def _attempt(self, message: OutgoingMessage) -> DeliveryResult:
        document: dict[str, Any] = dict(document_of(message).document)
        connection = self._connection
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if connection.token is not None:
            document.setdefault("channel", connection.channel)
            if not document["channel"]:
                return Misconfigured("slack_no_channel", "message")
            url = f"{connection.api.rstrip('/')}/chat.postMessage"
            headers["Authorization"] = f"Bearer {connection.token.get_secret_value()}"
        else:
            document.pop("channel", None)  # a webhook has its own
            url = connection.url.get_secret_value() if connection.url is not None else ""
        body = msgspec.json.encode(document)
        request = Request("POST", url, headers, body, 0, connection.deadline_s)
        return self._read(await call(self._client, request))

    def _read(self, answer: Answer) -> DeliveryResult:
        now_ms = self._clock.now_ms()
        if self._connection.token is None:
            return self._read_webhook(answer, now_ms)
        if answer.status != _OK:
            return by_status(answer.status, answer.headers, now_ms)
        said = answer.json()
        if not isinstance(said, dict):
            return by_status(502, answer.headers, now_ms)
        if said.get("ok") is True:
            return Accepted(f"{said.get('channel', '')}:{said.get('ts', '')}")
        return meaning(str(said.get("error", "")), answer, now_ms)

    def _read_webhook(self, answer: Answer, now_ms: int) -> DeliveryResult:
        """An incoming webhook answers ``ok``, or a code as plain text with a 4xx."""
        if answer.status == _OK:
            return Accepted(None)
        error = answer.body[:64].decode("ascii", "replace").strip()
        if answer.status in _REFUSALS and error.replace("_", "").isalpha():
            return meaning(error, answer, now_ms)
        return by_status(answer.status, answer.headers, now_ms)
