"""The texts of templates as a workspace holds them: ``{channel, fields}``, with the variants of locales."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def texts_in(value: Any) -> Iterator[str]:
    """Every text inside of a template, those of documents, steps and variants included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from texts_in(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from texts_in(one)
