"""Templates in Liquid for tests, and a person for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.core.templates.compile import TemplateSource, compile_template
from workers.core.templates.languages import LANGUAGES
from workers.core.templates.liquid_language import LiquidProgram
from workers.core.templates.render import RenderedInApp, RenderFailed, render
from workers.core.templates.values import Budget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.core.templates.parts import CompiledPart, Mode

USER: dict[str, Any] = {
    "first_name": "Ada", "plan": "free", "seats": 500.0, "share": 0.25, "paid": True, "unpaid": False,
    "tags": ["a", "b", "c"], "twice": ["a", "a", "b"], "mixed": ["B", "a", "c"], "zero": 0, "one": 1,
    "orders": [{"name": "Book", "price": 30}, {"name": "Pen", "price": 2}],
    "address": {"city": "Oslo", "zip": "0150"}, "zip code": "0150", "text_number": "12",
    "limit": 10, "offset": 20, "for": "f", "cols": "c", "with": "w", "if": "if",
    "plans": {"limit": {"continue": 7}}, "empty_text": "", "blank_text": " ", "none": None,
    "email": "ada@example.com", "phone": "+4712345678", "locale": "nb",
}  # fmt: skip

DATA: dict[str, Any] = {
    "user": USER,
    "account": {},
    "event": {"limit": 3},
    "message": {
        "id": "m1",
        "journey": "upsell",
        "template": "t",
        "variant": None,
        "at": 1_772_636_709_000,
        "person": "u1",
    },
    "unsubscribe_url": "https://example.com/u/1",
    "preferences_url": "https://example.com/p/1",
}


def part(source: str, mode: Mode = "text") -> CompiledPart:
    """One compiled text."""
    return LANGUAGES["liquid"].compile(source, mode)


def run(source: str, data: Mapping[str, Any], mode: Mode = "text", max_chars: int = 400_000) -> str:
    """The text that it gives; raises ``Unrenderable``."""
    program = part(source, mode).template
    assert isinstance(program, LiquidProgram)
    return program.run({**data, "_budget": Budget()}, max_chars)


def outcome(source: str) -> RenderedInApp | RenderFailed:
    """What becomes of an in-app message with this body."""
    fields = {"form": "banner", "title": "Title", "body": source, "language": "liquid"}
    result = render(compile_template(TemplateSource("t", "in_app", fields)), DATA)
    assert isinstance(result, (RenderedInApp, RenderFailed))
    return result


def body(source: str) -> str:
    """The body that it renders to; a failure is shown as ``reason:variable``."""
    result = outcome(source)
    return result.body if isinstance(result, RenderedInApp) else f"{result.reason}:{result.variable}"


def shown(source: str) -> RenderFailed:
    """Why it cannot be rendered, which it cannot."""
    result = outcome(source)
    assert isinstance(result, RenderFailed), result
    return result
