"""The preference page: what it shows, what it says to the engine, and to whom."""

from __future__ import annotations

import re
from typing import Any

import pytest

from schemas import wire
from schemas.catalog import problems_of
from tests.unit.intake.kit import NOW_MS, Gateway
from workers.core.consent import STATES, Consents, Said, consents, take
from workers.intake.publisher import KafkaUnavailable
from workers.intake.settings import Asks, Unsubscribe
from workers.intake.tokens import make_preferences_token, make_unsubscribe_token

TOPICS = {"news": "News about the product", "offers": "Offers & discounts"}


@pytest.fixture
def gateway() -> Gateway:
    """Two channels, two topics."""
    return Gateway(links=Unsubscribe(b"k" * 32, "Acme", asks=lambda: Asks(("email", "in_app"), TOPICS)))


def link(gateway: Gateway) -> str:
    """The page of a person."""
    return "/p/" + make_preferences_token(gateway.key, "person/1")


def said(gateway: Gateway) -> list[tuple[Any, ...]]:
    """What reached the engine, each record as declared and keyed by its person."""
    records = gateway.publisher.of("scheduler")
    assert gateway.publisher.records == records
    assert all(problems_of("scheduler", record.value) == [] for record in records)
    assert {record.key for record in records} <= {b"person/1"}
    found = []
    for record in records:
        one = wire.decode_scheduler(record.value)
        assert isinstance(one, wire.ConsentChange)
        assert one.subject == "person/1"
        found.append(one)
    assert len({one.id for one in found}) == len(found)
    return [(one.channel, one.topic, one.state, one.source, one.at_ms) for one in found]


async def test_the_page_asks_about_each_topic_of_each_channel(gateway: Gateway) -> None:
    """And about each channel as a whole; nothing is chosen beforehand, for nobody knows here."""
    answer = await gateway.client.get(link(gateway))
    assert answer.status_code == 200
    names = ["email/news", "email/offers", "email", "in_app/news", "in_app/offers", "in_app"]
    assert list(dict.fromkeys(re.findall(r'type="radio" name="([^"]+)"', answer.text))) == names
    assert "Offers &amp; discounts" in answer.text
    assert "Acme" in answer.text
    assert re.search(r"<input[^>]*checked", answer.text) is None
    assert gateway.publisher.records == []


async def test_without_topics_it_asks_about_channels() -> None:
    """A workspace need not have topics, and a gateway no workspace."""
    gateway = Gateway()
    text = (await gateway.client.get(link(gateway))).text
    assert re.findall(r'type="radio" name="([^"]+)" value="yes"', text) == ["email"]


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"email/news": "yes"}, [("email", "news", "opted_in")]),
        (
            {"in_app": "no", "email/offers": "no"},
            [("email", "offers", "opted_out"), ("in_app", None, "opted_out")],
        ),
        ({"everything": "no", "email": "yes"}, [(None, None, "opted_out")]),
        ({"email": "yes", "sms": "yes", "email/unknown": "yes", "x": "y"}, [("email", None, "opted_in")]),
    ],
)
async def test_what_is_chosen_is_said_to_the_engine(
    gateway: Gateway, form: dict[str, str], words: list[tuple[str | None, str | None, str]]
) -> None:
    """Word for word, now; what is left open stays, and what the page does not ask is passed over."""
    answer = await gateway.client.post(link(gateway), data=form)
    assert answer.status_code == 200
    assert "Your choice is saved" in answer.text
    source = "preference page"
    assert said(gateway) == [(*word, source, NOW_MS if word[1] else NOW_MS - 1) for word in words]


async def test_one_topic_and_nothing_else_is_just_that(gateway: Gateway) -> None:
    """Said in one form, the topic is agreed to and the rest refused, by the engine's own rules."""
    await gateway.client.post(link(gateway), data={"email/news": "yes", "email": "no"})
    row = Consents({})
    for channel, topic, state, source, at_ms in said(gateway):
        take(row, Said(channel, topic, STATES[state]), at_ms, source)
    assert (consents(row, "email", "news"), consents(row, "email", "offers")) == (True, False)


@pytest.mark.parametrize("form", [{}, {"email": "maybe"}, {"sms": "yes"}, {"everything": "yes"}])
async def test_nothing_chosen_changes_nothing(gateway: Gateway, form: dict[str, str]) -> None:
    """And the page says so, with the choices again."""
    answer = await gateway.client.post(link(gateway), data=form)
    assert (answer.status_code, "Nothing was chosen" in answer.text) == (400, True)
    assert 'name="email"' in answer.text
    assert gateway.publisher.records == []


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a=1&" * 2_000, b"x" * 70_000])
async def test_what_is_no_form_of_ours_is_refused(gateway: Gateway, body: bytes) -> None:
    """Bytes that are no text, too many fields, too much."""
    answer = await gateway.client.post(link(gateway), content=body)
    assert answer.status_code in (400, 413)
    assert gateway.publisher.records == []


async def test_only_its_own_kind_of_link_opens_it(gateway: Gateway) -> None:
    """The link to unsubscribe does that alone."""
    for token in (make_unsubscribe_token(gateway.key, "person/1", "m"), "nonsense"):
        for method in ("GET", "POST"):
            answer = await gateway.client.request(method, f"/p/{token}", data={"email": "yes"})
            assert (answer.status_code, "not valid" in answer.text) == (404, True)
    assert gateway.publisher.records == []


async def test_while_kafka_is_away_the_page_asks_to_try_again(gateway: Gateway) -> None:
    """Nobody is told that a choice is saved when it is not."""
    gateway.publisher.fail_with = KafkaUnavailable("down", 3)
    answer = await gateway.client.post(link(gateway), data={"email": "no"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert "did not work yet" in answer.text


async def test_the_page_loads_nothing_and_is_kept_nowhere(gateway: Gateway) -> None:
    """No script, no cookie, no frame, no cache, no referrer; the form leads here alone."""
    answer = await gateway.client.get(link(gateway))
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers
    assert "<script" not in answer.text


async def test_the_page_to_unsubscribe_leads_here(gateway: Gateway) -> None:
    """Who wants less may not want nothing."""
    page = await gateway.client.get("/u/" + make_unsubscribe_token(gateway.key, "person/1", "m"))
    there = re.search(r'href="\.\./(p/[^"]+)"', page.text)
    assert there is not None
    assert "Your messages" in (await gateway.client.get("/" + there[1])).text
