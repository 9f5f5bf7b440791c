"""Push before fakes of FCM and of a Web Push service, over real HTTP, with every fault that matters."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from tests.contract.test_webhook_counts import chance
from tests.support.http import Fault, Reply, http_server
from tests.support.mobile_providers import FcmServer, WebPushServer, fcm_error
from tests.support.providers import Provider, answer
from tests.unit.senders.test_lanes import pass_time
from tests.unit.senders.test_logic import NOW, Scripted, Senders, message
from workers.clock import FixedClock
from workers.core.devices import mark_of
from workers.core.templates.compile import TemplateSource
from workers.core.templates.mobile import RenderedPush
from workers.senders.channels.base import (
    Accepted,
    DeliveryResult,
    Misconfigured,
    OutgoingMessage,
    Refused,
    RetryAfter,
    Unknown,
)
from workers.senders.channels.push import Push
from workers.senders.http.client import HttpClient
from workers.senders.ledger import SENT_MARK
from workers.senders.mobile_connections import FcmSettings, PushConnection, WebPushSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LOOPBACK = (ip_network("127.0.0.0/8"),)


class Bench:
    """The channel and both of its services."""

    def __init__(self, fcm: FcmServer, web: WebPushServer, only_web: bool = False) -> None:
        self.fcm, self.web = fcm, web
        self.clock = FixedClock(NOW)
        self.client = HttpClient(LOOPBACK)
        connection = PushConnection(
            provider="push",
            fcm=None
            if only_web
            else FcmSettings(service_account=SecretStr(fcm.service_account()), api=fcm.url),
            web=WebPushSettings(private_key=SecretStr(web.private_key()), contact="mailto:ops@example.com"),
            deadline_s=0.4,
        )
        self.channel = Push(connection, self.client, self.clock)

    async def send(
        self, *devices: tuple[str, str], done: tuple[str, ...] = (), **fields: Any
    ) -> DeliveryResult:
        """Deliver a message to these devices."""
        values: dict[str, Any] = {
            "title": "Hi",
            "body": "You are at 90 %",
            "url": "/billing",
            "image": None,
            "collapse_key": None,
            "data": {"plan": "free"},
            "ttl_ms": None,
            "priority": "normal",
        }
        content = RenderedPush(**{**values, **fields}, template="limit", version="v1")
        to = json.dumps([list(one) for one in devices])
        outgoing = OutgoingMessage(id="m1", channel="push", person="u1", content=content, to=to, done=done)
        return await self.channel.deliver(outgoing)

    def browser(self, name: str = "b1") -> tuple[str, str]:
        """A browser."""
        return "web", self.web.browser(name).subscription()


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Bench]:
    """The channel before its services."""
    async with AsyncExitStack() as stack:
        fcm, web = FcmServer(), WebPushServer()
        for provider in (fcm, web):
            server = await stack.enter_async_context(http_server(provider.handle))
            provider.url = server.url
        bench = Bench(fcm, web, **options)
        stack.push_async_callback(bench.client.close)
        yield bench


PHONE, TABLET = ("android", "phone"), ("ios", "tablet")


async def test_fcm_has_what_the_template_says() -> None:
    """Texts, image, data, collapse key, time to live and priority, for both systems."""
    async with serving() as bench:
        result = await bench.send(
            PHONE,
            image="https://c.example.com/i.png",
            collapse_key="limit",
            ttl_ms=3_600_000,
            priority="high",
        )
        assert isinstance(result, Accepted)
        assert result.provider_message_id == "projects/acme/messages/1"
        (sent,) = bench.fcm.sent
        assert sent["token"] == "phone"
        assert sent["notification"] == {
            "title": "Hi",
            "body": "You are at 90 %",
            "image": "https://c.example.com/i.png",
        }
        assert sent["data"] == {"brimful_message_id": "m1", "plan": "free", "url": "/billing"}
        assert sent["android"] == {"priority": "HIGH", "collapse_key": "limit", "ttl": "3600s"}
        assert sent["apns"]["headers"] == {
            "apns-priority": "10",
            "apns-collapse-id": "limit",
            "apns-expiration": str(NOW // 1000 + 3600),
        }


async def test_a_browser_reads_what_was_encrypted_for_it() -> None:
    """RFC 8291, with the headers of RFC 8030 and a token of RFC 8292 that the service verifies."""
    async with serving() as bench:
        result = await bench.send(bench.browser(), collapse_key="limit", ttl_ms=0, priority="high")
        assert isinstance(result, Accepted)
        ((_, document, headers),) = bench.web.had
        assert document == {
            "id": "m1",
            "title": "Hi",
            "body": "You are at 90 %",
            "url": "/billing",
            "tag": "limit",
            "data": {"plan": "free"},
        }
        assert (headers["ttl"], headers["urgency"], headers["topic"]) == ("0", "high", "limit")


async def test_one_access_token_serves_many_calls_until_it_ends() -> None:
    """And one that Google takes back before is renewed once."""
    async with serving() as bench:
        await bench.send(PHONE, TABLET)
        await bench.send(PHONE)
        assert bench.fcm.issued == 1
        bench.clock.time_ms = NOW + 3_600_000
        assert isinstance(await bench.send(PHONE), Accepted)
        assert bench.fcm.issued == 2
        bench.fcm.valid.clear()
        assert isinstance(await bench.send(PHONE), Accepted)
        assert bench.fcm.issued == 3


LOGINS: list[tuple[Reply | Fault, type[Any]]] = [
    (answer(400, {"error": "invalid_grant"}), Misconfigured),
    (answer(503), RetryAfter),
    ("cut_after", RetryAfter),
]


@pytest.mark.parametrize(("fault", "kind"), LOGINS)
async def test_a_login_that_fails_sends_nothing(fault: Reply | Fault, kind: type[Any]) -> None:
    """Also where its answer is lost."""
    async with serving() as bench:
        bench.fcm.login_faults.append(fault)
        assert isinstance(await bench.send(PHONE), kind)
        assert bench.fcm.count() == 0


INVALID = ("INVALID_ARGUMENT", "INVALID_ARGUMENT")
OF_FCM: list[tuple[Reply | Fault, type[Any], str, bool]] = [
    (fcm_error(404, "NOT_FOUND", "UNREGISTERED"), Refused, "fcm_unregistered", True),
    (fcm_error(400, *INVALID, "message.token"), Refused, "fcm_invalid_argument", True),
    (fcm_error(400, *INVALID, "message.data"), Refused, "fcm_invalid_argument", False),
    (fcm_error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"), Refused, "fcm_sender_id_mismatch", False),
    (fcm_error(403, "PERMISSION_DENIED"), Misconfigured, "fcm_permission_denied", False),
    (fcm_error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), Misconfigured,
     "fcm_third_party_auth_error", False),
    (fcm_error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), RetryAfter, "fcm_quota_exceeded", False),
    (fcm_error(503, "UNAVAILABLE", "UNAVAILABLE", Retry_After="9"), RetryAfter, "http_503", False),
    (fcm_error(500, "INTERNAL", "INTERNAL"), RetryAfter, "http_500", False),
    ("cut_after", Unknown, "http_connection_lost", False),
    ("hang", Unknown, "http_timeout", False),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "kind", "reason", "gone"), OF_FCM)
async def test_what_each_answer_of_fcm_means(
    fault: Reply | Fault, kind: type[Any], reason: str, gone: bool
) -> None:
    """Of docs/channels.md, the table of answers."""
    async with serving() as bench:
        bench.fcm.faults.append(fault)
        result: Any = await bench.send(PHONE)
        assert (type(result), result.reason) == (kind, reason)
        assert result.news.gone == ((mark_of("phone"),) if gone else ())


OF_WEB: list[tuple[Reply | Fault, type[Any], str, bool]] = [
    (answer(404), Refused, "http_404", True),
    (answer(410), Refused, "http_410", True),
    (answer(413), Refused, "web_push_too_large", False),
    (answer(403), Misconfigured, "web_push_vapid", False),
    (answer(429, Retry_After="5"), RetryAfter, "http_429", False),
    (answer(502), RetryAfter, "http_502", False),
    (answer(400), Refused, "http_400", False),
    ("cut_after", Unknown, "http_connection_lost", False),
]


@pytest.mark.parametrize(("fault", "kind", "reason", "gone"), OF_WEB)
async def test_what_each_answer_of_a_push_service_means(
    fault: Reply | Fault, kind: type[Any], reason: str, gone: bool
) -> None:
    """One service's failure says nothing of the others."""
    async with serving() as bench:
        bench.web.faults.append(fault)
        device = bench.browser()
        result: Any = await bench.send(device)
        assert (type(result), result.reason) == (kind, reason)
        assert result.news.gone == ((mark_of(device[1]),) if gone else ())
        assert getattr(result, "about", "message") == "message"


