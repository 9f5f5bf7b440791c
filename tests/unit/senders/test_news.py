"""What a provider's answer tells of a person goes to the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from schemas import wire
from tests.unit.senders.test_logic import Scripted, Senders, message
from tests.unit.stream.kit import Rec
from workers.core.templates.compile import TemplateSource
from workers.senders.channels.base import Accepted, News, Refused, RetryAfter
from workers.senders.news import region_of
from workers.stream.batch import TP, Batch
from workers.stream.decide import apply_items
from workers.stream.view import View

if TYPE_CHECKING:
    from pathlib import Path

    from workers.senders.channels.base import DeliveryResult

TEXT = TemplateSource("limit", "sms", {"text": "Hello"})


async def told(path: Path, *results: DeliveryResult) -> dict[str, list[Any]]:
    """By topic, what is told when a text message meets these answers."""
    senders = Senders(path, Scripted([Accepted(None)]), TEXT, sms=Scripted(list(results)))
    await senders.take(message("m1", "sms", template="limit", to="+14155552671"))
    await senders.settle()
    found: dict[str, list[Any]] = {}
    for topic, value in senders.outputs:
        found.setdefault(topic, []).append(msgspec.json.decode(value))
    senders.store.abandon()
    return found


async def test_who_opted_out_at_the_provider_has_opted_out_here(tmp_path: Path) -> None:
    """And the message failed."""
    found = await told(tmp_path, Refused("twilio_21610", "hard", news=News(opted_out=True)))
    (change,) = found["scheduler"]
    assert (change["type"], change["subject"], change["channel"], change["state"]) == (
        *("consent_change", "u1", "sms", "opted_out"),
    )
    assert [one["outcome"] for one in found["deliveries"]] == ["failed"]


async def test_a_dead_number_has_bounced(tmp_path: Path) -> None:
    """So that nobody tries it again."""
    found = await told(tmp_path, Refused("number_invalid", "hard", news=News(dead=True)))
    (bounce,) = found["engagement"]
    assert (bounce["type"], bounce["person"], bounce["message_id"]) == ("bounced", "u1", "m1")


async def test_a_number_that_had_a_text_is_an_id_of_its_person(tmp_path: Path) -> None:
    """As an alias; the same one within a day is dropped as a repeat."""
    found = await told(tmp_path, Accepted("SM1", 8_000, news=News(number="+14155552671")))
    (alias,) = found["product-events"]
    assert (alias["type"], alias["previousId"], alias["userId"]) == ("alias", "sms:+14155552671", "u1")
    assert found["deliveries"][0]["cost_micros"] == 8_000
    wire.decode_product_event(msgspec.json.encode(alias))


async def test_an_answer_without_news_tells_nothing(tmp_path: Path) -> None:
    """Most of them."""
    assert set(await told(tmp_path, RetryAfter(1_000, "busy"), Accepted("SM1"))) <= {"deliveries"}


@pytest.mark.parametrize(
    ("user", "account", "region"),
    [
        ({"country": "de"}, {"country": "US"}, "DE"),
        ({}, {"country": " us "}, "US"),
        ({"country": "Germany"}, {}, None),
        ({"country": 5}, {}, None),
    ],
)
def test_the_region_is_the_persons_else_the_accounts(
    user: dict[str, Any], account: dict[str, Any], region: str | None
) -> None:
    """By a code of two letters."""
    context = wire.MessageContext(user=user, account=account, event={})
    assert region_of(message(context=context)) == region


@pytest.mark.parametrize("channel", ["sms", "push"])
async def test_erasing_is_answered_for_each_channel(tmp_path: Path, channel: str) -> None:
    """A record without a value: nothing is left, and the answer says so; else an erasure would never end."""
    senders = Senders(tmp_path, Scripted([Accepted(None)]), TEXT, sms=Scripted([RetryAfter(60_000, "busy")]))
    await senders.take(message("m1", "sms", template="limit"))
    await senders.settle()
    view, tp = View(senders.store.get), TP(f"messages.{channel}", 0)
    items, _ = senders.logic.prepare(Batch(tp, [Rec(0, None, b"u1")], 0, 1), view, senders.now_ms)
    apply_items(senders.logic, tp, items, view, senders.now_ms)
    await senders.commit(view)
    assert senders.pending() == []
    (answer,) = [wire.decode_identity(value) for topic, value in senders.outputs if topic == "identity"]
    assert isinstance(answer, wire.PersonErased)
    assert (answer.subject, answer.place) == ("u1", f"messages.{channel}")
    senders.store.abandon()
