"""The Stripe webhook: signatures, what is kept, what is answered."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from schemas import wire
from schemas.catalog import problems_of
from tests.unit.core.stripe.test_stripe_mapping import AT_S, INVOICE, SUBSCRIPTION
from workers.clock import FixedClock
from workers.core.stripe.mapping import StripeOptions
from workers.errors import Misconfigured
from workers.intake.app import create_gateway
from workers.intake.limits import Limits
from workers.intake.metrics import GatewayMetrics
from workers.intake.problems import Problem
from workers.intake.publisher import InMemoryPublisher, KafkaUnavailable
from workers.intake.settings import StripeWebhooks
from workers.intake.stripe_signature import verify

SECRET = b"whsec_new"
OLD = b"whsec_old"
NOW_MS = AT_S * 1000 + 2_000


def signature(body: bytes, secret: bytes = SECRET, at_s: int = AT_S) -> str:
    """A header as Stripe makes it."""
    mac = hmac.new(secret, f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={mac},v0=ignored"


def event(
    kind: str = "customer.subscription.created", thing: dict[str, Any] | None = None, **more: Any
) -> bytes:
    """An event's body."""
    plain = {"id": "evt_1", "object": "event", "type": kind, "created": AT_S, "livemode": True, **more}
    return json.dumps({**plain, "data": {"object": SUBSCRIPTION if thing is None else thing}}).encode()


class Hooks:
    """A gateway with the webhook, and Stripe in front of it."""

    def __init__(self, subject: Any = "account", limits: Limits | None = None) -> None:
        self.publisher = InMemoryPublisher()
        self.registry = CollectorRegistry()
        app = create_gateway(
            publisher=self.publisher,
            write_keys={},
            clock=FixedClock(NOW_MS),
            metrics=GatewayMetrics(self.registry),
            limits=limits,
            stripe=StripeWebhooks((SECRET, OLD), StripeOptions(subject=subject)),
        )
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://gateway")

    async def post(self, body: bytes, header: str | None = None, **more: Any) -> httpx.Response:
        """Send a body, signed unless a header is given."""
        headers = {"stripe-signature": signature(body) if header is None else header, **more}
        return await self.client.post("/v1/webhooks/stripe", content=body, headers=headers)

    def count(self, kind: str, outcome: str) -> float:
        """How many events of a type had an outcome."""
        labels = {"provider": "stripe", "type": kind, "outcome": outcome}
        return self.registry.get_sample_value("brimful_gateway_webhooks_total", labels) or 0


@pytest.fixture
def hooks() -> Hooks:
    """Customers are accounts."""
    return Hooks()


async def test_a_subscription_becomes_traits_and_an_event(hooks: Hooks) -> None:
    """Valid records, keyed by account and person, with the event's id."""
    answer = await hooks.post(event())
    assert (answer.status_code, answer.json()) == (200, {"received": True, "outcome": "accepted"})
    traits, started = hooks.publisher.records
    assert problems_of("account-traits", traits.value) == problems_of("product-events", started.value) == []
    told = wire.decode_account_traits(traits.value)
    assert (traits.key, told.account, told.traits["mrr"], told.at_ms) == (b"acme", "acme", 60.0, AT_S * 1000)
    plain = json.loads(started.value)
    assert (started.key, plain["userId"], plain["event"]) == (b"ada", "ada", "subscription_started")
    assert (plain["messageId"], plain["context"]["groupId"]) == ("evt_1-0", "acme")
    assert hooks.count("customer.subscription.created", "accepted") == 1


async def test_nobody_known_is_the_customer(hooks: Hooks) -> None:
    """A product event needs somebody; the account counts it all the same."""
    await hooks.post(event("invoice.paid", INVOICE))
    plain = json.loads(hooks.publisher.of("product-events")[0].value)
    assert (plain["anonymousId"], plain["context"]["groupId"]) == ("stripe:cus_1", "acme")


async def test_customers_may_be_users() -> None:
    """Then everything is about the person."""
    hooks = Hooks("user")
    await hooks.post(event())
    identify, track = (json.loads(record.value) for record in hooks.publisher.of("product-events"))
    assert (identify["type"], identify["userId"], identify["traits"]["plan"]) == (
        "identify",
        "acme",
        "starter",
    )
    assert (track["userId"], "groupId" in track["context"]) == ("acme", False)
    assert hooks.publisher.of("account-traits") == []


async def test_the_same_event_gives_the_same_records(hooks: Hooks) -> None:
    """Stripe sends twice now and then; the engine drops the second by its ids."""
    await hooks.post(event())
    await hooks.post(event())
    records = hooks.publisher.records
    assert records[:2] == records[2:]