@pytest.mark.parametrize(
    "token",
    [
        "not json",
        '{"endpoint": "http://169.254.169.254/latest", "keys": {"p256dh": "", "auth": ""}}',
        '{"endpoint": "https://p.example.com/x", "keys": {"p256dh": "AAAA", "auth": "AAAA"}}',
    ],
)
async def test_what_is_no_subscription_is_forgotten(token: str) -> None:
    """Anybody may send one: it is called nowhere inside the network."""
    async with serving() as bench:
        result = await bench.send(("web", token))
        assert isinstance(result, Refused)
        assert result.news.gone == (mark_of(token),)


async def test_what_is_too_large_for_a_browser_is_not_sent() -> None:
    """3,993 bytes of text encrypt to 4,096."""
    async with serving() as bench:
        assert isinstance(await bench.send(bench.browser(), body="x" * 4_000), Refused)
        assert bench.web.count() == 0
        room = 3_993 - len('{"id":"m1","title":"Hi","body":"","url":"/billing","data":{"plan":"free"}}')
        assert isinstance(await bench.send(bench.browser(), body="x" * room), Accepted)


async def test_each_device_has_a_message_once_while_others_are_tried_again() -> None:
    """The result keeps which are done with, and which are gone."""
    async with serving() as bench:
        bench.fcm.gone.add("tablet")
        bench.web.faults.append(answer(503))
        devices = (PHONE, TABLET, bench.browser())
        first = await bench.send(*devices)
        assert isinstance(first, RetryAfter)
        assert set(first.news.done) == {mark_of("phone"), mark_of("tablet"), SENT_MARK}
        assert first.news.gone == (mark_of("tablet"),)
        second = await bench.send(*devices, done=first.news.done)
        assert isinstance(second, Accepted)
        assert (bench.fcm.count(), bench.web.count()) == (1, 1)


