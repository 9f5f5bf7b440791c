"""Merging traits."""

from __future__ import annotations

from typing import Any

from workers.core.consent import TRAIT

CONSENT = TRAIT
"""The one trait that is merged by its keys: withdrawing one channel's consent must not forget another's."""


def merge_traits(traits: dict[str, Any], more: dict[str, Any]) -> frozenset[str]:
    """Merge ``more`` into ``traits``; the names of those that got another value. A null removes a trait."""
    changed = set()
    for name, value in more.items():
        if name == CONSENT and isinstance(value, dict) and isinstance(traits.get(name), dict):
            value = _by_channel(traits[name], value)  # noqa: PLW2901 - the merged value stands for the sent one
        if traits.get(name) == value:
            continue
        changed.add(name)
        if value is None:
            traits.pop(name, None)
        else:
            traits[name] = value
    return frozenset(changed)


def _by_channel(before: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Channel by channel, and where both speak of topics, topic by topic."""
    merged = {**before, **more}
    for channel in before.keys() & more.keys():
        if isinstance(before[channel], dict) and isinstance(more[channel], dict):
            merged[channel] = {**before[channel], **more[channel]}
    return merged


def without_role(traits: dict[str, Any]) -> dict[str, Any]:
    """A group call's traits describe the account, except for ``role``, which is the member's."""
    return {name: value for name, value in traits.items() if name != "role"}
