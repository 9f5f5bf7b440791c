"""The msgspec structs of the hot paths say the same as the pydantic models."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from schemas import records, wire
from schemas.records.events import MOMENT_PATTERN

PAIRS: list[tuple[type[BaseModel], type[msgspec.Struct]]] = [
    (records.Trigger, wire.Trigger),
    (records.Eligible, wire.Eligible),
    (records.AccountFacts, wire.AccountFacts),
    (records.AccountSegments, wire.AccountSegments),
    (records.RequestedMessage, wire.RequestedMessage),
    (records.MessageContext, wire.MessageContext),
    (records.MessageRequest, wire.MessageRequest),
    (records.SendAsk, wire.SendAsk),
    (records.SendAnswer, wire.SendAnswer),
    (records.SendSettled, wire.SendSettled),
    (records.Suppress, wire.Suppress),
    (records.MergeRequest, wire.MergeRequest),
    (records.Merged, wire.Merged),
    (records.Released, wire.Released),
    (records.Forwarded, wire.Forwarded),
    (records.Erase, wire.Erase),
    (records.MemberMoved, wire.MemberMoved),
    (records.PersonMerged, wire.PersonMerged),
    (records.FeedMoved, wire.FeedMoved),
    (records.PersonErased, wire.PersonErased),
    (records.Message, wire.Message),
    (records.Delivery, wire.Delivery),
    (records.Decision, wire.Decision),
    (records.Conversion, wire.Conversion),
    (records.Engagement, wire.Engagement),
    (records.ScorePart, wire.ScorePart),
    (records.ScoreCrossed, wire.ScoreCrossed),
    (records.FeedItem, wire.FeedItem),
    (records.FeedShow, wire.FeedShow),
    (records.FeedStep, wire.FeedStep),
    (records.Feed, wire.Feed),
    (records.DeadLetter, wire.DeadLetter),
    (records.AccountTraits, wire.AccountTraits),
    (records.ObjectAttributes, wire.ObjectAttributes),
    (records.ObjectValues, wire.ObjectValues),
    (records.ObjectsChanged, wire.ObjectsChanged),
    (records.ImportCheckpoint, wire.ImportCheckpoint),
    (records.OlderVersion, wire.OlderVersion),
    (records.JourneyLine, wire.JourneyLine),
    (records.Publication, wire.Publication),
    (records.InForce, wire.InForce),
    (records.PublishedVersion, wire.PublishedVersion),
    (records.VersionPart, wire.VersionPart),
    (records.JourneyState, wire.JourneyState),
]


def _spelled(hint: Any) -> Any:
    """A type hint in which a model and its struct are the same: by name."""
    if isinstance(hint, type) and issubclass(hint, BaseModel | msgspec.Struct):
        return hint.__name__
    if get_args(hint):
        return (get_origin(hint), *(_spelled(argument) for argument in get_args(hint)))
    return hint


def _model_fields(model: type[BaseModel]) -> dict[str, tuple[Any, bool]]:
    hints = get_type_hints(model, include_extras=True)
    return {
        name: (_spelled(hints[name]), field.is_required())
        for name, field in model.model_fields.items()
        if name != "type" or len(get_args(hints[name])) > 1
    }


def _struct_fields(struct: type[msgspec.Struct]) -> dict[str, tuple[Any, bool]]:
    hints = get_type_hints(struct, include_extras=True)
    return {
        field.name: (_spelled(hints[field.name]), field.required) for field in msgspec.structs.fields(struct)
    }


@pytest.mark.parametrize(("model", "struct"), PAIRS, ids=lambda shape: shape.__name__)
def test_a_struct_has_the_fields_of_its_model(model: type[BaseModel], struct: type[msgspec.Struct]) -> None:
    """Names, types with their limits, and which are required: whoever changes one must change the other."""
    assert _struct_fields(struct) == _model_fields(model)
    assert struct.__name__ == model.__name__


TAGGED = [model for model, _ in PAIRS if "type" in model.model_fields and model is not records.Engagement]


@pytest.mark.parametrize("model", TAGGED)
def test_the_tag_of_a_struct_is_the_type_of_its_model(model: type[BaseModel]) -> None:
    """Msgspec keeps the tag apart from the fields."""
    struct = getattr(wire, model.__name__)
    assert (struct.__struct_config__.tag_field, struct.__struct_config__.tag) == (
        "type",
        get_args(model.model_fields["type"].annotation)[0],
    )


def test_the_event_struct_reads_a_part_of_every_event_model() -> None:
    """Its names on the wire are those of the Segment spec, as in the models."""
    on_the_wire = {field.encode_name for field in msgspec.structs.fields(wire.ProductEvent)}
    for model in get_args(get_args(records.ProductEvent)[0]):
        assert on_the_wire <= {field.alias for field in model.model_fields.values()}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ids = st.text(min_size=1, max_size=100)
objects = st.dictionaries(st.text(max_size=8), json_values, max_size=3)
real_moments = st.datetimes(timezones=st.none() | st.just(UTC)).map(datetime.isoformat)

REQUIRED: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "track": {"event": ids, "userId": ids},
    "identify": {"anonymousId": ids},
    "group": {"groupId": ids, "userId": ids},
    "alias": {"previousId": ids, "userId": ids},
    "page": {"userId": st.just(""), "anonymousId": ids},
    "screen": {"userId": ids},
}
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "userId": ids,
    "anonymousId": st.none() | st.text(max_size=8),
    "event": st.none() | st.text(max_size=8),
    "groupId": st.none() | st.text(max_size=8),
    "previousId": st.none() | st.text(max_size=8),
    "properties": st.none() | objects,
    "traits": st.none() | objects,
    "context": st.none() | st.fixed_dictionaries({"ip": json_values}, optional={"groupId": st.none() | ids}),
    "sentAt": json_values,
    "name": json_values,
    "integrations": json_values,
    "extra": json_values,
}


@st.composite
def valid_events(draw: st.DrawFn) -> dict[str, Any]:
    """Events as a correct producer may send them."""
    kind = draw(st.sampled_from(sorted(REQUIRED)))
    required = {"type": st.just(kind), "messageId": ids, "timestamp": real_moments, **REQUIRED[kind]}
    optional = {name: values for name, values in OPTIONAL.items() if name not in required}
    event: dict[str, Any] = draw(st.fixed_dictionaries(required, optional=optional))
    return event


@st.composite
def odd_events(draw: st.DrawFn) -> dict[str, Any]:
    """Valid events in which one field is missing or holds something else; some are still valid."""
    event = draw(valid_events())
    name = draw(st.sampled_from(["type", "messageId", "timestamp", *OPTIONAL]))
    if draw(st.booleans()):
        event.pop(name, None)
    else:
        form = st.from_regex(MOMENT_PATTERN, fullmatch=True)
        event[name] = draw(form if name == "timestamp" else json_values | st.text(min_size=99, max_size=102))
    return event


def _by_model(payload: bytes) -> records.ProductEvent | None:
    try:
        return records.parse_product_event(payload)
    except (ValidationError, msgspec.DecodeError):
        return None


def _by_struct(payload: bytes) -> wire.ProductEvent | None:
    try:
        event = wire.decode_product_event(payload)
    except msgspec.DecodeError:
        return None
    return event if wire.problem(event) is None else None


READ_BY_BOTH = (
    "type",
    "message_id",
    "user_id",
    "anonymous_id",
    "event",
    "group_id",
    "previous_id",
    "timestamp",
)


def assert_both_read_the_same(payload: bytes) -> bool:
    """Both refuse, or both accept with equal values; True where they accept."""
    model, struct = _by_model(payload), _by_struct(payload)
    assert (model is None) == (struct is None)
    if model is None or struct is None:
        return False
    for name in (
        "type",
        "message_id",
        "user_id",
        "anonymous_id",
        "event",
        "group_id",
        "previous_id",
        "timestamp",
    ):
        assert getattr(struct, name) == getattr(model, name)
    assert wire.subject(struct) == records.subject(model)
    assert wire.values(struct.properties) == (model.properties or {})
    assert wire.values(struct.traits) == (model.traits or {})
    assert (struct.context and struct.context.group_id) == (model.context and model.context.group_id)
    return True


@given(valid_events())
def test_models_and_structs_read_the_same_from_every_valid_event(event: dict[str, Any]) -> None:
    """Whatever a correct producer sends is accepted, and means the same at the gateway and in the engine."""
    assert assert_both_read_the_same(json.dumps(event).encode())


@given(odd_events())
def test_models_and_structs_refuse_the_same_events(event: dict[str, Any]) -> None:
    """What the gateway took, the engine never refuses, and the other way round."""
    assert_both_read_the_same(json.dumps(event).encode())


@given(st.binary(max_size=64), st.sampled_from(["extra", "event", "properties"]))
def test_models_and_structs_agree_about_bytes_that_may_be_no_utf8(tail: bytes, name: str) -> None:
    """Text that nothing decodes now would break whoever decodes it later."""
    assert_both_read_the_same(
        b'{"type":"track","messageId":"m","userId":"u","event":"e","timestamp":"2026-03-14T10:02:00Z","'
        + name.encode()
        + b'":{"a":"'
        + tail
        + b'"}}'
    )


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("2026-03-14T10:02:00Z", 1_773_482_520_000),
        ("2026-03-14T10:02:00.001Z", 1_773_482_520_001),
        ("2026-03-14T11:02:00.123+01:00", 1_773_482_520_123),  # the offset is taken into account
        ("2026-03-14 10:02:00.123", 1_773_482_520_123),  # no zone means UTC
        ("2026-03-14T10:02:00.9999Z", 1_773_482_520_999),  # cut, so that an event is never in its future
        ("1969-12-31T23:59:59.999Z", -1),
        ("0001-01-01T00:00:00+23:59", -62_135_683_140_000),  # earlier than Python's first moment in UTC
    ],
)
def test_event_time_is_integer_utc_milliseconds(text: str, at_ms: int) -> None:
    """Exact, for every form that is accepted."""
    event = wire.ProductEvent("track", "m", msgspec.convert(text, datetime))
    assert wire.at_ms(event) == at_ms


@given(st.datetimes(), st.integers(-1439, 1439))
def test_milliseconds_are_exact_for_every_moment_and_offset(moment: datetime, minutes: int) -> None:
    """Integer arithmetic: a float would lose a millisecond now and then."""
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    since = zoned - datetime(1970, 1, 1, tzinfo=UTC)
    assert wire.to_ms(zoned) == since // timedelta(milliseconds=1)
    assert wire.to_ms(moment) == wire.to_ms(moment.replace(tzinfo=UTC))


def test_a_moment_without_a_zone_is_utc_wherever_the_worker_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers in two countries count the event in the same window."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert wire.to_ms(msgspec.convert("2026-03-14T10:02:00", datetime)) == 1_773_482_520_000
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("fields", "account"),
    [
        ({"type": "track", "context": wire.EventContext("acct-9")}, "acct-9"),
        ({"type": "track", "context": wire.EventContext("")}, None),
        ({"type": "track", "context": None}, None),
        ({"type": "track", "group_id": "acct-9"}, None),  # groupId is a field of the group call alone
        ({"type": "group", "group_id": "acct-9", "context": wire.EventContext("acct-1")}, "acct-9"),
    ],
)
def test_the_account_is_that_of_the_group_call_or_of_the_context(
    fields: dict[str, Any], account: str | None
) -> None:
    """The account whose windows the event counts in."""
    event = wire.ProductEvent(message_id="m", timestamp=datetime(2026, 3, 14, tzinfo=UTC), **fields)
    assert wire.account(event) == account


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b'{"type":"track"', msgspec.DecodeError),  # no JSON
        (b'{"type":"\xff"}', msgspec.DecodeError),  # no UTF-8, in a field that is read
        (b'{"other":"\xff"}', msgspec.DecodeError),  # no UTF-8, in a field that is skipped
        (b'{"other":' + b"[" * 200_000, msgspec.DecodeError),  # too deep
        (b"{}", msgspec.ValidationError),  # JSON of another shape
        (b"[]", msgspec.ValidationError),
    ],
)
def test_unreadable_and_invalid_records_raise_different_errors(
    payload: bytes, error: type[Exception]
) -> None:
    """So that the dead letter says which; nothing else may come out and stop the worker."""
    with pytest.raises(msgspec.DecodeError) as raised:
        wire.decode_product_event(payload)
    assert type(raised.value) is error


def test_optional_fields_are_left_out_and_the_version_is_always_written() -> None:
    """Records stay small, and say which shape they have."""
    facts = wire.AccountFacts(id="a", subject="user-17", account="acct-9", facts={}, at_ms=1)
    assert json.loads(wire.encode(facts)) == {
        "type": "account_facts",
        "v": 1,
        "id": "a",
        "subject": "user-17",
        "account": "acct-9",
        "facts": {},
        "at_ms": 1,
    }
    engagement = wire.Engagement(id="a", type="opened", person="u", message_id="m", channel="email", at_ms=1)
    assert set(json.loads(wire.encode(engagement))) == {
        "v",
        "id",
        "type",
        "person",
        "message_id",
        "channel",
        "at_ms",
    }
