"""Messages whose template says itself that they are not to be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.wire import MessageContext
from tests.unit.senders.test_logic import NOW, Scripted, Senders, message
from workers.core.templates.compile import TemplateSource
from workers.core.templates.render import RenderedEmail
from workers.senders.channels.base import Accepted

if TYPE_CHECKING:
    from pathlib import Path

ABORTS = "{% if customer.points < 100 %}{% abort_message('not enough points') %}{% endif %}"


def _liquid(html: str) -> TemplateSource:
    fields = {"subject": "Hi", "html": html, "language": "liquid", "transactional": True}
    return TemplateSource("mail", "email", fields)


async def test_an_aborted_message_is_skipped_with_its_reason(tmp_path: Path) -> None:
    """As with Braze: no failure, no delivery, and the reason in the record."""
    senders = Senders(tmp_path, Scripted([Accepted("p", 0)]), _liquid(f"{ABORTS}<p>You have enough</p>"))
    few, many = (MessageContext(user={"points": points}, account={}, event={}) for points in (99, 100))
    await senders.take(message("m1", context=few), message("m2", context=many))
    await senders.settle()
    assert senders.deliveries() == [("m1", "skipped", "aborted:not enough points"), ("m2", "sent", None)]
    senders.store.abandon()


async def test_now_is_when_the_message_was_asked_for(tmp_path: Path) -> None:
    """The same at every try, whenever that is."""
    senders = Senders(tmp_path, Scripted([Accepted("p", 0)]), _liquid("<p>{{ 'now' | date: '%s' }}</p>"))
    await senders.take(message(requested_at_ms=NOW - 86_400_000))
    await senders.settle()
    content = senders.channel.calls[0].content
    assert isinstance(content, RenderedEmail)
    assert content.text == str((NOW - 86_400_000) // 1_000)
    senders.store.abandon()
