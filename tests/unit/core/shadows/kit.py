"""A person, or an account, in a journey and in its shadow, and where the two went apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas.workspace import Journey, MessageSettings, Workspace
from tests.unit.core.kit import DAY, START, World, journey
from workers.core.compile import compile_workspace
from workers.core.journeys.lineage import Lines, is_shadow
from workers.core.shadows.differences import compare
from workers.core.shadows.history import Span, history

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from schemas import wire
    from workers.core.shadows.differences import Compared, Difference

SPAN = Span(START - DAY, START + 60 * DAY)


def _lines(shadow: Journey) -> Lines:
    return Lines(shadows=(shadow,), shadows_since_ms={shadow.journey: START - DAY})


def beside(
    running: Mapping[str, Any], shadow: Mapping[str, Any], *others: Mapping[str, Any], **messages: Any
) -> World:
    """A person for whom a version is in force, and another runs as its shadow."""
    models = tuple(Journey.model_validate(dict(one)) for one in (running, *others))
    workspace = Workspace(name="w", journeys=models, messages=MessageSettings.model_validate(messages))
    shadowed = Journey.model_validate(dict(shadow))
    return World(compile_workspace(workspace, _lines(shadowed)).user)


def account_beside(running: Mapping[str, Any], shadow: Mapping[str, Any]) -> World:
    """An account for which a version is in force, and another runs as its shadow."""
    workspace = Workspace(name="w", journeys=(Journey.model_validate(dict(running)),))
    shadowed = Journey.model_validate(dict(shadow))
    return World(compile_workspace(workspace, _lines(shadowed)).account, "acme")


def steps_beside(running: list[Any], shadow: list[Any], **messages: Any) -> World:
    """The same, of a journey with other steps."""
    return beside(journey(steps=running), journey(steps=shadow), **messages)


def compared(decisions: Iterable[wire.Decision], span: Span = SPAN, of: str = "upsell") -> list[Compared]:
    """What was decided, compared."""
    told = [one for one in decisions if one.journey.removesuffix("~shadow") == of]
    shadow = history([one for one in told if is_shadow(one.journey)], span, None)
    running = history([one for one in told if not is_shadow(one.journey)], span, None)
    return compare(shadow, running, span)


def differences(world: World, span: Span = SPAN) -> list[Difference]:
    """All differences over the person."""
    return [one for each in compared(world.decisions, span) for one in each.differences]


def told(world: World, span: Span = SPAN) -> list[tuple[str, str, str]]:
    """Kind, what and reason of the differences."""
    return [(one.kind, one.what, one.reason) for one in differences(world, span)]
