"""What a message's template makes of its values, and how a message ends that has nothing to show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from schemas.wire import MessageContext
from tests.unit.senders.test_logic import Scripted, Senders, message
from workers.core.templates.compile import TemplateSource
from workers.core.templates.render import RenderedEmail
from workers.senders.channels.base import Accepted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def sending(tmp_path: Path) -> Iterator[Callable[..., Senders]]:
    """Makes senders with these templates."""
    made: list[Senders] = []

    def begin(*templates: TemplateSource) -> Senders:
        senders = Senders(tmp_path / str(len(made)), Scripted([Accepted("p1", 40)]), *templates)
        made.append(senders)
        return senders

    yield begin
    for senders in made:
        senders.store.abandon()


def mail(html: str, name: str = "mail", **fields: Any) -> TemplateSource:
    """A transactional mail."""
    values = {"subject": "Hi", "html": html, "transactional": True, **fields}
    return TemplateSource(name, "email", values)


async def sent(senders: Senders, **values: Any) -> list[tuple[str, str]]:
    """Template and text of the mails that left for a message with these values."""
    context = MessageContext(**({"user": {}, "account": {}, "event": {}} | values))
    await senders.take(message(context=context))
    await senders.settle()
    contents = [call.content for call in senders.channel.calls]
    return [(one.template, one.text) for one in contents if isinstance(one, RenderedEmail)]


async def test_a_message_shows_why_it_is_sent(sending: Callable[..., Senders]) -> None:
    """The evidence comes with the message."""
    senders = sending(mail("{{ evidence.count }} times in {{ evidence.days }} days"))
    assert await sent(senders, evidence={"count": 3, "days": 14}) == [("mail", "3 times in 14 days")]


async def test_a_fallback_is_sent_in_its_place(sending: Callable[..., Senders]) -> None:
    """And the message is sent, under its own id."""
    senders = sending(mail("{{ event.x }}", fallback="plain"), mail("Plain", "plain"))
    assert await sent(senders) == [("plain", "Plain")]
    assert senders.deliveries() == [("m1", "sent", None)]


@pytest.mark.parametrize(
    ("html", "fields", "end"),
    [
        ("{{ event.x }}", {}, ("failed", "missing_variable:event.x")),
        ("{{ event.x }}", {"fallback": "skip"}, ("skipped", "missing_variable:event.x")),
        ("{% abort 'sold out' %}x", {}, ("skipped", "aborted:sold out")),
        ("{% abort 'sold out' %}x", {"fallback": "skip"}, ("skipped", "aborted:sold out")),
    ],
)
async def test_what_the_template_leaves_out_is_no_failure(
    sending: Callable[..., Senders], html: str, fields: dict[str, Any], end: tuple[str, str]
) -> None:
    """The delivery says which value is at fault, and nothing is called."""
    senders = sending(mail(html, **fields))
    assert await sent(senders) == []
    assert senders.deliveries() == [("m1", *end)]


async def test_a_person_gets_the_variant_of_their_locale(sending: Callable[..., Senders]) -> None:
    """By the traits that came with the message."""
    values = {"subject": "Hallo", "html": "{{ message.locale }}", "transactional": True}
    senders = sending(mail("en"), TemplateSource("mail", "email", values, locale="de"))
    assert await sent(senders, user={"locale": "de_AT"}) == [("mail", "de")]
