"""What looks wrong in the rules for messages, and in how journeys use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.workspace import SendStep
from schemas.workspace.steps import walk
from workers.core.lint.workspace import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from schemas.workspace import Cap, Journey, MessageSettings, Workspace
    from workers.core.lint.workspace import Location

SETTINGS: Final = "workspace"
UPSELL: Final = "upsell"


def lint_messages(workspace: Workspace) -> Iterator[Finding]:
    """Everything found: in the settings by the name ``workspace``, in journeys by theirs."""
    settings = workspace.messages
    names = {journey.journey for journey in workspace.journeys}
    tags = {tag for journey in workspace.journeys for tag in journey.tags}
    yield from _caps(settings, names, tags)
    for index, one in enumerate(settings.exclusive):
        if one.tag not in tags:
            yield _setting(("exclusive", index, "tag"), f"no journey has the tag {one.tag!r}")
    for tag in settings.transactional.tags if settings.transactional is not None else ():
        if tag not in tags:
            yield _setting(("transactional", "tags"), f"no journey has the tag {tag!r}")
    for journey in workspace.journeys:
        yield from _topics(journey, workspace.consent.topics)
        yield from _uncapped(journey, settings)
        yield from _exits(journey)


def _caps(settings: MessageSettings, names: set[str], tags: set[str]) -> Iterator[Finding]:
    for index, cap in enumerate(settings.caps):
        for name in cap.journey or ():
            if name not in names:
                known = ", ".join(sorted(names)) or "none"
                detail = f"there is no journey {name!r}; there are {known}"
                yield _setting(("caps", index, "journey"), detail, error=True)
        for tag in cap.tag or ():
            if tag not in tags:
                yield _setting(("caps", index, "tag"), f"no journey has the tag {tag!r}: this caps nothing")


def _topics(journey: Journey, topics: Mapping[str, str]) -> Iterator[Finding]:
    """A topic that nobody declared is one that nobody can refuse."""
    named: list[tuple[Location, str | None]] = [(("topic",), journey.topic)]
    named += [
        ((*location, "send", "topic"), step.send.topic)
        for location, step in walk(journey.steps, ("steps",))
        if isinstance(step, SendStep)
    ]
    for location, topic in named:
        if topic is not None and topic not in topics:
            known = ", ".join(topics) or "none"
            detail = f"there is no topic {topic!r}; consent.topics of workspace.yaml has {known}"
            yield Finding("journeys", journey.journey, "error", location, detail)


def _uncapped(journey: Journey, settings: MessageSettings) -> Iterator[Finding]:
    """Upsell without a cap is how people come to unsubscribe."""
    if UPSELL in journey.tags and not any(_may_count(cap, journey) for cap in settings.caps):
        detail = (
            "no cap limits the messages of this upsell journey: add one to messages.caps of workspace.yaml, "
            "such as {max: 3, within: 7d}"
        )
        yield Finding("journeys", journey.journey, "warning", ("tags",), detail)


def _may_count(cap: Cap, journey: Journey) -> bool:
    by_tag = cap.tag is None or bool(set(cap.tag) & set(journey.tags))
    by_name = cap.journey is None or journey.journey in cap.journey
    channels = {
        step.send.channel for _, step in walk(journey.steps, ("steps",)) if isinstance(step, SendStep)
    }
    by_channel = cap.channel is None or bool(channels & set(cap.channel))
    return by_tag and by_name and by_channel


def _exits(journey: Journey) -> Iterator[Finding]:
    if journey.subject != "account":
        return
    for location, step in walk(journey.steps, ("steps",)):
        if isinstance(step, SendStep) and step.send.on_cap == "exit" and step.send.webhook is None:
            detail = "in an account's journey one member's cap ends nothing: exit means drop here; say drop"
            yield Finding("journeys", journey.journey, "warning", (*location, "send", "on_cap"), detail)


def _setting(location: tuple[str | int, ...], detail: str, *, error: bool = False) -> Finding:
    return Finding("settings", SETTINGS, "error" if error else "warning", ("messages", *location), detail)
