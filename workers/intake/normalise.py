"""One event as a client sent it -> one ``product-events`` record, or the reason why not. Pure.

What is mended, because the official clients send it so or Segment takes it:

- numbers as ids become text; empty and null ids, and null objects, count as absent;
- a missing ``messageId`` is filled in; ``writeKey`` is removed;
- an identify without ``traits`` takes them from ``context.traits`` (RudderStack's clients put them there);
- the batch's ``context`` and ``integrations`` are defaults for each event's;
- ``timestamp`` is corrected for the client's clock: receivedAt - (sentAt - originalTimestamp). Without a
  readable ``sentAt`` it stays as it is; without any time of its own an event happened when it was received.

Everything else that the client sent is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from workers.intake.times import LAST_MS, iso, parse_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workers.intake.limits import Limits

CALLS: Final = ("track", "identify", "group", "alias", "page", "screen")
"""The call types of the Segment spec, as in the paths ``/v1/<call>``."""

_IDS: Final = ("userId", "anonymousId", "groupId", "previousId")
_OBJECTS: Final = ("properties", "traits", "context")
_LARGEST_ID = 2**63
"""Whole numbers below this are taken as ids; nothing that counts customers is larger."""

_REQUIRED: Final[dict[str, tuple[str, ...]]] = {
    "track": ("event",),
    "group": ("groupId",),
    "alias": ("previousId", "userId"),
}

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the events of one request have in common.

    ``sent_at`` is the request's own text, None where it had none; the other two are the batch's defaults.
    """

    received_at_ms: int
    sent_at: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    integrations: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Accepted:
    """An event ready for Kafka. ``key`` is the subject: userId, else anonymousId."""

    call: str
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that cannot be used.

    ``reason`` is a dead-letter reason, ``field`` the place in the event ("" for the whole), ``detail`` a
    sentence that holds no value of the event. ``call`` is "unknown" where the event does not say it.
    """

    call: str
    reason: str
    field: str
    detail: str


class _Bad(Exception):  # a way out of the nested checks that never leaves this module
    def __init__(self, reason: str, where: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.field = where
        self.detail = detail


def normalise(
    raw: bytes,
    *,
    call: str | None,
    arrival: Arrival,
    limits: Limits,
    new_id: Callable[[], str],
) -> Accepted | Rejected:
    """Check and complete one event.

    Args:
        raw: the event's JSON, exactly as sent.
        call: the call type that the path says; None in a batch, where each event has its own ``type``.
        arrival: what its request knows.
        limits: bounds for size, depth and lengths.
        new_id: gives a messageId where the client sent none.
    """
    kind = call or "unknown"
    try:
        event = _read(raw, limits)
        kind = call or _call_of(event)
        event["type"] = kind
        _clean(event, arrival, limits)
        _require(event, kind)
        _set_message_id(event, limits, new_id)
        _set_times(event, arrival, limits)
        subject = event.get("userId") or event["anonymousId"]
        return Accepted(kind, subject.encode(), _encode(event))
    except _Bad as bad:
        return Rejected(kind, bad.reason, bad.field, bad.detail)


def _read(raw: bytes, limits: Limits) -> dict[str, Any]:
    if len(raw) > limits.event_bytes:
        raise _Bad("too_large", "", f"the event is {len(raw)} bytes long, the limit is {limits.event_bytes}")
    try:
        event = _decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _Bad("unreadable", "", "the event is not valid JSON in UTF-8") from None
    if not isinstance(event, dict):
        raise _Bad("invalid", "", "an event must be a JSON object")
    # Brackets bound the depth and are counted at memory speed, so few events are walked.
    if raw.count(b"{") + raw.count(b"[") > limits.json_depth and not _is_flat(event, limits.json_depth):
        raise _Bad("invalid", "", f"the event is nested deeper than {limits.json_depth} levels")
    return event


def _is_flat(value: Any, levels: int) -> bool:
    """Whether ``value`` nests at most ``levels`` containers."""
    if isinstance(value, dict):
        return levels > 0 and all(_is_flat(item, levels - 1) for item in value.values())
    if isinstance(value, list):
        return levels > 0 and all(_is_flat(item, levels - 1) for item in value)
    return True


def _call_of(event: dict[str, Any]) -> str:
    kind = event.get("type")
    if kind not in CALLS:
        raise _Bad("invalid", "type", f"type must be one of {', '.join(CALLS)}")
    return str(kind)


def _clean(event: dict[str, Any], arrival: Arrival, limits: Limits) -> None:
    """Bring ids and objects to their one form; drop those that say nothing."""
    event.pop("writeKey", None)
    for name in _IDS:
        _clean_id(event, name, name, limits.id_length)
    for name in _OBJECTS:
        if name in event:
            if event[name] is None:
                del event[name]
            elif not isinstance(event[name], dict):
                raise _Bad("invalid", name, f"{name} must be an object")
    if arrival.integrations and isinstance(event.get("integrations", {}), dict):
        event["integrations"] = {**arrival.integrations, **event.get("integrations", {})}
    if arrival.context or "context" in event:
        event["context"] = {**arrival.context, **event.get("context", {})}
        _clean_context(event, event["context"], limits)


def _clean_context(event: dict[str, Any], context: dict[str, Any], limits: Limits) -> None:
    _clean_id(context, "groupId", "context.groupId", limits.id_length)
    traits = context.get("traits")
    if event["type"] == "identify" and "traits" not in event and isinstance(traits, dict):
        event["traits"] = traits
        del context["traits"]


def _clean_id(where: dict[str, Any], name: str, path: str, longest: int) -> None:
    if name in where:
        text = _id_text(where[name], path, longest)
        if text:
            where[name] = text
        else:
            del where[name]


def _id_text(value: Any, name: str, longest: int) -> str:
    """The id as text; "" for one that says nothing."""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST_ID:
        return str(value)
    if not isinstance(value, str):
        raise _Bad("invalid", name, f"{name} must be a string")
    if len(value) > longest:
        raise _Bad("invalid", name, f"{name} must have at most {longest} characters")
    return value if value.strip() else ""


def _require(event: dict[str, Any], kind: str) -> None:
    if "userId" not in event and "anonymousId" not in event:
        raise _Bad("no_subject", "userId", "userId or anonymousId is required")
    for name in _REQUIRED.get(kind, ()):
        value = event.get(name)
        if not isinstance(value, str) or not value:
            raise _Bad("invalid", name, f"{kind} needs {name} as a non-empty string")
    if not isinstance(event.get("event"), str | None):
        raise _Bad("invalid", "event", "event must be a string")


def _set_message_id(event: dict[str, Any], limits: Limits, new_id: Callable[[], str]) -> None:
    text = _id_text(event.get("messageId"), "messageId", limits.message_id_length)
    event["messageId"] = text or new_id()


def _set_times(event: dict[str, Any], arrival: Arrival, limits: Limits) -> None:
    received_ms = arrival.received_at_ms
    sent_at = event.pop("sentAt", None)
    sent_ms = parse_ms(sent_at)
    if sent_ms is None:
        sent_at, sent_ms = arrival.sent_at, parse_ms(arrival.sent_at)
    original_at = event.pop("originalTimestamp", None)
    original_ms = parse_ms(original_at)
    if original_ms is None:
        original_at = event.get("timestamp")
        original_ms = parse_ms(original_at)
        if original_ms is None and original_at not in (None, ""):
            raise _Bad("invalid", "timestamp", "timestamp must be a date and time in ISO 8601")
    if original_ms is None:
        at_ms = received_ms
    else:
        event["originalTimestamp"] = original_at
        at_ms = original_ms if sent_ms is None else received_ms - (sent_ms - original_ms)
    if at_ms > received_ms + limits.future_ms:
        minutes = limits.future_ms // 60_000
        raise _Bad("future", "timestamp", f"timestamp lies more than {minutes} minutes ahead")
    if not 0 <= at_ms <= LAST_MS:
        raise _Bad("invalid", "timestamp", "timestamp must lie in the years 1970 to 9999")
    if sent_ms is not None:
        event["sentAt"] = sent_at
    event["timestamp"] = iso(at_ms)
    event["receivedAt"] = iso(received_ms)
