"""Goes through a parsed Liquid template: names, filters and html are checked, and costs are put in.

What the library would do without a limit (comparisons, loops, ranges) is replaced by what asks the budget,
and names of Customer.io and Braze by ours. What a template reads comes out as for our own language, for the
linter.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import (
    BooleanExpression,
    FilteredExpression,
    LoopExpression,
    Path,
)
from liquid.builtin.expressions.logical import (
    ContainsExpression,
    EqExpression,
    GeExpression,
    GtExpression,
    LeExpression,
    LogicalAndExpression,
    LogicalOrExpression,
    LtExpression,
    NeExpression,
)
from liquid.builtin.expressions.primitive import Blank, Empty, Literal, Nil, RangeLiteral
from liquid.builtin.tags.capture_tag import CaptureNode
from liquid.builtin.tags.case_tag import CaseNode, MultiExpressionBlockNode
from liquid.builtin.tags.for_tag import ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.unless_tag import UnlessNode

from workers.core.templates.html import HtmlPosition, UnsafeHtml
from workers.core.templates.liquid_filters import NAMES, fits
from workers.core.templates.liquid_names import FILTERS_INSTEAD, Unmapped, our_path
from workers.core.templates.liquid_nodes import Cycle, Shown, local_name, may_be_blank, names_of
from workers.core.templates.liquid_values import STEP, AnyOf, Comparison, Loop, Range
from workers.core.templates.parts import (
    MAX_DEPTH,
    MAX_LOOP_DEPTH,
    MAX_NODES,
    ROOTS,
    BadTemplate,
    Mode,
    Variable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from liquid.ast import BlockNode, ConditionalBlockNode, Node
    from liquid.expression import Expression
    from liquid.token import Token

_SIGNS: Final[Mapping[type[Expression], str]] = {
    EqExpression: "==",
    NeExpression: "!=",
    LtExpression: "<",
    LeExpression: "<=",
    GtExpression: ">",
    GeExpression: ">=",
    ContainsExpression: "contains",
}
_OF_LISTS: Final = ("size", "first", "last")
_NONE: Final = frozenset[str]()


class Checks:
    """The state of one walk. ``variables`` are what the template reads."""

    def __init__(self, source: str, mode: Mode, filters: Mapping[str, Callable[..., Any]]) -> None:
        self.breaks = [at for at, one in enumerate(source) if one == "\n"]
        self.slack = mode == "slack"
        self.filters = filters
        self.position = HtmlPosition() if mode == "html" else None
        self.variables: list[Variable] = []
        self.locals: set[str] = set()
        self.loop_names: list[frozenset[str]] = []
        self.guards: list[frozenset[str]] = []
        self.seen = 0

    def template(self, nodes: Sequence[Node]) -> int:
        """Check all; gives the units that a render takes outside of its loops.

        Raises:
            BadTemplate: with the line of what is wrong.
        """
        self._collect(nodes)
        self._nodes(nodes)
        return self.seen * STEP

    def _collect(self, nodes: Iterable[Node]) -> None:
        """The names that the template gives values to, wherever it does."""
        for node in nodes:
            for name in names_of(node):
                if name in ROOTS or name == "forloop" or name.startswith("_"):
                    raise self._bad(node.token, f"{str(name)!r} cannot be set; choose another name")
                self.locals.add(str(name))
            self._collect(_below(node))

    def _bad(self, token: Token, detail: str) -> BadTemplate:
        return BadTemplate(self._line(token), detail)

    def _line(self, token: Token) -> int:
        return bisect_left(self.breaks, token.start_index) + 1

    # Statements

    def _nodes(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            self._count(node.token)
            self._node(node)

    def _count(self, token: Token) -> None:
        self.seen += 1
        if self.seen > MAX_NODES:
            raise self._bad(token, f"the text has more than {MAX_NODES} expressions; split the message")

    def _node(self, node: Node) -> None:
        for kind, check in _STATEMENTS:
            if isinstance(node, kind):
                check(self, node)
                return
        for expression in node.expressions():
            self._expression(expression, covered=False)
        self._nodes(_below(node))

    def content(self, node: ContentNode) -> None:
        """A text of the template itself."""
        self._advance(node.token, node.text)

    def capture(self, node: CaptureNode) -> None:
        """What is captured is a piece of html of its own."""
        outside, self.position = self.position, HtmlPosition() if self.position else None
        self._nodes(node.block.nodes)
        self.position = outside

    def cycle(self, node: Cycle) -> None:
        """Values that are shown in turn."""
        for value in (*([node.group] if node.group else []), *node.args):
            self._expression(value, covered=False)
        self._advance(node.token, None)

    def shown(self, node: Shown) -> None:
        """An expression that is put out."""
        node.label = _label(node.expression, "value")
        self._expression(node.expression, covered=False)
        node.label = _label(node.expression, "value")
        name = local_name(node.expression)
        node.local = name if name in self.locals else ""
        node.may_be_blank = may_be_blank(node.expression)
        node.at_url = self.position is not None and self.position.at_url_start
        node.slack = self.slack
        self._advance(node.token, None)

    def _advance(self, token: Token, text: str | None) -> None:
        if self.position is None:
            return
        try:
            self.position.feed(text) if text is not None else self.position.feed_expression()
        except UnsafeHtml as error:
            raise self._bad(token, str(error)) from error

    def branches(self, node: IfNode | UnlessNode) -> None:
        """Each branch starts at the same place of the html."""
        start = self.position.copy() if self.position else None
        otherwise = _NONE
        first = (node.condition, node.consequence, isinstance(node, IfNode))
        default = node.default
        for condition, block, wanted in (first, *_arms(node.alternatives)):
            self._condition(condition, 0)
            self.position = start.copy() if start else None
            self._guarded(block, otherwise | _present(condition, holds=wanted))
            otherwise |= _present(condition, holds=not wanted)
        if default is not None:
            self.position = start.copy() if start else None
            self._guarded(default, otherwise)

    def _guarded(self, block: BlockNode, names: frozenset[str]) -> None:
        self.guards.append(names)
        self._nodes(block.nodes)
        self.guards.pop()

    def case(self, node: CaseNode) -> None:
        """One value and those that it may have."""
        self._expression(node.expression, covered=True)
        start = self.position.copy() if self.position else None
        for block in node.blocks:
            self.position = start.copy() if start else None
            if isinstance(block, MultiExpressionBlockNode):
                values = block.expression.expressions
                for value in values:
                    self._count(value.token)
                    self._expression(value, covered=True)
                block.expression = AnyOf(block.token, node.expression, values)  # type: ignore[assignment]
                self._guarded(block.block, frozenset({_label(node.expression, "")}))
            else:
                self._nodes(block.nodes)

    def loop(self, node: ForNode) -> None:
        """A loop: the work of a turn is put in."""
        if len(self.loop_names) == MAX_LOOP_DEPTH:
            raise self._bad(node.token, f"loops are nested deeper than {MAX_LOOP_DEPTH}")
        loop = node.expression
        self._expression(loop, covered=node.default is not None)
        if loop.identifier in ROOTS:
            raise self._bad(node.token, f"{str(loop.identifier)!r} cannot be set; choose another name")
        before = self.seen
        self.loop_names.append(frozenset({str(loop.identifier), "forloop"}))
        self._nodes(node.block.nodes)
        self.loop_names.pop()
        node.expression = Loop(loop, (1 + self.seen - before) * STEP, has_else=node.default is not None)
        if node.default is not None:
            self._nodes(node.default.nodes)

    # Expressions

    def _expression(self, expression: Expression, *, covered: bool) -> None:
        """Check a value and all that it is made of. ``covered``: it may be missing here."""
        match expression:
            case FilteredExpression():
                self._filtered(expression, covered=covered)
            case Path():
                self._path(expression, covered=covered, depth=0)
            case BooleanExpression():
                self._condition(expression, 0)
            case LoopExpression():
                if isinstance(expression.iterable, RangeLiteral):
                    expression.iterable = self._range(expression.iterable)
                self._expression(expression.iterable, covered=covered)
                for option in (expression.limit, expression.offset):
                    if option is not None:
                        self._expression(option, covered=False)
            case Range():
                self._expression(expression.start, covered=False)
                self._expression(expression.stop, covered=False)
            case Literal() | Nil() | Empty() | Blank():
                pass
            case _:
                raise self._bad(expression.token, "a range stands in `for` or in `assign`")

    def _range(self, found: RangeLiteral) -> Range:
        return Range(found.token, found.start, found.stop)

    def _filtered(self, expression: FilteredExpression, *, covered: bool) -> None:
        filters = expression.filters or []
        if isinstance(expression.left, RangeLiteral):
            expression.left = self._range(expression.left)
        defaults = [at for at, one in enumerate(filters) if one.name == "default"]
        self._expression(expression.left, covered=covered or bool(defaults))
        for at, one in enumerate(filters):
            self._count(one.token)
            self._filter(one)
            later = any(place > at for place in defaults)
            for argument in one.args:
                self._expression(argument.value, covered=one.name == "default" and (covered or later))

    def _filter(self, found: Any) -> None:
        function = self.filters.get(found.name)
        if function is None:
            instead = FILTERS_INSTEAD.get(found.name, f"there are {', '.join(sorted(NAMES))}")
            raise self._bad(found.token, f"unknown filter {found.name!r}: {instead}")
        named = {argument.name: None for argument in found.args if hasattr(argument, "name")}
        listed = [None for argument in found.args if not hasattr(argument, "name")]
        try:
            fits(function, listed, named)
        except TypeError as error:
            raise self._bad(found.token, f"filter {found.name}: {error}") from error

    def _condition(self, condition: Expression, depth: int) -> Expression:
        """A test of truth; missing values are nothing here, so they need no default."""
        self._count(condition.token)
        if depth > MAX_DEPTH:
            raise self._bad(condition.token, f"more than {MAX_DEPTH} conditions are joined")
        match condition:
            case BooleanExpression():
                condition.expression = self._condition(condition.expression, depth)
            case LogicalAndExpression() | LogicalOrExpression():
                condition.left = self._condition(condition.left, depth + 1)
                condition.right = self._condition(condition.right, depth + 1)
            case _ if (sign := _SIGNS.get(type(condition))) is not None:
                left, right = condition.left, condition.right  # type: ignore[attr-defined]
                for side in (left, right):
                    if type(side) in _SIGNS:
                        raise self._bad(side.token, "compare two values at a time and join them with `and`")
                    self._expression(side, covered=True)
                return Comparison(condition.token, left, sign, right)
            case _:
                self._expression(condition, covered=True)
        return condition

    def _path(self, path: Path, *, covered: bool, depth: int) -> None:
        if depth > MAX_LOOP_DEPTH:
            raise self._bad(path.token, "keys are read within keys too deep")
        self._count(path.token)
        for segment in path.path:
            if isinstance(segment, Path):
                self._path(segment, covered=False, depth=depth + 1)
        root = path.path[0]
        if isinstance(root, str) and (root in self.locals or any(root in names for names in self.loop_names)):
            return
        try:
            path.path = our_path(path.path)  # type: ignore[arg-type, assignment]
        except Unmapped as error:
            raise self._bad(path.token, str(error)) from error
        if path.path[0] not in ROOTS:
            known = f"customer, {', '.join(ROOTS)}"
            raise self._bad(path.token, f"unknown variable {str(path.path[0])!r}; there are {known}")
        name = _label(path, "")
        guarded = any(name in names for names in self.guards)
        self.variables.append(Variable(name, self._line(path.token), covered or guarded))


_STATEMENTS: Final[tuple[tuple[type[Any] | tuple[type[Any], ...], Callable[[Checks, Any], None]], ...]] = (
    (ContentNode, Checks.content),
    (Shown, Checks.shown),
    ((IfNode, UnlessNode), Checks.branches),
    (CaseNode, Checks.case),
    (ForNode, Checks.loop),
    (CaptureNode, Checks.capture),
    (Cycle, Checks.cycle),
)
"""What is checked in a way of its own; of other statements, their values and what is inside of them."""


def _below(node: Node) -> Iterable[Node]:
    """The nodes inside of a node; the library asks for a context, which none of these tags looks at."""
    return node.children(None)  # type: ignore[arg-type]


def _arms(alternatives: Iterable[ConditionalBlockNode]) -> list[tuple[Expression, BlockNode, bool]]:
    return [(one.expression, one.block, True) for one in alternatives]


def _label(expression: Expression, otherwise: str) -> str:
    """The dotted name of the value that an expression starts from."""
    if isinstance(expression, FilteredExpression):
        return _label(expression.left, otherwise)
    if not isinstance(expression, Path):
        return otherwise
    parts = [str(one) if isinstance(one, (str, int)) else "[…]" for one in expression.path]
    name = ".".join(parts[:-1] if len(parts) > 2 and parts[-1] in _OF_LISTS else parts)  # noqa: PLR2004 - root.key.size
    return name.replace(".[…]", "[…]")


def _is_nothing(expression: Expression) -> bool:
    empty = isinstance(expression, Literal) and expression.value == ""
    return empty or isinstance(expression, (Nil, Empty, Blank))


def _present(condition: Expression, *, holds: bool) -> frozenset[str]:
    """The variables that are there wherever ``condition`` holds, or does not."""
    match condition:
        case BooleanExpression():
            return _present(condition.expression, holds=holds)
        case LogicalAndExpression() if holds:
            return _present(condition.left, holds=True) | _present(condition.right, holds=True)
        case LogicalOrExpression() if not holds:
            return _present(condition.left, holds=False) | _present(condition.right, holds=False)
        case Path() if holds:
            return frozenset({_label(condition, "")})
        case Comparison():
            nothing = _is_nothing(condition.right)
            asks = {"==": (holds and not nothing) or (nothing and not holds), "!=": nothing and holds}
            there = asks.get(condition.sign, holds)
            return frozenset({_label(condition.left, "")}) if there else _NONE
        case _:
            return _NONE
