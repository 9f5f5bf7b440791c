"""What drawing functions draw from."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

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

    @property
    def aside(self) -> Random:
        """Chance that takes nothing from the other: what is drawn by it changes nothing else of the seed."""
        ahead = Random()  # noqa: S311 - the same under every seed, as all that is drawn
        ahead.setstate(self.random.getstate())
        return Random(ahead.getrandbits(64))  # noqa: S311 - likewise

    def chance(self, share: float) -> bool:
        """True in this share of all cases."""
        return self.random.random() < share
