from __future__ import annotations

import json

import pytest

from schemas import wire
from tests.unit.intake.kit import NOW_MS, Gateway
from workers.intake.publisher import KafkaUnavailable
from workers.intake.tokens import make_feed_token, make_unsubscribe_token

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def link(gateway: Gateway) -> str:
    """A good unsubscribe path."""
    return "/u/" + make_unsubscribe_token(gateway.key, "person/1", "msg-1", "plan_limit_upsell")


async def test_a_post_acts_at_once_without_a_login(gateway: Gateway) -> None:
    """RFC 8058: the mail provider posts for its user; one request is enough."""
    answer = await gateway.client.post(link(gateway), data=ONE_CLICK)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    (engagement,) = gateway.publisher.of("engagement")
    record = wire.decode_engagement(engagement.value)
    assert (record.type, record.person, record.message_id) == ("unsubscribed", "person/1", "msg-1")
    assert (record.journey, record.channel, record.at_ms) == ("plan_limit_upsell", "email", NOW_MS)
    assert engagement.key == b"person/1"


async def test_the_engine_hears_of_it_in_the_persons_own_partition(gateway: Gateway) -> None:
    """An identify in product-events, with the person as key, takes the consent away."""
    await gateway.client.post(link(gateway), data=ONE_CLICK)
    (record,) = gateway.publisher.of("product-events")
    event = wire.decode_product_event(record.value)
    assert wire.problem(event) is None
    assert (event.type, wire.subject(event), record.key) == ("identify", "person/1", b"person/1")
    assert json.loads(record.value)["traits"] == {"consent": {"email": False}}
    assert wire.at_ms(event) == NOW_MS


async def test_the_same_link_works_again_after_a_new_subscription(gateway: Gateway) -> None:
    """De-duplication by messageId must not swallow the second click."""
    for _ in range(2):
        await gateway.client.post(link(gateway), data=ONE_CLICK)
    first, second = gateway.events()
    assert first["messageId"] != second["messageId"]


async def test_a_get_asks_and_changes_nothing(gateway: Gateway) -> None:
    """Link scanners and previews open links; only the button acts."""
    for method in ("GET", "HEAD"):
        answer = await gateway.client.request(method, link(gateway))
        assert answer.status_code == 200
    page = (await gateway.client.get(link(gateway))).text
    assert '<form method="post">' in page
    assert "Acme" in page
    assert gateway.publisher.records == []


async def test_the_button_leads_to_a_page_that_says_done(gateway: Gateway) -> None:
    """A browser gets a page, a mail provider JSON."""
    answer = await gateway.client.post(link(gateway), headers={"accept": "text/html,*/*"})
    assert answer.status_code == 200
    assert "You are unsubscribed" in answer.text


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("token", ["nonsense", "W10.AAAA", "feed"])
async def test_a_wrong_link_does_nothing(gateway: Gateway, method: str, token: str) -> None:
    """Also when it is a good token of another kind."""
    token = make_feed_token(gateway.key, "person/1", NOW_MS * 2) if token == "feed" else token
    answer = await gateway.client.request(method, f"/u/{token}")
    assert answer.status_code == 404
    assert "not valid" in answer.text
    assert gateway.publisher.records == []


async def test_while_kafka_is_away_the_page_asks_to_try_again(gateway: Gateway) -> None:
    """Nobody is told that they are unsubscribed when they are not."""
    gateway.publisher.fail_with = KafkaUnavailable("down", 3)
    answer = await gateway.client.post(link(gateway), headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert "did not work yet" in answer.text


async def test_the_pages_can_load_nothing_and_are_kept_nowhere(gateway: Gateway) -> None:
    """The link is a secret of the person: no cache, no referrer, no frame, no script."""
    headers = (await gateway.client.get(link(gateway))).headers
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