@pytest.mark.parametrize("secret", [SECRET, OLD])
async def test_each_secret_is_good_while_they_are_rolled(hooks: Hooks, secret: bytes) -> None:
    """And Stripe's header may hold a signature for each."""
    body = event()
    both = signature(body, b"whsec_other") + "," + signature(body, secret).split(",")[1]
    assert (await hooks.post(body, both)).status_code == 200


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "bad_signature"),
        ("t=1", "bad_signature"),
        ("v1=00", "bad_signature"),
        (signature(event()).replace("v1=", "v0="), "bad_signature"),
        (signature(event(), b"whsec_guess"), "bad_signature"),
        (signature(event() + b" "), "bad_signature"),
        (signature(event()).replace(f"t={AT_S}", f"t={AT_S + 1}"), "bad_signature"),
        (signature(event()).replace(f"t={AT_S}", "t=-5"), "bad_signature"),
        (signature(event()).replace(f"t={AT_S}", "t=٣"), "bad_signature"),
        (signature(event(), at_s=AT_S - 299), "stale_signature"),
        (signature(event(), at_s=AT_S + 303), "stale_signature"),
        ("t=1,v1=" + "0" * 5_000, "bad_signature"),
    ],
)
def test_what_is_not_signed_or_not_fresh_is_refused(header: str, code: str) -> None:
    """With 400; nothing of the body is read."""
    with pytest.raises(Problem) as refused:
        verify(header, event(), (SECRET, OLD), NOW_MS)
    assert (refused.value.status, refused.value.code) == (400, code)


@pytest.mark.parametrize("at_s", [AT_S - 298, AT_S + 302])
def test_five_minutes_either_way_are_fresh(at_s: int) -> None:
    """A replayed request is refused after that, and before it is dropped by its id."""
    verify(signature(event(), at_s=at_s), event(), (SECRET,), NOW_MS)


async def test_a_refused_request_changes_nothing(hooks: Hooks) -> None:
    """And its type is no label: anybody could invent some."""
    answer = await hooks.post(event("made.up"), "t=1,v1=00")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_signature")
    assert hooks.publisher.records == []
    assert hooks.count("unverified", "refused") == 1


async def test_events_of_no_use_are_answered_200(hooks: Hooks) -> None:
    """Else Stripe would send them for three days."""
    assert (await hooks.post(event("invoice.created", INVOICE))).json()["outcome"] == "ignored"
    nobody = {"id": "ch_1", "object": "charge", "metadata": {}}
    assert (await hooks.post(event("charge.refunded", nobody))).json()["outcome"] == "no_subject"
    assert hooks.publisher.records == []
    assert hooks.count("other", "ignored") == hooks.count("charge.refunded", "no_subject") == 1


@pytest.mark.parametrize(
    ("body", "reason", "kind"),
    [
        (b"not json", "unreadable", "unreadable"),
        (b"\xff", "unreadable", "unreadable"),
        (b'{"id": "evt_1"}', "invalid", "unreadable"),
        (event(thing={**SUBSCRIPTION, "items": 5}), "invalid", "customer.subscription.created"),
        (event(created=10**15), "invalid", "unreadable"),
    ],
)
async def test_what_cannot_be_read_is_put_aside_whole(
    hooks: Hooks, body: bytes, reason: str, kind: str
) -> None:
    """It was signed by Stripe: nothing of it is lost, and it is not sent for ever."""
    answer = await hooks.post(body)
    assert (answer.status_code, answer.json()["outcome"]) == (200, "dead")
    (record,) = hooks.publisher.of("dead-letters")
    letter = json.loads(record.value)
    assert problems_of("dead-letters", record.value) == []
    assert (letter["reason"], base64.b64decode(letter["payload"])) == (reason, body)
    assert hooks.count(kind, "dead") == 1


async def test_while_kafka_is_away_stripe_is_asked_to_come_again(hooks: Hooks) -> None:
    """503 with Retry-After; nothing is said to be kept."""
    hooks.publisher.fail_with = KafkaUnavailable("down", 4.2)
    answer = await hooks.post(event())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert hooks.count("customer.subscription.created", "unavailable") == 1


async def test_a_body_has_a_bound() -> None:
    """Before its signature is looked at."""
    hooks = Hooks(limits=Limits(batch_bytes=100))
    assert (await hooks.post(b"x" * 101)).status_code == 413


async def test_only_post_is_taken(hooks: Hooks) -> None:
    """A person who looks with a browser is told."""
    assert (await hooks.client.get("/v1/webhooks/stripe")).status_code == 405


def test_a_webhook_without_a_secret_is_refused() -> None:
    """Anybody could write anything."""
    for secrets in ((), (b"",)):
        with pytest.raises(Misconfigured, match="signing secret"):
            StripeWebhooks(secrets)
    assert "whsec" not in repr(StripeWebhooks((SECRET,)))
