"""Links and pixels of e-mails: what counts, what does not, and where they lead."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from schemas import wire
from schemas.catalog import problems_of
from tests.unit.intake.kit import NOW_MS, Gateway
from workers.intake.publisher import KafkaUnavailable, Record
from workers.intake.settings import Unsubscribe
from workers.intake.tokens import (
    LinkClaim,
    MessageClaim,
    OpenClaim,
    make_feed_token,
    make_link_token,
    make_open_token,
)

MESSAGE = MessageClaim("person/1", "msg-1", "plan_limit_upsell", "2")
LINK = LinkClaim(MESSAGE, 3, "https://shop.example.com/p?a=1&b=%20ü", NOW_MS - 60_000, NOW_MS + 60_000)
PIXEL = OpenClaim(MESSAGE, NOW_MS - 60_000, NOW_MS + 60_000)


def link(gateway: Gateway, claim: LinkClaim = LINK, key: bytes | None = None) -> str:
    """The path of a link."""
    return "/l/" + make_link_token(key or gateway.key, claim)


def pixel(gateway: Gateway, claim: OpenClaim = PIXEL) -> str:
    """The path of a pixel."""
    return f"/o/{make_open_token(gateway.key, claim)}.gif"


def told(gateway: Gateway) -> list[wire.Engagement]:
    """The engagement records, each as it is declared and keyed by its person."""
    records = gateway.publisher.of("engagement")
    assert all(problems_of("engagement", record.value) == [] for record in records)
    assert {record.key for record in records} <= {b"person/1"}
    return [wire.decode_engagement(record.value) for record in records]


async def test_a_click_is_kept_and_leads_on(gateway: Gateway) -> None:
    """With the message, its step and which link it was; nothing of the browser."""
    answer = await gateway.client.get(link(gateway), headers={"user-agent": "Firefox"})
    assert answer.status_code == 302
    assert answer.headers["location"] == "https://shop.example.com/p?a=1&b=%20%C3%BC"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    (one,) = told(gateway)
    assert (one.type, one.person, one.message_id, one.channel) == ("clicked", "person/1", "msg-1", "email")
    assert (one.journey, one.step, one.link, one.url) == ("plan_limit_upsell", "2", 3, LINK.url)
    assert (one.prefetch, one.at_ms) == (None, NOW_MS)
    assert b"Firefox" not in gateway.publisher.records[0].value
    assert gateway.sample("brimful_gateway_engagements_total", type="clicked", outcome="accepted") == 1


async def test_an_open_is_kept(gateway: Gateway) -> None:
    """The pixel is a picture that no cache keeps."""
    answer = await gateway.client.get(pixel(gateway))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert (answer.content[:6], answer.headers["cache-control"]) == (b"GIF89a", "no-store")
    (one,) = told(gateway)
    assert (one.type, one.link, one.url, one.prefetch) == ("opened", None, None, None)


async def test_a_look_counts_for_nothing(gateway: Gateway) -> None:
    """Scanners ask for the head to see where a link leads."""
    assert (await gateway.client.head(link(gateway))).status_code == 302
    assert (await gateway.client.head(pixel(gateway))).status_code == 200
    assert gateway.publisher.records == []


@pytest.mark.parametrize(
    ("headers", "age_ms", "prefetch"),
    [
        ({}, 60_000, None),
        ({}, 1_000, None),
        ({}, 999, True),
        ({"sec-purpose": "prefetch;prerender"}, 60_000, True),
        ({"purpose": "prefetch"}, 60_000, True),
        ({"x-purpose": "Preview"}, 60_000, True),
        ({"x-moz": "prefetch"}, 60_000, True),
        ({"purpose": "reading"}, 60_000, None),
        ({"user-agent": "Mozilla/5.0"}, 60_000, True),
        ({"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"}, 60_000, None),
    ],
)
@pytest.mark.parametrize("kind", ["clicked", "opened"])
async def test_machines_are_told_from_people(
    gateway: Gateway, kind: str, headers: dict[str, str], age_ms: int, prefetch: bool | None
) -> None:
    """Who says that they prefetch, who loads every picture, and who is faster than a person."""
    sent_ms = NOW_MS - age_ms
    clicked = link(gateway, replace(LINK, sent_ms=sent_ms))
    opened = pixel(gateway, replace(PIXEL, sent_ms=sent_ms))
    await gateway.client.get(clicked if kind == "clicked" else opened, headers=headers)
    (one,) = told(gateway)
    assert (one.type, one.prefetch) == (kind, prefetch)


async def test_nobody_can_make_a_link_that_leads_elsewhere(gateway: Gateway) -> None:
    """Another key, another kind of token, a token that was changed: no redirect, no record."""
    good = link(gateway)
    payload, _, signature = good.partition(".")
    for path in (
        link(gateway, key=b"x" * 32),
        payload[:-4] + "AAAA." + signature,
        "/l/" + make_feed_token(gateway.key, "person/1", NOW_MS * 2),
        "/l/" + make_open_token(gateway.key, PIXEL),
        "/l/nonsense",
    ):
        answer = await gateway.client.get(path)
        assert (answer.status_code, "location" in answer.headers) == (404, False)
    assert (await gateway.client.get("/o/" + good.removeprefix("/l/") + ".gif")).status_code == 404
    assert gateway.publisher.records == []


async def test_a_signed_address_must_still_be_one_of_the_web(gateway: Gateway) -> None:
    """What a mistake in the senders would sign leads nowhere."""
    bad = link(gateway, replace(LINK, url="javascript:alert(1)"))
    assert (await gateway.client.get(bad)).status_code == 404


async def test_an_old_link_shows_where_it_led(gateway: Gateway) -> None:
    """It counts no more; the person decides. The address is text, whatever it holds."""
    old = replace(LINK, expires_ms=NOW_MS, url='https://shop.example.com/?"><script>')
    answer = await gateway.client.get(link(gateway, old))
    assert (answer.status_code, "location" in answer.headers) == (410, False)
    assert "https://shop.example.com/?&quot;&gt;&lt;script&gt;" in answer.text
    assert "<script>" not in answer.text
    assert (await gateway.client.get(pixel(gateway, replace(PIXEL, expires_ms=NOW_MS)))).status_code == 200
    assert gateway.publisher.records == []


async def test_links_of_a_former_key_stay_good() -> None:
    """Both while the key is rolled; none of a key that is not configured any more."""
    old = b"o" * 32
    rolled = Gateway(links=Unsubscribe(b"k" * 32, previous=(old,)))
    assert (await rolled.client.get(link(rolled, key=old))).status_code == 302
    assert (await rolled.client.get(link(rolled))).status_code == 302


async def test_while_kafka_is_away_people_are_led_on(gateway: Gateway) -> None:
    """The click is lost, and counted as lost; the person is not."""
    gateway.publisher.fail_with = KafkaUnavailable("down", 3)
    assert (await gateway.client.get(link(gateway))).status_code == 302
    assert gateway.sample("brimful_gateway_engagements_total", type="clicked", outcome="unavailable") == 1


async def test_slow_brokers_hold_nobody_up(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a moment the person goes on; what is kept later is kept all the same."""
    go, kept = asyncio.Event(), asyncio.Event()
    publish = gateway.publisher.publish

    async def slowly(records: list[Record]) -> None:
        await go.wait()
        await publish(records)
        kept.set()

    monkeypatch.setattr(gateway.publisher, "publish", slowly)
    monkeypatch.setattr("workers.intake.clicks.KEEPING_S", 0.001)
    assert (await gateway.client.get(link(gateway))).status_code == 302
    assert gateway.publisher.records == []
    go.set()
    await kept.wait()
    assert len(told(gateway)) == 1
