"""What drawing functions draw from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from random import Random

Plain: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Things:
    """What a workspace defines besides journeys, so that they may speak of it: kinds of definitions."""

    segments: bool = False
    scores: bool = False
    objects: bool = False
    experiments: bool = False


@dataclass(frozen=True)
class Draw:
    """Chance, whose journey it is, what there is to speak of, and the journeys that this one may enroll in.

    ``others`` come later in the workspace than this one, so that journeys never enroll in a circle.
    """

    random: Random
    subject: str
    things: Things
    others: tuple[str, ...] = ()

    def chance(self, share: float) -> bool:
        """True in this share of all cases."""
        return self.random.random() < share
