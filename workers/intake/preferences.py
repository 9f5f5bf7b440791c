"""``/p/{token}``: a person chooses which messages they get, by channel and topic, without a login.

GET shows the choices and changes nothing; POST says them to the engine. The signed link is the only right
that counts: there are no cookies, so a page elsewhere has nothing to abuse. The gateway does not know what
the person said before, so the page asks for what is to change, and what they leave open stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from starlette.routing import Route

from schemas import wire
from workers.core.ids import stable_id
from workers.intake.html import page, render
from workers.intake.problems import Problem, retry_after
from workers.intake.publisher import KafkaUnavailable, Record
from workers.intake.tokens import read_preferences_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from schemas.fields import Channel, ConsentState
    from workers.intake.parts import Parts
    from workers.intake.settings import Unsubscribe

PATH: Final = "/p/{token}"
SOURCE: Final = "preference page"

_TITLES: Final[dict[Channel, str]] = {
    "email": "E-mail",
    "sms": "Text messages",
    "push": "Push notifications",
    "in_app": "Messages in the app",
    "webhook": "Other messages",
}
_FORM_BYTES = 64 * 1024
_FIELDS_MAX = 1_000
_EVERYTHING: Final = "everything"
_STATES: Final[dict[str, ConsentState]] = {"yes": "opted_in", "no": "opted_out"}


@dataclass(frozen=True, slots=True)
class _Choice:
    """One question. ``name`` is that of the form's field; ``title`` is for people."""

    name: str
    title: str
    channel: Channel | None
    topic: str | None


class PreferencePages:
    """The preference page. One per gateway."""

    def __init__(self, config: Unsubscribe, parts: Parts) -> None:
        self._config = config
        self._parts = parts

    def routes(self) -> list[Route]:
        """GET shows, POST changes."""
        return [
            Route(PATH, self._show, methods=["GET"]),
            Route(PATH, self._act, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        if self._person(request) is None:
            return _unknown()
        return self._page("ask")

    async def _act(self, request: Request) -> Response:
        person = self._person(request)
        if person is None:
            return _unknown()
        said = _said(await self._parts.body(request, most_bytes=_FORM_BYTES), self._groups())
        if not said:
            return self._page("nothing", 400)
        now_ms = self._parts.clock.now_ms()
        try:
            await self._parts.publisher.publish([self._record(person, *one, now_ms) for one in said])
        except KafkaUnavailable as error:
            return self._page("later", 503, {"retry-after": retry_after(error.retry_after_s)})
        return self._page("done", said=[_line(*one) for one in said])

    def _groups(self) -> list[dict[str, Any]]:
        """What the page asks now, by channel."""
        asks = self._config.asks()
        return [_shown(channel, asks.topics) for channel in asks.channels]

    def _record(self, person: str, choice: _Choice, state: ConsentState, now_ms: int) -> Record:
        change = wire.ConsentChange(
            id=stable_id("preferences", person, choice.name, state, str(now_ms)),
            subject=person,
            channel=choice.channel,
            topic=choice.topic,
            state=state,
            source=SOURCE,
            # Said together, a topic counts before the whole: a wider refusal must not be as new as it is.
            at_ms=now_ms if choice.topic is not None else now_ms - 1,
        )
        return Record(self._parts.topics.scheduler, person.encode(), wire.encode(change))

    def _person(self, request: Request) -> str | None:
        return read_preferences_token(self._config.keys, request.path_params["token"])

    def _page(
        self, state: str, status: int = 200, headers: dict[str, str] | None = None, **more: Any
    ) -> Response:
        sender = self._config.sender_name
        return render(
            "preferences.html", status, headers, state=state, sender=sender, channels=self._groups(), **more
        )


def _said(form: bytes, groups: list[dict[str, Any]]) -> list[tuple[_Choice, ConsentState]]:
    """What a form says, in the order of the page. What it does not ask, or no more, is passed over.

    Raises:
        Problem: 400, it is no form.
    """
    try:
        fields = parse_qs(form.decode(), max_num_fields=_FIELDS_MAX)
    except ValueError:
        raise Problem(400, "malformed", "the body is not a form") from None
    if fields.get(_EVERYTHING) == ["no"]:
        return [(_Choice(_EVERYTHING, "All messages", None, None), "opted_out")]
    found = []
    for choice in (one for group in groups for one in group["choices"]):
        state = _STATES.get(fields.get(choice.name, [""])[-1])
        if state is not None:
            found.append((choice, state))
    return found


def _shown(channel: Channel, titles: Mapping[str, str]) -> dict[str, Any]:
    """A channel as the page has it: topics first, then what is about the whole channel."""
    topics = [_Choice(f"{channel}/{name}", title, channel, name) for name, title in titles.items()]
    whole = _Choice(channel, "All of these" if topics else _TITLES[channel], channel, None)
    return {
        "name": channel,
        "title": _TITLES[channel],
        "topics": bool(topics),
        "choices": [*topics, whole],
    }


def _line(choice: _Choice, state: ConsentState) -> str:
    where = f"{_TITLES[choice.channel]}: " if choice.channel and choice.topic else ""
    title = _TITLES[choice.channel] if choice.channel and not choice.topic else choice.title
    return f"{where}{title}: {'yes' if state == 'opted_in' else 'no'}"


def _unknown() -> Response:
    return page("This link is not valid", "Please use the link exactly as it stands in the e-mail.", 404)
