"""What every channel promises, held against a fake and against real mail servers."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, ClassVar, Protocol, assert_never, get_args

import pytest

from tests.support.smtp import SmtpServer, smtp_server
from workers.clock import FixedClock
from workers.core.templates.render import RenderedEmail
from workers.senders.channels.base import (
    Accepted,
    Channel,
    DeliveryResult,
    Misconfigured,
    OnUnknown,
    OutgoingMessage,
    Refused,
    RetryAfter,
    Unknown,
)
from workers.senders.channels.email import EmailChannel
from workers.senders.channels.email_message import Sender
from workers.senders.channels.smtp_pool import SmtpSettings
from workers.senders.limits import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOW_MS = 1_773_480_000_000


class Bench(Protocol):
    """A channel under test, and what its provider has."""

    @property
    def channel(self) -> Channel:
        """The channel."""
        ...

    def received(self) -> list[str]:
        """The addresses to which the provider took a message, one entry per message."""
        ...


class FakeChannel:
    """A channel without a provider, with the same faults by address as the scripted mail server."""

    name: ClassVar[str] = "email"
    provider: ClassVar[str] = "fake"
    idempotent: ClassVar[bool] = True
    on_unknown: ClassVar[OnUnknown] = "at_least_once"
    limits = Limits()

    def __init__(self) -> None:
        self.sent: dict[str, str] = {}

    async def deliver(self, message: OutgoingMessage) -> DeliveryResult:
        """The result that the address asks for."""
        to = message.to or ""
        results: dict[str, DeliveryResult] = {
            "": Refused("no_address", "hard"),
            "nobody": Refused("fake_nobody", "hard"),
            "full": Refused("fake_full", "soft"),
            "grey": RetryAfter(1_000, "fake_grey"),
            "cut-rcpt": RetryAfter(1_000, "fake_cut"),
        }
        for fault, result in results.items():
            if to.startswith(f"{fault}-") or to == fault:
                return result
        self.sent[message.id] = to
        return Unknown("fake_cut") if to.startswith("cut-body-") else Accepted(f"fake-{message.id}", 10)

    async def close(self) -> None:
        """Nothing to close."""


class FakeBench:
    """The fake and what it took."""

    def __init__(self) -> None:
        self.channel = FakeChannel()

    def received(self) -> list[str]:
        """As the protocol says."""
        return list(self.channel.sent.values())


class SmtpBench:
    """The SMTP channel before a real server."""

    def __init__(self, server: SmtpServer) -> None:
        self.server = server
        settings = SmtpSettings(host="127.0.0.1", port=server.port, tls="none", connections=3, cost_micros=10)
        self.channel = EmailChannel(settings, Sender("plans@example.com", "Plans"), FixedClock(NOW_MS))

    def received(self) -> list[str]:
        """As the protocol says."""
        return [mail.rcpt_tos[0] for mail in self.server.script.mails]


@pytest.fixture(params=["fake", "smtp"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """Each channel in turn."""
    async with AsyncExitStack() as stack:
        made: Bench = FakeBench()
        if request.param == "smtp":
            made = SmtpBench(await stack.enter_async_context(smtp_server()))
        yield made
        await made.channel.close()


def message(to: str | None, number: int = 1) -> OutgoingMessage:
    """A message to this address."""
    content = RenderedEmail("Subject", "<p>Hi</p>", "Hi", "limit_explained", "v1")
    return OutgoingMessage(
        id=f"message-{number}",
        channel="email",
        person=f"user-{number}",
        content=content,
        to=to,
        unsubscribe_url="https://example.com/u",
    )


async def test_an_accepted_message_is_with_the_provider_once(bench: Bench) -> None:
    """Accepted means sent, with the provider's name of it and its price."""
    result = await bench.channel.deliver(message("ada@example.com"))
    assert isinstance(result, Accepted)
    assert result.provider_message_id
    assert result.cost_micros == 10
    assert bench.received() == ["ada@example.com"]


@pytest.mark.parametrize(
    ("to", "kind"),
    [
        ("nobody-1@example.com", Refused),
        ("full-1@example.com", Refused),
        ("grey-1@example.com", RetryAfter),
        ("cut-rcpt-1@example.com", RetryAfter),
        (None, Refused),
    ],
)
async def test_refused_and_retry_mean_certainly_not_sent(bench: Bench, to: str | None, kind: type) -> None:
    """Whoever sends such a message again, or gives it up, does not err."""
    result = await bench.channel.deliver(message(to))
    assert type(result) is kind
    assert bench.received() == []


async def test_a_bad_address_bounces_hard_and_a_full_mailbox_soft(bench: Bench) -> None:
    """Hard bounces close the address for good, so nothing else may count as one."""
    hard = await bench.channel.deliver(message("nobody-1@example.com"))
    soft = await bench.channel.deliver(message("full-1@example.com"))
    assert isinstance(hard, Refused)
    assert isinstance(soft, Refused)
    assert (hard.bounce, soft.bounce) == ("hard", "soft")


async def test_a_connection_that_breaks_before_the_answer_leaves_the_outcome_unknown(bench: Bench) -> None:
    """The provider may have it, and here it has: saying "not sent" would send it twice."""
    assert isinstance(await bench.channel.deliver(message("cut-body-1@example.com")), Unknown)
    assert bench.received() == ["cut-body-1@example.com"]


async def test_a_failure_does_not_stop_the_messages_after_it(bench: Bench) -> None:
    """One bad address costs one message; the channel goes on with a good connection."""
    for number, fault in enumerate(["nobody", "grey", "cut-rcpt", "cut-body", "full"]):
        await bench.channel.deliver(message(f"{fault}-1@example.com", number))
        assert isinstance(await bench.channel.deliver(message("ada@example.com", 100 + number)), Accepted)
    assert bench.received().count("ada@example.com") == 5


async def test_messages_can_be_delivered_at_the_same_time(bench: Bench) -> None:
    """More deliveries than connections wait for their turn; none is lost, none is doubled."""
    people = [f"user-{number}@example.com" for number in range(20)]
    results = await asyncio.gather(*(bench.channel.deliver(message(to, n)) for n, to in enumerate(people)))
    assert all(isinstance(result, Accepted) for result in results)
    assert sorted(bench.received()) == sorted(people)


async def test_results_never_tell_an_address(bench: Bench) -> None:
    """Reasons go to logs, metrics and topics, where no address belongs, even if the provider repeats it."""
    for fault in ("nobody", "full", "grey", "cut-body", "cut-rcpt"):
        result = await bench.channel.deliver(message(f"{fault}-secret@example.com"))
        assert "secret" not in repr(result)
    assert "secret" not in repr(message("secret@example.com"))


async def test_closing_twice_is_closing_once(bench: Bench) -> None:
    """A shutdown that is repeated does no harm."""
    await bench.channel.deliver(message("ada@example.com"))
    await bench.channel.close()
    await bench.channel.close()


def test_a_channel_states_what_its_provider_can_do() -> None:
    """Only who takes an idempotency key may be asked again after an unknown outcome."""
    for channel in (EmailChannel, FakeChannel):
        assert channel.on_unknown in get_args(OnUnknown)
        assert channel.idempotent or channel.on_unknown == "at_most_once"


def test_the_results_are_a_closed_union() -> None:
    """The callers match over all of them; a new one must be met everywhere."""

    def word(result: DeliveryResult) -> str:
        match result:
            case Accepted():
                return "sent"
            case RetryAfter() | Misconfigured():
                return "later"
            case Refused():
                return "never"
            case Unknown():
                return "unknown"
            case _:
                assert_never(result)

    assert word(Unknown("x")) == "unknown"
