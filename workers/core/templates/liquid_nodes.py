"""The tags of Liquid that templates may use: the library's, and ours in the place of some."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from liquid.ast import Node
from liquid.builtin import content, illegal
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.expressions.primitive import Literal
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags import (
    assign_tag,
    capture_tag,
    case_tag,
    comment_tag,
    cycle_tag,
    decrement_tag,
    echo_tag,
    for_tag,
    if_tag,
    ifchanged_tag,
    increment_tag,
    inline_comment_tag,
    liquid_tag,
    unless_tag,
)
from liquid.exceptions import LiquidSyntaxError
from liquid.tag import Tag
from liquid.token import TOKEN_EXPRESSION, TOKEN_TAG
from markupsafe import Markup, escape

from workers.core.templates.liquid_values import Context, LeftOut, Missing, is_blank, plain_text
from workers.core.templates.values import Unrenderable, escape_slack, fail_missing, show_json, show_url

if TYPE_CHECKING:
    from typing import TextIO

    from liquid import RenderContext, Token, TokenStream
    from liquid.builtin.expressions import Identifier
    from liquid.expression import Expression

MAX_REASON_CHARS: Final = 200

_REASON = re.compile(r"""\(?\s*(?:"([^"]*)"|'([^']*)')?\s*\)?""")


class Shown(OutputNode):
    """``{{ … }}``: what it gives must be there, unless the template says what is shown otherwise."""

    __slots__ = ("at_url", "label", "local", "may_be_blank", "slack")

    def __init__(self, token: Token, expression: Expression) -> None:
        super().__init__(token, expression)
        self.label = "value"
        self.local = ""
        """The name, where a local name is all that is shown."""
        self.may_be_blank = False
        self.at_url = False
        self.slack = False

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Write the text of the value, escaped where that is due."""
        assert isinstance(context, Context)
        text = self.text(self.expression.evaluate(context), context)
        return buffer.write(str(escape(text)) if context.autoescape else text)

    def text(self, value: object, context: Context) -> str:
        """The value as it is shown."""
        budget = context.budget
        may_be_blank = self.may_be_blank or self.local in context.blank_names
        text = plain_text(value, budget, self.label, may_be_blank=may_be_blank)
        if self.at_url:
            show_url(str(text), budget, self.label)
        return escape_slack(text, budget) if self.slack else text

    def json(self, context: Context) -> str:
        """The value as JSON, with its type; ``default: nil`` gives ``null``."""
        value = self.expression.evaluate(context)
        if isinstance(value, LeftOut):
            return "null"
        if isinstance(value, Missing):
            fail_missing(None, value.name)
        return show_json(value, context.budget, self.label, self.may_be_blank, self.slack)


class ShownTag(Output):
    """``{{ … }}``."""

    node_class = Shown


class EchoTag(echo_tag.EchoTag):
    """``{% echo … %}``."""

    node_class = Shown  # type: ignore[assignment]


def may_be_blank(expression: Expression) -> bool:
    """Whether a template says itself what the value of ``expression`` is, if all else is missing."""
    if isinstance(expression, FilteredExpression):
        if expression.filters:
            return expression.filters[-1].name == "default"
        return isinstance(expression.left, Literal)
    return isinstance(expression, Literal)


def local_name(expression: Expression) -> str:
    """The name, where ``expression`` is one name and nothing else; empty otherwise."""
    left = expression.left if isinstance(expression, FilteredExpression) and not expression.filters else None
    only = left.path[0] if isinstance(left, Path) and len(left.path) == 1 else ""
    return only if isinstance(only, str) else ""


class Assign(assign_tag.AssignNode):
    """A name for a value. Blank ones of the data stay what they are: not to be shown."""

    def render_to_output(self, context: RenderContext, _: TextIO) -> int:
        """Give the value its name."""
        assert isinstance(context, Context)
        value = self.expression.evaluate(context)
        own = may_be_blank(self.expression) or local_name(self.expression) in context.blank_names
        context.assign(self.name, value)
        if not own and is_blank(value):
            context.blank_names.discard(self.name)
        return 0


class AssignTag(assign_tag.AssignTag):
    """``{% assign name = … %}``."""

    node_class = Assign


class Cycle(cycle_tag.CycleNode):
    """One of several values in turn."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Write the next one. Cycles of the same values, or of the same group, are one."""
        assert isinstance(context, Context)
        group = self.group.evaluate(context) if self.group else None
        key = group if isinstance(group, (str, int)) else tuple(map(str, self.args))
        value = self.args[context.cycle(key, len(self.args)) % len(self.args)].evaluate(context)
        text = plain_text(value, context.budget, "a value of cycle")
        return buffer.write(str(escape(text)) if context.autoescape else text)


class CycleTag(cycle_tag.CycleTag):
    """``{% cycle 'odd', 'even' %}``."""

    node_class = Cycle


class Abort(Node):
    """The message is not to be sent, for this reason."""

    __slots__ = ("reason",)

    def __init__(self, token: Token, reason: str) -> None:
        super().__init__(token)
        self.blank = False
        self.reason = reason

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Stop the render."""
        del context, buffer
        raise Unrenderable("aborted", None, self.reason)


class AbortTag(Tag):
    """Braze's ``{% abort_message('reason') %}``."""

    name = "abort_message"
    block = False

    def parse(self, stream: TokenStream) -> Node:
        """The node with its reason, which the template writes out."""
        token = stream.expect(TOKEN_TAG)
        written = ""
        if stream.peek.kind == TOKEN_EXPRESSION:
            stream.next_token()
            written = stream.current.value
        found = _REASON.fullmatch(written.strip())
        if found is None:
            detail = "abort_message says why in quotes: {% abort_message('not enough points') %}"
            raise LiquidSyntaxError(detail, token=token)
        reason = (found[1] or found[2] or "").strip()[:MAX_REASON_CHARS]
        return Abort(token, reason or "abort_message")


class Capture(capture_tag.CaptureNode):
    """A name for what a block would show."""

    def _assign(self, context: RenderContext, buf: Any) -> None:
        text = buf.getvalue()
        context.assign(self.name, Markup(text) if context.autoescape else text)  # noqa: S704 - values in it are escaped


class CaptureTag(capture_tag.CaptureTag):
    """``{% capture name %}…{% endcapture %}``."""

    node_class = Capture


TAGS: Final[tuple[type[Tag], ...]] = (
    content.Literal,
    illegal.Illegal,
    ShownTag,
    EchoTag,
    AssignTag,
    CaptureTag,
    CycleTag,
    AbortTag,
    if_tag.IfTag,
    unless_tag.UnlessTag,
    case_tag.CaseTag,
    for_tag.ForTag,
    for_tag.BreakTag,
    for_tag.ContinueTag,
    comment_tag.CommentTag,
    inline_comment_tag.InlineCommentTag,
    increment_tag.IncrementTag,
    decrement_tag.DecrementTag,
    liquid_tag.LiquidTag,
    ifchanged_tag.IfChangedTag,
)
"""Every tag that there is; another one is refused with its line."""


def names_of(node: Node) -> list[Identifier]:
    """The names that ``node`` gives values to, for the rest of the template."""
    return list(node.template_scope())