async def test_a_message_that_one_device_has_is_sent() -> None:
    """Whatever became of the others for good."""
    async with serving() as bench:
        bench.fcm.gone.add("tablet")
        assert isinstance(await bench.send(PHONE, TABLET), Accepted)
        assert isinstance(await bench.send(TABLET), Refused)


async def test_devices_without_a_service_or_none_at_all_are_refused() -> None:
    """Nothing is waited for."""
    async with serving(only_web=True) as bench:
        assert await bench.send(PHONE) == Refused(
            "push_no_service", "soft", news=(await bench.send(PHONE)).news
        )
        assert isinstance(await bench.send(), Refused)


PUSH = TemplateSource("limit", "push", {"title": "T", "body": "{{ message.id }}"})


@pytest.mark.parametrize("seed", range(2))
async def test_the_providers_count_equals_ours(tmp_path: Path, seed: int) -> None:
    """No device has a message twice; what is sent some device has; only lost answers leave doubt."""
    random = Random(seed)  # noqa: S311 - faults, not secrets
    async with serving() as bench:
        providers: tuple[Provider, ...] = (bench.fcm, bench.web)
        for provider in providers:
            provider.chance = lambda: chance(random)
        senders = Senders(tmp_path, Scripted([Accepted(None)]), PUSH, push=bench.channel)
        names = [f"m{number}" for number in range(20)]
        to = json.dumps([PHONE, bench.browser()])
        await senders.take(
            *(
                message(name, "push", template="limit", person=f"u{number % 5}", to=to)
                for number, name in enumerate(names)
            )
        )
        await senders.settle()
        await pass_time(senders, NOW + 25 * 3_600_000)
        assert senders.pending() == []
        outcomes = {name: outcome for name, outcome, _ in senders.deliveries()}
        by_phone = Counter(sent["notification"]["body"] for sent in bench.fcm.sent)
        by_browser = bench.web.by_browser()
        assert max(by_phone.values()) == max(by_browser.values()) == 1
        has_it = set(by_phone) | {name for _, name in by_browser}
        sent = {name for name, outcome in outcomes.items() if outcome == "sent"}
        unknown = {name for name, outcome in outcomes.items() if outcome == "unknown"}
        assert sent | unknown == set(names)
        assert sent <= has_it <= sent | unknown
        senders.store.abandon()
