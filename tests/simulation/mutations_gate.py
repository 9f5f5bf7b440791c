"""Mistakes at the gate that the simulation has to find; see :mod:`tests.simulation.mutations`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.core.gate import caps, collisions, grants, send_time, verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def caps_of_people_are_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    """There is always room for one more message."""
    patch.setattr(caps, "reached", lambda *_: (None, {}))


def caps_count_one_too_few(patch: pytest.MonkeyPatch) -> None:
    """The message that was sent first within the time is not counted."""
    reached = caps.reached

    def short(plans: Any, about: Any, sent: Any, moment: Any, on_cap: Any) -> Any:
        return reached(plans, about, list(sent)[1:], moment, on_cap)

    patch.setattr(caps, "reached", short)


def accounts_grant_everything(patch: pytest.MonkeyPatch) -> None:
    """What accounts grant they do not remember."""
    answer = grants.answer

    def forgetful(plan: Any, ask: Any, row: Any, *rest: Any) -> Any:
        return answer(plan, ask, grants.Grants(), *rest)

    patch.setattr(grants, "answer", forgetful)


def quiet_hours_end_at_once(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks at quiet hours."""
    opens = send_time._open_from
    patch.setattr(send_time, "_open_from", lambda window, _quiet, at_ms, zone: opens(window, (), at_ms, zone))


def windows_are_always_open(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks at the windows of messages."""
    opens = send_time._open_from
    patch.setattr(send_time, "_open_from", lambda _window, quiet, at_ms, zone: opens((), quiet, at_ms, zone))


def nobody_competes(patch: pytest.MonkeyPatch) -> None:
    """Messages of other journeys of an exclusive tag are forgotten."""
    patch.setattr(collisions, "occupied", lambda *_: None)


def consent_is_not_asked(patch: pytest.MonkeyPatch) -> None:
    """Everybody is taken to agree."""
    patch.setattr(verdict, "allows", lambda *_: True)


def suppression_is_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    """No channel is closed to anybody."""
    patch.setattr(verdict, "suppressed_by", lambda *_: None)


MUTATIONS: dict[Callable[[pytest.MonkeyPatch], None], str] = {
    caps_of_people_are_not_looked_at: "caps_of_people_are_never_exceeded",
    caps_count_one_too_few: "caps_of_people_are_never_exceeded",
    accounts_grant_everything: "caps_of_accounts_are_never_exceeded",
    quiet_hours_end_at_once: "quiet_hours_are_never_broken",
    windows_are_always_open: "windows_are_kept",
    nobody_competes: "exclusive_tags_keep_others_away",
    consent_is_not_asked: "who_refused_is_left_alone",
    suppression_is_not_looked_at: "closed_channels_stay_closed",
}
