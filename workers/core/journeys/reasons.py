"""Why an enrollment ended, in the words that stand in its decision."""

from __future__ import annotations

from schemas.workspace import ExitChange, ExitEvent, TraitOfAccount


def exit_reason(when: ExitEvent | ExitChange) -> str:
    """The reason of an exit by an event, or by a trait that changed."""
    if isinstance(when, ExitEvent):
        return event_reason(when.event)
    if isinstance(when.changed, TraitOfAccount):
        return account_change_reason(when.changed.account)
    return change_reason(when.changed)


def event_reason(event: str) -> str:
    """The reason of an exit by an event."""
    return f"event: {event}"


def change_reason(trait: str) -> str:
    """The reason of an exit by a trait that changed."""
    return f"changed: {trait}"


def account_change_reason(trait: str) -> str:
    """The reason of an exit by a trait of the user's account that changed."""
    return f"changed: account {trait}"


def request_reason(why: str | None) -> str:
    """The reason of an exit that somebody asked for, with what they said."""
    return f"request: {why}" if why else "request"
