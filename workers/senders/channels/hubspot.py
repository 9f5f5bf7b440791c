"""HubSpot: contact, company, deal, task and note, written and associated so that a repeat changes nothing.

A deal, task or note is one per message: it is found by a property with unique values that holds the message's
id, which a person creates once (``docs/channels.md``). What was written before a call failed stays, and is
found again by the next attempt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from workers.core.ids import stable_id
from workers.core.templates.chart import bar_chart
from workers.core.templates.webhook_shapes import HubSpotChart, HubSpotDocument, HubSpotTask
from workers.senders.calls import CallPace, turn
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
from workers.senders.connections import HubSpotConnection
from workers.senders.http.answers import (
    RATE_MS,
    RETRY_AFTER_MAX_MS,
    RETRY_MS,
    by_status,
    retry_after_ms,
)
from workers.senders.http.client import Answer, Request

if TYPE_CHECKING:
    from workers.clock import Clock
    from workers.senders.http.client import HttpClient

_TOO_MANY: Final = 429
_CONFLICT: Final = 409
_SECOND_MS: Final = 1_000
_HOUR_MS: Final = 3_600_000
_WINDOW_S: Final = 10
"""HubSpot counts the calls of any ten seconds: 100 of a private app on the smallest plans."""

_SEARCHES: Final = 4
"""Searches a second that an account is allowed."""

_SETTINGS: Final = (
    "PROPERTY_DOESNT_EXIST",
    "INVALID_OPTION",
    "INVALID_OWNER_ID",
    "not a unique property",
    "hasUniqueValue",
)
"""Words of refusals that other messages of the template meet too: a person has to act."""


def meaning(answer: Answer, now_ms: int) -> DeliveryResult:
    """What an answer that is no success means: by its status, and the category or policy that it names."""
    said = answer.json()
    said = said if isinstance(said, dict) else {}
    if answer.status == _TOO_MANY:
        policy = str(said.get("policyName", ""))
        default_ms = {"DAILY": RETRY_AFTER_MAX_MS, "SECONDLY": _SECOND_MS, "TEN_SECONDLY_ROLLING": 10_000}
        wait_ms = retry_after_ms(answer.headers, now_ms, default_ms.get(policy, RATE_MS))
        named = policy.lower() if policy in default_ms else "rate"
        return RetryAfter(wait_ms, f"hubspot_429_{named}", "rate")
    if answer.status == _CONFLICT:
        return RetryAfter(RETRY_MS, "hubspot_409", "message")
    if answer.status == 400:  # noqa: PLR2004 - RFC 9110
        text = answer.body[:20_000].decode("utf-8", "replace")
        if any(word in text for word in _SETTINGS):
            return Misconfigured("hubspot_property", "message")
        return Refused("hubspot_invalid", "soft")
    return by_status(answer.status, answer.headers, now_ms)


class HubSpot(HttpChannel[HubSpotConnection]):
    """Writes what a document names, in several calls. A repeat finds what is there.

    No ten seconds see more calls than ``per_second`` allows in them, whatever answers were late before.
    """

    provider = "hubspot"
    idempotent = True
    on_unknown = "at_least_once"

    def __init__(self, connection: HubSpotConnection, client: HttpClient, clock: Clock) -> None:
        super().__init__(connection, client, clock)
        self._paces: tuple[CallPace, ...] = ()
        if connection.per_second is not None:
            calls = max(1, int(connection.per_second * _WINDOW_S))
            self._paces = (CallPace(calls, calls / connection.per_second),)
        self._searches = (*self._paces, CallPace(_SEARCHES, 1))

    async def _attempt(self, message: OutgoingMessage) -> DeliveryResult:
        document = msgspec.convert(document_of(message).document, HubSpotDocument)
        last = (await self._write(document, message.id))[-1]
        return Accepted(f"{last[0]}:{last[1]}")

    async def _write(self, document: HubSpotDocument, message_id: str) -> list[tuple[str, str]]:
        written: list[tuple[str, str]] = []
        if document.contact is not None:
            contact = document.contact
            written.append(
                ("contacts", await self._upsert("contacts", "email", contact.email, contact.properties))
            )
        if document.company is not None:
            company = document.company
            written.append(("companies", await self._company(company.domain, company.properties)))
        if document.deal is not None:
            deal = document.deal
            name = await self._upsert("deals", deal.id_property, message_id, deal.properties)
            await self._add("deals", name, written)
        if document.task is not None:
            task = document.task
            name = await self._upsert("tasks", task.id_property, message_id, self._task(task))
            await self._add("tasks", name, written)
        if document.note is not None:
            note = document.note
            properties = {"hs_note_body": note.body, "hs_timestamp": str(self._clock.now_ms())}
            if note.chart is not None:
                properties["hs_attachment_ids"] = await self._draw(note.chart, message_id)
            name = await self._upsert("notes", note.id_property, message_id, properties)
            await self._add("notes", name, written)
        if document.contact is not None and document.company is not None:
            await self._associate(*written[0], *written[1])
        return written

    def _task(self, task: HubSpotTask) -> dict[str, Any]:
        try:
            due_ms = self._clock.now_ms() + int(float(task.due_in_hours) * _HOUR_MS)
        except (ValueError, OverflowError):
            raise Stopped(Refused("hubspot_due_in_hours", "soft")) from None
        properties = {
            "hs_task_subject": task.subject,
            "hs_task_body": task.body,
            "hs_task_priority": task.priority,
            "hs_task_status": "NOT_STARTED",
            "hs_task_type": task.type,
            "hs_timestamp": str(due_ms),
        }
        return {**properties, "hubspot_owner_id": task.owner} if task.owner else properties

    async def _draw(self, chart: HubSpotChart, message_id: str) -> str:
        """Upload the chart as a private file named after the message, which a repeat overwrites; its id."""
        try:
            values = [float(value) for value in chart.values]
            limit = float(chart.limit) if chart.limit is not None else None
            svg = bar_chart(chart.title, values, limit)
        except (TypeError, ValueError):
            raise Stopped(Refused("hubspot_chart", "soft")) from None
        name = f"usage-{message_id}.svg"
        options = '{"access":"PRIVATE","overwrite":true,"duplicateValidationStrategy":"NONE"}'
        fields = {"options": options, "folderPath": "/brimful", "fileName": name}
        body, kind = multipart(fields, name, "image/svg+xml", svg.encode(), message_id)
        return _id_of(await self._call("POST", "/files/v3/files", body, kind))

    async def _upsert(self, kind: str, id_property: str, value: str, properties: dict[str, Any]) -> str:
        one = {"idProperty": id_property, "id": value, "properties": _texts(properties)}
        said = await self._call("POST", f"/crm/v3/objects/{kind}/batch/upsert", {"inputs": [one]})
        return _id_of((said.get("results") or [None])[0])

    async def _company(self, domain: str, properties: dict[str, Any]) -> str:
        """``domain`` has no unique values in HubSpot: a company is searched for, and made where none is."""
        search = {
            "filterGroups": [{"filters": [{"propertyName": "domain", "operator": "EQ", "value": domain}]}],
            "properties": ["domain"],
            "sorts": ["hs_object_id"],
            "limit": 1,
        }
        said = await self._call("POST", "/crm/v3/objects/companies/search", search, paces=self._searches)
        found = said.get("results") or []
        written = {"properties": _texts({**properties, "domain": domain})}
        if not found:
            return _id_of(await self._call("POST", "/crm/v3/objects/companies", written))
        name = _id_of(found[0])
        await self._call("PATCH", f"/crm/v3/objects/companies/{quote(name, safe='')}", written)
        return name

    async def _add(self, kind: str, name: str, written: list[tuple[str, str]]) -> None:
        for other, its in written:
            await self._associate(kind, name, other, its)
        written.append((kind, name))

    async def _associate(self, kind: str, name: str, other: str, its: str) -> None:
        ends = f"{kind}/{quote(name, safe='')}/associations/default/{other}/{quote(its, safe='')}"
        await self._call("PUT", f"/crm/v4/objects/{ends}", None)

    async def _call(
        self,
        method: str,
        path: str,
        body: Any,
        kind: str = "application/json",
        paces: tuple[CallPace, ...] | None = None,
    ) -> dict[str, Any]:
        connection = self._connection
        request = Request(
            method,
            connection.api.rstrip("/") + path,
            {
                "Authorization": f"Bearer {connection.token.get_secret_value()}",
                "Content-Type": kind,
            },
            body if isinstance(body, bytes) else msgspec.json.encode(body) if body is not None else b"",
            0,
            connection.deadline_s,
        )
        await turn(*(self._paces if paces is None else paces))
        answer = await call(self._client, request)
        if not 200 <= answer.status < 300:  # noqa: PLR2004 - RFC 9110
            raise Stopped(meaning(answer, self._clock.now_ms()))
        said = answer.json()
        if not isinstance(said, dict) or said.get("errors"):
            # 207: of several; ours is the only one, so it failed, and the answer says why.
            raise Stopped(Unknown("hubspot_answer") if not isinstance(said, dict) else _partial(answer))
        return said


def multipart(fields: dict[str, str], name: str, kind: str, content: bytes, seed: str) -> tuple[bytes, str]:
    """A form with one file (RFC 7578), and its content type; the boundary is a hash, which nothing has."""
    boundary = stable_id("multipart", seed, name)
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in fields.items()
    )
    file = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    )
    body = head.encode() + file.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def _partial(answer: Answer) -> DeliveryResult:
    return meaning(Answer(400, answer.headers, answer.body, answer.whole), 0)


def _texts(properties: dict[str, Any]) -> dict[str, Any]:
    """HubSpot takes values of all types as texts; lists are joined as its checkboxes are."""
    return {name: _text(value) for name, value in properties.items()}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ";".join(map(_text, value)) if isinstance(value, list) else str(value)


def _id_of(said: Any) -> str:
    name = said.get("id") if isinstance(said, dict) else None
    if not name:
        raise Stopped(Unknown("hubspot_answer"))
    return str(name)
