"""The API about people: consent, traits, the feed, and to forget them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from schemas import wire
from schemas.catalog import problems_of
from tests.unit.intake.kit import NOW_MS, Gateway
from workers.core.objects.plan import NO_TYPES
from workers.intake.keys import SCOPES, make_key
from workers.intake.limits import Limits
from workers.intake.publisher import KafkaUnavailable
from workers.intake.settings import ApiSettings, Definitions

if TYPE_CHECKING:
    import httpx

KEY, CONFIGURED = make_key("crm", SCOPES, b"p" * 32)
DEFINED = Definitions(frozenset({"news"}), NO_TYPES, {})


class Api(Gateway):
    """A gateway with a key that may do everything."""

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """With the key; names of headers have _ for -."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        return await self.client.request(
            method, path, content=content, headers={"authorization": f"Bearer {KEY}", **sent}
        )

    def told(self) -> list[Any]:
        """What reached the engine's partition of the person, each as it is declared."""
        records = self.publisher.of("scheduler")
        assert all(problems_of("scheduler", record.value) == [] for record in records)
        found = [wire.decode_scheduler(record.value) for record in records]
        keys = [getattr(one, "subject", "").encode() for one in found]
        assert keys == [record.key for record in records]
        return found


@pytest.fixture
def api() -> Api:
    """One topic of consent is defined."""
    return Api(more={"api": ApiSettings((CONFIGURED,), lambda: DEFINED)})


async def test_consent_is_told_word_for_word(api: Api) -> None:
    """At the time at which it was said, with who brought it."""
    body = {
        "at": "2026-02-01T10:00:00Z",
        "source": "checkout",
        "choices": [
            {"channel": "email", "topic": "news", "state": "opted_in"},
            {"channel": "sms", "state": "opted_out"},
            {"state": "unknown"},
        ],
    }
    answer = await api.call("PUT", "/v1/people/u1/consent", body)
    assert (answer.status_code, answer.json()) == (202, {"success": True, "accepted": 3})
    words = api.told()
    assert [(one.channel, one.topic, one.state) for one in words] == [
        ("email", "news", "opted_in"),
        ("sms", None, "opted_out"),
        (None, None, "unknown"),
    ]
    assert {(one.subject, one.source, one.at_ms) for one in words} == {("u1", "checkout", 1_769_940_000_000)}
    assert api.sample("brimful_gateway_api_records_total", kind="consent") == 3


async def test_without_time_and_source_it_is_said_now_by_the_key(api: Api) -> None:
    """And what lies ahead of our clock is said now."""
    await api.call("PUT", "/v1/people/u1/consent", {"choices": [{"state": "opted_in"}]})
    ahead = {"choices": [{"state": "opted_out"}], "at": "2030-01-01T00:00:00Z"}
    await api.call("PUT", "/v1/people/u1/consent", ahead)
    assert [(one.source, one.at_ms) for one in api.told()] == [("api:crm", NOW_MS)] * 2


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "choices"),
        ({"choices": []}, "1 to 1000 items"),
        ({"choices": [{"state": "yes"}]}, "$.choices[0].state"),
        ({"choices": [{"state": "opted_in", "channel": "fax"}]}, "$.choices[0].channel"),
        ({"choices": [{"state": "opted_in", "topic": "news"}]}, "choices[0]: a topic needs a channel"),
        (
            {"choices": [{"state": "opted_in", "channel": "email", "topic": "x"}]},
            "no topic 'x'; there are news",
        ),
        ({"choices": [{"state": "opted_in"}], "from": "x"}, "from"),
        ({"choices": [{"state": "opted_in"}], "at": "yesterday"}, "$.at"),
        (b"nonsense", "JSON"),
        (b"\xff", "JSON"),
        ([], "object"),
    ],
)
async def test_a_wrong_body_is_refused_whole_and_names_the_field(api: Api, body: Any, why: str) -> None:
    """Nothing of it is kept."""
    answer = await api.call("PUT", "/v1/people/u1/consent", body)
    assert (answer.status_code, why in answer.json()["message"]) == (400, True), answer.text
    assert api.publisher.records == []


async def test_without_a_workspace_any_topic_is_taken() -> None:
    """The engine keeps the word for when the topic is declared."""
    api = Api(more={"api": ApiSettings((CONFIGURED,))})
    body = {"choices": [{"state": "opted_in", "channel": "email", "topic": "x"}]}
    assert (await api.call("PUT", "/v1/people/u1/consent", body)).status_code == 202


async def test_traits_are_an_identify_call(api: Api) -> None:
    """In the product events, as any other."""
    answer = await api.call("PATCH", "/v1/people/u1", {"traits": {"plan": "pro", "seats": None}})
    assert answer.status_code == 202
    (record,) = api.publisher.of("product-events")
    assert problems_of("product-events", record.value) == []
    (event,) = api.events()
    assert (event["type"], event["userId"], record.key) == ("identify", "u1", b"u1")
    assert event["traits"] == {"plan": "pro", "seats": None}
    assert dict(record.headers)["source"] == b"crm"


