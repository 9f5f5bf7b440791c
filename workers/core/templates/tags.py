"""Tags that Jinja2 does not have: ``{% fallback %}`` inside of a block, and ``{% abort 'reason' %}``.

Each is parsed to a statement that nobody can write otherwise; ``language`` makes of it what is run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jinja2 import nodes
from jinja2.ext import Extension

if TYPE_CHECKING:
    from jinja2.parser import Parser


class FallbackTag(Extension):
    """``{% block NAME %}…{% fallback %}…{% endblock %}``: what is shown where the block cannot be."""

    tags = {"fallback"}  # noqa: RUF012 - as the base class has it

    def parse(self, parser: Parser) -> nodes.Node:
        """The mark between the two parts of a block."""
        line = next(parser.stream).lineno
        return nodes.ExprStmt(nodes.ExtensionAttribute(self.identifier, "fallback"), lineno=line)

    @staticmethod
    def is_mark(node: nodes.Node) -> bool:
        """Whether ``node`` is such a mark."""
        return isinstance(node, nodes.ExprStmt) and isinstance(node.node, nodes.ExtensionAttribute)


class AbortTag(Extension):
    """``{% abort 'sold out' %}``: the block, or the message, is not shown, for this reason."""

    tags = {"abort"}  # noqa: RUF012 - as the base class has it

    def parse(self, parser: Parser) -> nodes.Node:
        """The statement, which holds the reason."""
        line = next(parser.stream).lineno
        if parser.stream.current.type != "string":
            parser.fail("abort says why, in quotes: {% abort 'sold out' %}", line)
        return nodes.ExprStmt(nodes.Const(parser.stream.expect("string").value), lineno=line)

    @staticmethod
    def reason_of(node: nodes.Node) -> str | None:
        """The reason, where ``node`` is such a statement."""
        match node:
            case nodes.ExprStmt(node=nodes.Const(value=str() as reason)):
                return reason
            case _:
                return None


TAGS: Final[tuple[type[Extension], ...]] = (FallbackTag, AbortTag)
