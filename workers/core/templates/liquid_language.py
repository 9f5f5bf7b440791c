"""Templates in Liquid, for people who bring them from Customer.io or Braze: parsed and run by python-liquid.

What could run away or show too much is ours: every loop, comparison, filter and text asks the render's budget
first (``liquid_values``, ``liquid_filters``), only the tags of ``liquid_nodes`` exist, the data is plain, and
there is no clock. Values that are missing stop the message as in our own language.

This module is imported when a template asks for it, so that the library is an extra: ``brimful[liquid]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from liquid import Environment, Mode
from liquid.exceptions import LiquidError, ResourceLimitError

from workers.core.templates.liquid_checks import Checks
from workers.core.templates.liquid_filters import filters
from workers.core.templates.liquid_nodes import TAGS, Shown
from workers.core.templates.liquid_source import line_at, readable
from workers.core.templates.liquid_values import MAX_LOOP_ITEMS, Buffer, Context, Missing
from workers.core.templates.parts import MAX_SOURCE_CHARS, BadTemplate, CompiledPart
from workers.core.templates.values import Budget, Unrenderable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from liquid import BoundTemplate

    from workers.core.templates import parts

_DEEPEST: Final = 20


class _Environment(Environment):
    """The library with our tags and filters alone. Its own limits stand behind the budget: a second fence."""

    block_nesting_limit: ClassVar[int] = _DEEPEST
    context_depth_limit: ClassVar[int] = _DEEPEST
    loop_iteration_limit: ClassVar[int | None] = 100 * MAX_LOOP_ITEMS
    shorthand_indexes = True

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Register what there is."""
        del extra
        for tag in TAGS:
            self.add_tag(tag)
        self.filters = filters(html=self.autoescape)


_TEXT: Final = _Environment(tolerance=Mode.STRICT, undefined=Missing)
_HTML: Final = _Environment(tolerance=Mode.STRICT, undefined=Missing, autoescape=True)


@dataclass(frozen=True, slots=True)
class LiquidProgram:
    """A compiled text. ``cost``: what it takes outside of loops; ``lone``: its only expression, as JSON."""

    template: BoundTemplate
    cost: int
    lone: Shown | None

    def run(self, data: Mapping[str, Any], max_chars: int) -> str:
        """The text that ``data`` gives, of at most ``max_chars``; ``data["_budget"]`` pays for it.

        Raises:
            Unrenderable: a value is missing or of the wrong kind, the budget is spent, or it aborts.
        """
        budget = data["_budget"]
        assert isinstance(budget, Budget)
        budget.spend(self.cost)
        context = Context(self.template, data=data, budget=budget)
        buffer = Buffer(budget, max_chars)
        try:
            if self.lone is not None:
                buffer.write(self.lone.json(context))
            else:
                self.template.render_with_context(context, buffer)
        except ResourceLimitError as error:
            raise Unrenderable("too_much_work", None, str(error.message)) from error
        except LiquidError as error:
            raise Unrenderable("wrong_type", None, str(error.message)) from error
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
            detail = f"the data does not fit the template ({type(error).__name__})"
            raise Unrenderable("wrong_type", None, detail) from error
        return buffer.getvalue()


def compile_liquid(source: str, mode: parts.Mode) -> CompiledPart:
    """Compile one text. In ``html``, values are escaped, and refused where that does not make them safe.

    Raises:
        BadTemplate: with the line, what is wrong and what to do.
    """
    if len(source) > MAX_SOURCE_CHARS:
        raise BadTemplate(1, f"the text has {len(source)} characters; {MAX_SOURCE_CHARS} are allowed")
    text = readable(source)
    environment = _HTML if mode == "html" else _TEXT
    try:
        template = environment.from_string(text)
        checks = Checks(text, mode, environment.filters)
        cost = checks.template(template.nodes)
    except LiquidError as error:
        raise BadTemplate(_line(error, text), _detail(error, text)) from error
    nodes = template.nodes
    lone = nodes[0] if mode in ("json", "slack") and len(nodes) == 1 else None
    only = lone if isinstance(lone, Shown) else None
    program = LiquidProgram(template, cost, only)
    return CompiledPart(program, tuple(checks.variables), only is not None)


def _line(error: LiquidError, text: str) -> int:
    at = error.token.start_index if error.token is not None else -1
    return line_at(text, at if at >= 0 else len(text))


def _detail(error: LiquidError, text: str) -> str:
    if isinstance(error.__cause__, RecursionError):
        return "the text is nested too deep"
    detail = str(error.message)
    at = error.token.start_index if error.token is not None else -1
    curly = at >= 0 and any(one in text[at : at + 2] for one in "\u2018\u2019\u201c\u201d")
    return f"{detail}: write straight quotes" if curly else detail
