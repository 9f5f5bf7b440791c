"""Who may call what, and how much: keys, scopes, rates, and pages of other origins."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.intake.kit import NOW_MS, Gateway
from workers.clock import FixedClock
from workers.core.token_bucket import Rate
from workers.intake.callers import Rates
from workers.intake.keys import make_key
from workers.intake.limits import Limits
from workers.intake.settings import ApiSettings

EVENTS, EVENTS_KEY = make_key("shop", ["events:write"], b"e" * 32)
PEOPLE, PEOPLE_KEY = make_key("crm", ["people:write", "people:read", "consent:write"], b"p" * 32)
KEYS = ApiSettings((EVENTS_KEY, PEOPLE_KEY))

TRACK = {"event": "e", "userId": "u1"}


def gateway(rates: Rates | None = None, **more: Any) -> Gateway:
    """With two API keys."""
    return Gateway(more={"api": KEYS, "rates": rates}, **more)


@pytest.mark.parametrize(
    ("headers", "auth", "body", "status", "source"),
    [
        ({"authorization": f"Bearer {EVENTS}"}, None, {}, 200, b"shop"),
        ({}, (EVENTS, ""), {}, 200, b"shop"),
        ({}, None, {"writeKey": EVENTS}, 200, b"shop"),
        ({}, ("wk", ""), {}, 200, b"web"),
        ({"authorization": f"Bearer {PEOPLE}"}, None, {}, 403, None),
        ({}, (PEOPLE, ""), {}, 403, None),
        ({}, None, {"writeKey": PEOPLE}, 403, None),
        ({"authorization": "Bearer wk"}, None, {}, 401, None),
        ({"authorization": f"Bearer {EVENTS[:-1]}A"}, None, {"writeKey": "wk"}, 401, None),
    ],
)
async def test_events_need_a_write_key_or_a_key_with_the_scope(
    headers: dict[str, str], auth: Any, body: dict[str, str], status: int, source: bytes | None
) -> None:
    """An API key may stand wherever the official clients put a write key."""
    one = gateway()
    answer = await one.post("/v1/track", {**TRACK, **body}, auth=auth, headers=headers)
    assert answer.status_code == status
    sources = [dict(record.headers)["source"] for record in one.publisher.records]
    assert sources == ([] if source is None else [source])
    assert all(b"bk_" not in record.value for record in one.publisher.records)


@pytest.mark.parametrize(
    ("authorization", "status", "code"),
    [
        (None, 401, "unauthorized"),
        ("Bearer bk_nobody", 401, "unauthorized"),
        ("Basic !!!", 401, "unauthorized"),
        ("Bearer wk", 403, "forbidden"),
        (f"Bearer {EVENTS}", 403, "forbidden"),
        (f"Bearer {PEOPLE}", 202, None),
    ],
)
async def test_the_api_needs_a_key_with_the_scope(
    authorization: str | None, status: int, code: str | None
) -> None:
    """A write key stands in web pages: it may never do this. The answer names the scope and no key."""
    one = gateway()
    headers = {} if authorization is None else {"authorization": authorization}
    body = {"choices": [{"state": "opted_in"}]}
    answer = await one.client.put("/v1/people/u1/consent", json=body, headers=headers)
    assert (answer.status_code, answer.json().get("code")) == (status, code)
    assert bool(one.publisher.records) is (status == 202)
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")
    if status == 403:
        assert answer.json()["scope"] == "consent:write"
    assert "bk_" not in answer.text


async def test_without_api_keys_there_is_no_api() -> None:
    """Nothing to be tried out."""
    assert (await Gateway().client.delete("/v1/people/u1")).status_code == 404


async def test_a_caller_who_sends_too_much_is_told_when_to_come_again() -> None:
    """Events count, not requests; the official clients read Retry-After and keep what they have."""
    one = gateway(Rates(write_key=Rate(2, 4)))
    batch = {"batch": [{**TRACK, "type": "track"}] * 3}
    answer = await one.post("/v1/batch", batch)
    told = {name: answer.headers[f"ratelimit-{name}"] for name in ("limit", "remaining", "reset")}
    assert told == {"limit": "4", "remaining": "1", "reset": "2"}
    assert (await one.post("/v1/batch", batch)).status_code == 200
    refused = await one.post("/v1/track", TRACK)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many")
    assert (refused.headers["retry-after"], refused.headers["ratelimit-remaining"]) == ("2", "0")
    assert len(one.events()) == 6
    assert one.sample("brimful_gateway_limited_total", kind="write_key", caller="web") == 1
    assert (await one.post("/v1/track", TRACK, auth=("wk2", ""))).status_code == 200


async def test_after_the_wait_the_caller_may_send_again() -> None:
    """By the clock of the gateway."""
    one = gateway(Rates(write_key=Rate(1, 1)))
    assert (await one.post("/v1/track", TRACK)).status_code == 200
    assert (await one.post("/v1/track", TRACK)).status_code == 429
    assert isinstance(one.clock, FixedClock)
    one.clock.time_ms = NOW_MS + 1_000
    assert (await one.post("/v1/track", TRACK)).status_code == 200


async def test_more_than_the_burst_in_one_request_is_taken_once() -> None:
    """Else a batch that is larger than the burst would never be taken."""
    one = gateway(Rates(write_key=Rate(1, 2)))
    assert (await one.post("/v1/batch", {"batch": [{**TRACK, "type": "track"}] * 50})).status_code == 200
    assert (await one.post("/v1/track", TRACK)).headers["retry-after"] == "1"


async def test_the_api_has_its_own_rate() -> None:
    """By key, whatever the route."""
    one = gateway(Rates(api_key=Rate(1, 1)))
    headers = {"authorization": f"Bearer {PEOPLE}"}
    assert (await one.client.delete("/v1/people/u1", headers=headers)).status_code == 202
    assert (await one.client.delete("/v1/people/u2", headers=headers)).status_code == 429
    for _ in range(3):
        assert (await one.post("/v1/track", TRACK)).status_code == 200


async def test_one_bound_holds_for_all_requests_in_work() -> None:
    """Whichever route they take: Retry-After, and nothing is taken."""
    one = gateway(limits=Limits(concurrent_requests=1))
    room = one.app.state.gateway.room
    cloud = {"content-type": "application/cloudevents+json"}
    with room.taken():
        for path, headers in (("/v1/track", {}), ("/v1/cloudevents", cloud)):
            answer = await one.post(path, TRACK, headers=headers)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        answer = await one.client.delete("/v1/people/u1", headers={"authorization": f"Bearer {PEOPLE}"})
        assert answer.status_code == 503
    assert (await one.post("/v1/track", TRACK)).status_code == 200


# -- pages of other origins

ORIGIN = "https://app.example.com"
PREFLIGHT = {
    "origin": ORIGIN,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
}


@pytest.mark.parametrize(
    ("path", "is_open"),
    [
        ("/v1/track", True),
        ("/v1/batch", True),
        ("/v1/cloudevents", True),
        ("/v1/in-app/feed", True),
        ("/v1/people/u1/consent", False),
        ("/v1/people/u1", False),
        ("/v1/objects", False),
        ("/v1/lists/vip/members", False),
        ("/p/token", False),
    ],
)
async def test_pages_may_send_events_and_read_feeds_only(path: str, is_open: bool) -> None:
    """The API is not for browsers: a secret in a page is no secret."""
    one = gateway(cors_origins=(ORIGIN,))
    answer = await one.client.options(path, headers=PREFLIGHT)
    assert (answer.headers.get("access-control-allow-origin") == ORIGIN) is is_open
    assert "access-control-allow-credentials" not in answer.headers
    if is_open:
        assert answer.status_code == 200
        assert "authorization" in answer.headers["access-control-allow-headers"].lower()


async def test_other_origins_get_no_answer_to_read() -> None:
    """The browser keeps it from them; so it is without any configured."""
    for origins in ((ORIGIN,), ()):
        one = gateway(cors_origins=origins)
        headers = {**PREFLIGHT, "origin": "https://evil.example.com"}
        answer = await one.client.options("/v1/track", headers=headers)
        assert "access-control-allow-origin" not in answer.headers


async def test_a_page_reads_the_limits_that_it_is_told() -> None:
    """A script sees no header that is not exposed."""
    one = gateway(Rates(write_key=Rate(1, 1)), cors_origins=("*",))
    answer = await one.post("/v1/track", TRACK, headers={"origin": ORIGIN})
    exposed = answer.headers["access-control-expose-headers"].lower()
    assert all(name in exposed for name in ("retry-after", "ratelimit-remaining"))


async def test_a_beacon_needs_no_preflight() -> None:
    """navigator.sendBeacon sends text/plain and no header of ours, with the key in the body."""
    one = gateway(cors_origins=(ORIGIN,))
    headers = {"origin": ORIGIN, "content-type": "text/plain;charset=UTF-8"}
    body = {"batch": [{**TRACK, "type": "track"}], "writeKey": "wk"}
    answer = await one.post("/v1/batch", body, auth=None, headers=headers)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
