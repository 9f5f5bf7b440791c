"""What a template may be replaced by: its variants by locale, and a fallback where it cannot be rendered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from workers.core.templates.locales import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_FALLBACKS: Final = 3
"""Templates tried after the first: each is rendered with a budget of its own."""

SKIP: Final = "skip"
"""``fallback: skip``: the message is left out without being a failure."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Of one template: the variants for other locales than its own, and what comes where it fails.

    ``skips``: where it cannot be rendered, the message is skipped; ``fallback`` is a template of the same
    channel. ``locale`` is that of the texts.
    """

    locale: str = DEFAULT
    variants: Mapping[str, Any] = field(default_factory=dict)
    fallback: Any = None
    skips: bool = False


PLAIN: Final = Choices()
"""Of a template without any."""

Named = TypeVar("Named")


def fallback_problems(wanted: Mapping[str, str], ways: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """What is wrong with fallbacks: the template, and the detail.

    ``wanted`` are the names of fallbacks by that of the template; ``ways`` say how each template leaves: a
    fallback leaves the same way, since the message is on it already.
    """
    for name, target in wanted.items():
        if target not in ways:
            same = (other for other, way in ways.items() if way == ways[name] and other != name)
            known = ", ".join(sorted(same))
            yield name, f"there is no template {target!r}; say {SKIP}, or one of {known or 'none'}"
        elif ways[target] != ways[name]:
            yield name, f"the template {target!r} is for another channel or connection"
        else:
            way = [name]
            while target in wanted and target not in way and len(way) <= MAX_FALLBACKS:
                way.append(target)
                target = wanted[target]  # noqa: PLW2901  one link further
            if target in way:
                yield name, f"fallbacks go round: {' > '.join((*way, target))}"
            elif len(way) > MAX_FALLBACKS:
                yield name, f"more than {MAX_FALLBACKS} fallbacks in a row: {' > '.join(way)}"


def fallbacks_first(wanted: Mapping[str, str], names: Mapping[str, Named]) -> list[str]:
    """The names in an order in which each comes after its fallback; ``wanted`` has no circle."""
    ordered: dict[str, None] = {}
    for name in names:
        way = [name]
        while way[-1] in wanted:
            way.append(wanted[way[-1]])
        ordered |= dict.fromkeys(reversed(way))
    return list(ordered)
