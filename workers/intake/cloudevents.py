"""``POST /v1/cloudevents``: CloudEvents 1.0 over HTTP, binary, structured and batched, as product events.

type -> event, subject -> userId, data -> properties, time -> timestamp. The message id is made of ``source``
and ``id``, which together are unique by the specification; either alone is not.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.routing import Route

from workers.core.ids import stable_id
from workers.intake.auth import unauthorized
from workers.intake.normalise import Arrival
from workers.intake.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from workers.intake.parts import Parts
    from workers.intake.tracking import Tracking

PATH: Final = "/v1/cloudevents"
STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"

_REQUIRED: Final = ("id", "source", "specversion", "type")
_KEPT: Final = ("id", "source", "type", "dataschema", "datacontenttype")
"""Attributes that an event keeps in ``context.cloudevent``."""

_encode = msgspec.json.Encoder().encode


class CloudEvents:
    """The route. One per gateway; events go the way of the tracking API's."""

    def __init__(self, parts: Parts, tracking: Tracking) -> None:
        self._parts = parts
        self._tracking = tracking

    def routes(self) -> list[Route]:
        """The one path."""
        return [Route(PATH, self._answer, methods=["POST"])]

    async def _answer(self, request: Request) -> Response:
        caller = self._parts.callers.of_header(request.headers.get("authorization"))
        if caller is None:
            raise unauthorized()
        self._parts.callers.check(caller, "events:write")
        with self._parts.room.taken():
            body = await self._parts.body(request)
            found, is_batch = read_events(request.headers, body)
            most = self._parts.limits.batch_events
            if len(found) > most:
                raise Problem(400, "too_large", f"the batch has {len(found)} events, the limit is {most}")
            raws = [_encode(as_track(one, number if is_batch else None)) for number, one in enumerate(found)]
            arrival = Arrival(self._parts.clock.now_ms())
            return await self._tracking.keep(request, caller, raws, arrival, None if is_batch else "track")


def read_events(headers: Mapping[str, str], body: bytes) -> tuple[list[dict[str, Any]], bool]:
    """The events of a request, in their JSON form, and whether it is a batch.

    Raises:
        Problem: 415 for data that is no JSON, 400 for what is no CloudEvent.
    """
    media = _media(headers.get("content-type", ""))
    if media == BATCH:
        events = _json(body)
        if not isinstance(events, list) or not all(isinstance(one, dict) for one in events):
            raise Problem(400, "invalid", "a batch is a JSON array of CloudEvents")
        return events, True
    if media == STRUCTURED:
        event = _json(body)
        if not isinstance(event, dict):
            raise Problem(400, "invalid", "a structured CloudEvent is a JSON object")
        return [event], False
    if "ce-specversion" not in headers:
        raise Problem(
            415, "unknown_type", f"send {STRUCTURED}, {BATCH}, or the attributes as ce- headers (binary mode)"
        )
    return [_binary(headers, media, body)], False


def as_track(event: dict[str, Any], index: int | None) -> dict[str, Any]:
    """A CloudEvent as a track call; ids and times are checked with those of all events.

    Raises:
        Problem: 400 naming the attribute, and the event's place in its batch.
    """
    place = "" if index is None else f"[{index}]."
    for name in _REQUIRED:
        if not isinstance(event.get(name), str) or not event[name]:
            raise Problem(
                400, "invalid", f"{place}{name}: a CloudEvent needs it, as a text that is not empty"
            )
    if event["specversion"] != "1.0":
        raise Problem(400, "invalid", f"{place}specversion: 1.0 is taken")
    context: dict[str, Any] = {"cloudevent": {name: event[name] for name in _KEPT if name in event}}
    if event.get("accountid"):
        context["groupId"] = event["accountid"]
    track = {
        "type": "track",
        "event": event["type"],
        "messageId": stable_id("cloudevent", event["source"], event["id"]),
        "userId": event.get("subject") or event.get("partitionkey"),
        "anonymousId": event.get("anonymousid"),
        "properties": _data(event, place),
        "context": context,
    }
    if event.get("time") is not None:
        track["timestamp"] = event["time"]
    return track


def _data(event: dict[str, Any], place: str) -> Any:
    data = event.get("data")
    if "data_base64" in event:
        try:
            data = _json(base64.b64decode(event["data_base64"], validate=True))
        except (binascii.Error, TypeError, ValueError):
            raise Problem(400, "invalid", f"{place}data_base64: this is not base64") from None
    media = event.get("datacontenttype")
    if data is not None and isinstance(media, str) and not _is_json(_media(media)):
        raise Problem(415, "unknown_type", f"{place}datacontenttype: only JSON is taken as properties")
    if data is not None and not isinstance(data, dict):
        raise Problem(400, "invalid", f"{place}data: a JSON object is taken as properties")
    return data


def _binary(headers: Mapping[str, str], media: str, body: bytes) -> dict[str, Any]:
    """Attributes from the headers, which are percent-encoded; the body is the data."""
    event: dict[str, Any] = {}
    for name, value in headers.items():
        if name.startswith("ce-"):
            try:
                event[name.removeprefix("ce-")] = unquote_to_bytes(value).decode()
            except UnicodeDecodeError:
                raise Problem(400, "invalid", f"the header {name} is not UTF-8, percent-encoded") from None
    if body:
        if not _is_json(media):
            raise Problem(415, "unknown_type", "only JSON is taken as properties: send application/json")
        event["data"] = _json(body)
    if media:
        event["datacontenttype"] = media
    return event


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "malformed", f"the body is not valid JSON in UTF-8: {error}") from None


def _media(header: str) -> str:
    return header.partition(";")[0].strip().lower()


def _is_json(media: str) -> bool:
    return media in ("application/json", "text/json") or media.endswith("+json")
