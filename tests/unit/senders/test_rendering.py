"""What a message's template makes of its values, and how a message ends that has nothing to show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from schemas.wire import MessageContext
from tests.unit.senders.test_logic import Scripted, Senders, message
from workers.core.templates.compile import TemplateSource
from workers.core.templates.render import RenderedEmail
from workers.senders.channels.base import Accepted, Refused, RetryAfter

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


def texts(senders: Senders) -> list[tuple[str, str | None, bool, str | None]]:
    """Of each delivery the template asked for, that which left, whether its version is known, its locale."""
    told = senders.ended()
    assert all((one.rendered_template is None) is (one.template_version is None) for one in told)
    return [
        (one.template, one.rendered_template, one.template_version is not None, one.locale) for one in told
    ]


@pytest.mark.parametrize(
    ("locale", "event", "left"),
    [
        ("en", {"x": 1}, ("mail", "", "en")),
        ("de-AT", {"x": 1}, ("mail", "de", "de")),
        ("fr", {}, ("plain", "", "en")),
        ("de-AT", {}, ("plain", "de-AT", "de-AT")),
    ],
)
async def test_a_delivery_names_the_texts_that_left(
    sending: Callable[..., Senders], locale: str, event: dict[str, Any], left: tuple[str, str, str]
) -> None:
    """Of the locale's variant, or of the fallback: its template, the hash of its texts, and their locale."""
    sources = [
        mail("{{ event.x }}", fallback="plain"),
        mail("Plain", "plain"),
        replace(mail("{{ event.x }} ja"), locale="de"),
        replace(mail("Servus", "plain"), locale="de-AT"),
    ]
    versions = {(source.name, source.locale): source.version for source in sources}
    senders = sending(*sources)
    await sent(senders, user={"locale": locale}, event=event)
    (told,) = senders.ended()
    template, variant, of_text = left
    assert (told.template, told.rendered_template, told.locale) == ("mail", template, of_text)
    assert told.template_version == versions[template, variant]


async def test_a_delivery_names_the_variant_of_its_step(sending: Callable[..., Senders]) -> None:
    """As the decision does; none where the step has none."""
    senders = sending(mail("Hi"))
    await senders.take(message("m1", variant="subject_roi"), message("m2", person="u2"))
    await senders.settle()
    assert {one.message_id: one.variant for one in senders.ended()} == {"m1": "subject_roi", "m2": None}


async def test_what_never_left_had_no_texts(sending: Callable[..., Senders]) -> None:
    """Where it could not be rendered at all; where a call failed, they are those of the last call."""
    senders = sending(mail("{{ event.x }}"))
    await sent(senders)
    assert texts(senders) == [("mail", None, False, None)]
    senders = sending(mail("Hi"))
    senders.channel.results = [Refused("no such mailbox", "hard")]
    await sent(senders)
    assert texts(senders) == [("mail", "mail", True, "en")]


async def test_a_delivery_names_what_the_last_call_had(sending: Callable[..., Senders]) -> None:
    """Also where the texts were changed between two calls, and where the worker died in the last."""
    senders = sending(mail("Old"))
    senders.channel.results = [RetryAfter(1_000, "busy"), RetryAfter(1_000, "busy")]
    await sent(senders)
    new = mail("New")
    senders.begin(new)
    senders.now_ms = senders.store.next_due_ms() or 0
    await senders.fire()
    await senders.logic.close()
    senders.begin(mail("Newest"))
    await senders.settle()
    (told,) = senders.ended()
    assert (told.outcome, told.template_version) == ("unknown", new.version)


async def test_an_in_app_item_names_its_texts(sending: Callable[..., Senders]) -> None:
    """It has no call: they are those of the item in the feed."""
    banner = TemplateSource("banner", "in_app", {"form": "banner", "title": "T", "body": "B"})
    senders = sending(banner)
    await senders.take(message(channel="in_app"))
    assert texts(senders) == [("banner", "banner", True, "en")]


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