@pytest.mark.parametrize(
    ("body", "code", "why"),
    [
        ({"traits": {"consent": True}}, "invalid", "/consent"),
        ({"traits": []}, "invalid", "$.traits"),
        ({"traits": {"x": "y" * 40_000}}, "too_large", "limit"),
        ({"traits": {}, "at": "1960-01-01T00:00:00Z"}, "invalid", "1970"),
    ],
)
async def test_wrong_traits_are_refused(api: Api, body: Any, code: str, why: str) -> None:
    """Consent has a scope of its own, and events their bounds."""
    answer = await api.call("PATCH", "/v1/people/u1", body)
    assert (answer.status_code, answer.json()["code"], why in answer.text) == (400, code, True), answer.text
    assert api.publisher.records == []


async def test_forgetting_is_asked_as_the_command_does(api: Api) -> None:
    """The answer names the request, which every place answers for."""
    query = "?reason=ticket-7&suppress=30d&account=acme&account=other"
    answer = await api.call("DELETE", "/v1/people/u1" + query)
    (one,) = api.told()
    assert isinstance(one, wire.Erase)
    assert (answer.status_code, answer.json()["request"]) == (202, one.request)
    assert (one.subject, one.accounts, one.reason) == ("u1", ["acme", "other"], "ticket-7")
    assert one.suppress_until_ms == NOW_MS + 30 * 86_400_000


async def test_a_wrong_time_of_suppression_is_refused(api: Api) -> None:
    """Nobody is erased by a request with a mistake in it."""
    answer = await api.call("DELETE", "/v1/people/u1?suppress=soon")
    assert (answer.status_code, "suppress" in answer.json()["message"]) == (400, True)
    assert api.publisher.records == []


@pytest.mark.parametrize(
    "person", ["user/with/slashes", "ü", "a b", "a%2Fb", "consent", "x/consent", "1?2#3"]
)
async def test_ids_are_taken_as_they_are(api: Api, person: str) -> None:
    """Percent-encoded in the path, whatever they hold."""
    await api.call(
        "PUT", f"/v1/people/{quote(person, safe='')}/consent", {"choices": [{"state": "opted_in"}]}
    )
    await api.call("DELETE", f"/v1/people/{quote(person, safe='')}")
    assert [one.subject for one in api.told()] == [person, person]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/v1/people/u1/consent", 404),
        ("DELETE", "/v1/people/a/b", 404),
        ("PUT", "/v1/people/a/b/consent", 404),
        ("DELETE", "/v1/people/", 400),
        ("DELETE", "/v1/people/%20", 400),
        ("DELETE", "/v1/people/" + "x" * 256, 400),
        ("DELETE", "/v1/people/%FF", 400),
        ("GET", "/v1/people/u1", 405),
    ],
)
async def test_a_path_that_is_not_one_erases_nobody(api: Api, method: str, path: str, status: int) -> None:
    """A slash that is not encoded is a mistake, not an id. And no route reads the engine's state."""
    answer = await api.call(method, path, {"choices": [{"state": "opted_in"}]})
    assert answer.status_code == status
    assert api.publisher.records == []


async def test_the_feed_is_what_the_gateway_follows(api: Api) -> None:
    """The items that the person sees now."""
    item = {"id": "i1", "message_id": "m1", "title": "Hi", "expires_at_ms": NOW_MS + 1}
    old = {"id": "i2", "message_id": "m2", "title": "Old", "expires_at_ms": NOW_MS}
    api.feed.write("u1", [item, old])
    answer = await api.call("GET", "/v1/people/u1/feed")
    assert (answer.status_code, answer.json()) == (200, {"person": "u1", "items": [item]})
    assert (await api.call("GET", "/v1/people/u2/feed")).json()["items"] == []


async def test_the_same_key_of_idempotency_gives_the_same_records(api: Api) -> None:
    """A client that got no answer sends it again; another caller's key, or another body, is another."""
    traits = {"traits": {"plan": "pro"}}
    for nonce in ("a", "a", "b"):
        await api.call("PATCH", "/v1/people/u1", traits, idempotency_key=nonce)
    await api.call("PATCH", "/v1/people/u1", traits)
    first, again, other, none = (event["messageId"] for event in api.events())
    assert first == again
    assert len({first, other, none}) == 3
    refused = await api.call("PATCH", "/v1/people/u1", traits, idempotency_key="x" * 256)
    assert (refused.status_code, "Idempotency-Key" in refused.json()["message"]) == (400, True)


async def test_while_kafka_is_away_nothing_is_promised(api: Api) -> None:
    """503 with Retry-After."""
    api.publisher.fail_with = KafkaUnavailable("down", 3)
    answer = await api.call("DELETE", "/v1/people/u1")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert api.sample("brimful_gateway_api_records_total", kind="erase") == 0


async def test_a_request_has_bounds() -> None:
    """Bytes and items."""
    api = Api(Limits(batch_bytes=500, api_items=3), more={"api": ApiSettings((CONFIGURED,))})
    word = {"state": "opted_in"}
    assert (await api.call("PUT", "/v1/people/u1/consent", {"choices": [word] * 4})).status_code == 400
    assert (await api.call("PUT", "/v1/people/u1/consent", {"choices": [word] * 40})).status_code == 413
