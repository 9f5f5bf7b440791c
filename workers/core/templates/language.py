"""The language of templates: Jinja2 cut down to what is bounded, compiled to metered operations.

A template is parsed by Jinja2, then rebuilt node by node by an allow-list: what this module does not name
(calls, macros, imports, slices, powers, ``recursive`` loops, dunder names) is refused with its line before
anything runs, and every operation that stays becomes a call of ``template_values`` or ``template_filters``
with the render's budget. The sandboxed environment is a second fence behind the first, never the only one.

Why not a process with limits for each render: it costs a round trip and a copy of the data per message
(the in-process render takes some 20 us), kills the other renders it holds when one misbehaves, and turns
"line 3 of limit_explained does too much" into "a process died". The allow-list leaves nothing that
allocates or loops without asking the budget first, which the tests show with every known bomb.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from jinja2 import TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from workers.core.templates import values
from workers.core.templates.filters import FILTERS, TESTS
from workers.core.templates.html import HtmlPosition, UnsafeHtml
from workers.core.templates.parts import (
    MAX_BLOCK_DEPTH,
    MAX_LOOP_DEPTH,
    MAX_SOURCE_CHARS,
    ROOTS,
    BadTemplate,
    CompiledPart,
    Mode,
    PlainText,
    Variable,
)
from workers.core.templates.tags import TAGS, AbortTag, FallbackTag
from workers.core.templates.trees import check_size, is_lone, walk, weight_of, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jinja2 import Template

    from workers.core.templates.parts import Program

_BUDGET = "_budget"
_NEEDS_ELSE: Final = "`a if b` needs an `else`, to say what is shown otherwise"
_LOOP_FACTS = frozenset({"index", "index0", "first", "last", "length", "revindex", "revindex0"})
_OPERATIONS: Final[dict[str, Callable[..., Any]]] = {
    "_read": values.read,
    "_show": values.show,
    "_show_or_blank": values.show_or_blank,
    "_show_url": values.show_url,
    "_show_json": values.show_json,
    "_escape_slack": values.escape_slack,
    "_steps": values.steps,
    "_compare": values.compare,
    "_calculate": values.calculate,
    "_concat": values.concat,
    "_attempt": values.attempt,
    "_abort": values.abort,
}


def _environment(mode: Mode) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        autoescape=mode == "html", undefined=values.Missing, optimized=False, cache_size=0,
        extensions=TAGS,
    )  # fmt: skip
    environment.globals.clear()
    environment.filters = {**FILTERS, **_OPERATIONS}
    environment.tests = dict(TESTS)
    return environment


_TEXT, _HTML = _environment("text"), _environment("html")
_ENVIRONMENTS: Final = {"text": _TEXT, "html": _HTML, "json": _TEXT, "slack": _TEXT}


def compile_part(source: str, mode: Mode) -> CompiledPart:
    """Compile one text. In ``html``, values are escaped, and refused where escaping cannot make them safe.

    Raises:
        BadTemplate: with the line, what is wrong and what is allowed.
    """
    if len(source) > MAX_SOURCE_CHARS:
        raise BadTemplate(1, f"the text has {len(source)} characters; {MAX_SOURCE_CHARS} are allowed")
    environment = _ENVIRONMENTS[mode]
    try:
        _refuse_raw(environment, source)
        tree = environment.parse(source)
        check_size(tree)
        rewriter = _Rewriter(environment, mode, lone=mode in ("json", "slack") and is_lone(tree))
        tree.body = rewriter.statements(tree.body)
        tree.set_environment(environment)
        template: Template | Program | None = _plain_text(tree)
        if template is None:
            template = environment.template_class.from_code(environment, environment.compile(tree), {})
    except TemplateSyntaxError as error:
        raise BadTemplate(error.lineno, error.message or "this is not readable") from error
    except (RecursionError, MemoryError, SyntaxError, ValueError) as error:
        if isinstance(error, BadTemplate):
            raise
        raise BadTemplate(1, f"the text cannot be compiled: {error}") from error
    return CompiledPart(template, tuple(rewriter.variables), rewriter.lone)


def _plain_text(tree: nodes.Template) -> PlainText | None:
    """A text that has no expressions and no statements; None of any other."""
    shown = [child for node in tree.body if isinstance(node, nodes.Output) for child in node.nodes]
    texts = [child.data for child in shown if isinstance(child, nodes.TemplateData)]
    is_plain = len(texts) == len(shown) and all(isinstance(node, nodes.Output) for node in tree.body)
    return PlainText("".join(texts)) if is_plain else None


def lex(source: str) -> Iterator[tuple[int, str, str]]:
    """The tokens of a text as Jinja2 reads it: line, kind, value. Raises ``TemplateSyntaxError``."""
    return _ENVIRONMENTS["html"].lex(source)


def _refuse_raw(environment: ImmutableSandboxedEnvironment, source: str) -> None:
    for line, kind, _ in environment.lex(source):
        if kind == "raw_begin":
            raise BadTemplate(line, "{% raw %} is not available; write {{ '{{' }} for two braces")


class _Rewriter:
    """Rebuilds a parsed template from the nodes that are allowed. Used once per text."""

    def __init__(self, environment: ImmutableSandboxedEnvironment, mode: Mode, *, lone: bool) -> None:
        self.environment = environment
        self.slack = mode == "slack"
        self.lone = lone
        self.position = HtmlPosition() if mode == "html" else None
        self.variables: list[Variable] = []
        self.locals: list[set[str]] = [set()]
        self.loops = 0
        self.blocks: list[str] = []
        self.covered = False
        self.guards: list[frozenset[str]] = [frozenset()]

    # Statements

    def statements(self, body: Sequence[nodes.Node]) -> list[nodes.Node]:
        return [self.statement(node) for node in body]

    def statement(self, node: nodes.Node) -> nodes.Node:  # noqa: PLR0911  one per kind
        match node:
            case nodes.Output():
                shown = [self.output(child) for child in node.nodes]
                return nodes.Output([child for child in shown if child is not None], lineno=node.lineno)
            case nodes.If():
                return self.branches(node)
            case nodes.For():
                return self.loop(node)
            case nodes.Assign(target=nodes.Name() as target):
                value = self.expression(node.node)
                self.locals[-1].add(self.check_name(target))
                return nodes.Assign(target, value, lineno=node.lineno)
            case nodes.With():
                return self.named(node)
            case nodes.Block():
                return self.attempted(node)
            case nodes.ExprStmt() if (reason := AbortTag.reason_of(node)) is not None:
                stop = self.call("_abort", node, nodes.Const(reason))
                return nodes.Output([stop], lineno=node.lineno)
            case nodes.ExprStmt():
                raise BadTemplate(node.lineno, "{% fallback %} stands directly inside of a {% block %}, once")
            case _:
                raise BadTemplate(
                    node.lineno, f"{words(node)} is not available; use if, for, set, with, block and comments"
                )

    def named(self, node: nodes.With) -> nodes.With:
        """Names for values, known until ``endwith``."""
        given = [self.expression(value) for value in node.values]
        names = [self.target_name(target) for target in node.targets]
        return nodes.With(node.targets, given, self.block(node.body, names), lineno=node.lineno)

    def attempted(self, node: nodes.Block) -> nodes.Scope:
        """A block and what is shown where it cannot be: as two functions, of which the first is tried.

        What it reads is covered by its fallback, whose own values are not.
        """
        marks = [at for at, inner in enumerate(node.body) if FallbackTag.is_mark(inner)]
        if not marks:
            detail = "a block says what is shown where a value is missing: {% fallback %}, which may be empty"
            raise BadTemplate(node.lineno, detail)
        if len(self.blocks) == MAX_BLOCK_DEPTH:
            raise BadTemplate(node.lineno, f"blocks are nested deeper than {MAX_BLOCK_DEPTH}")
        start = self.position.copy() if self.position else None
        self.blocks.append(node.name)
        shown = self.block(node.body[: marks[0]])
        self.blocks.pop()
        self.restart(start)
        otherwise = self.block(node.body[marks[0] + 1 :])
        names = [f"_{part}_{len(self.variables)}_{node.lineno}" for part in ("shown", "otherwise")]
        parts = [
            nodes.Macro(name, [], [], body, lineno=node.lineno)
            for name, body in zip(names, (shown, otherwise), strict=True)
        ]
        tried = self.call("_attempt", node, nodes.Name(names[0], "load"), nodes.Name(names[1], "load"))
        return nodes.Scope([*parts, nodes.Output([tried])], lineno=node.lineno)

    def branches(self, node: nodes.If) -> nodes.If:
        """Each branch starts at the same position of the html, and with the same local names."""
        test = self.condition(node.test)
        start = self.position.copy() if self.position else None
        self.guards.append(self.guarded_by(node.test))
        body = self.block(node.body)
        self.guards.pop()
        elifs = []
        for branch in node.elif_:
            self.restart(start)
            elifs.append(self.branches(branch))
        if node.else_:
            self.restart(start)
        otherwise = self.block(node.else_)
        return nodes.If(test, body, elifs, otherwise, lineno=node.lineno)

    def restart(self, start: HtmlPosition | None) -> None:
        self.position = start.copy() if start else None

    def block(self, body: Sequence[nodes.Node], names: Sequence[str] = ()) -> list[nodes.Node]:
        """A body with its own local names: what is set inside is not known outside."""
        self.locals.append(set(names))
        result = self.statements(body)
        self.locals.pop()
        return result

    def loop(self, node: nodes.For) -> nodes.For:
        if node.recursive:
            raise BadTemplate(node.lineno, "a loop cannot be recursive")
        if self.loops == MAX_LOOP_DEPTH:
            raise BadTemplate(node.lineno, f"loops are nested deeper than {MAX_LOOP_DEPTH}")
        items = self.expression(node.iter)
        targets = node.target.items if isinstance(node.target, nodes.Tuple) else [node.target]
        names = [self.target_name(target) for target in targets]
        weight = 4 + sum(weight_of(one) for part in (*node.body, node.test) if part for one in walk(part))
        self.loops += 1
        self.locals.append(set(names))
        test = self.condition(node.test) if node.test else None
        self.locals.pop()
        body = self.block(node.body, [*names, "loop"])
        self.loops -= 1
        otherwise = self.block(node.else_)
        items = self.call("_steps", node, items, nodes.Const(weight))
        return nodes.For(node.target, items, body, otherwise, test, False, lineno=node.lineno)

    def target_name(self, target: nodes.Node) -> str:
        if not isinstance(target, nodes.Name):
            raise BadTemplate(target.lineno, "a loop's variables are names")
        return self.check_name(target)

    def check_name(self, target: nodes.Name) -> str:
        if target.name in ROOTS or target.name.startswith("_") or target.name == "loop":
            raise BadTemplate(target.lineno, f"{target.name!r} cannot be set; choose another name")
        return target.name

    # What is shown

    def output(self, node: nodes.Expr) -> nodes.Expr | None:
        if isinstance(node, nodes.TemplateData):
            self.advance(node, node.data)
            return node
        shown = self.shown(node)
        self.advance(node, None)
        return shown

    def advance(self, node: nodes.Node, text: str | None) -> None:
        if self.position is None:
            return
        try:
            self.position.feed(text) if text is not None else self.position.feed_expression()
        except UnsafeHtml as error:
            raise BadTemplate(node.lineno, str(error)) from error

    def shown(self, node: nodes.Expr) -> nodes.Expr:
        """An expression that is put out: what it gives must be there, unless the template says otherwise."""
        may_be_blank = isinstance(node, nodes.Filter) and node.name == "default"
        if self.lone:
            options = (nodes.Const(self.label(node)), nodes.Const(may_be_blank), nodes.Const(self.slack))
            return self.call("_show_json", node, self.expression(node), *options)
        match node:
            case nodes.CondExpr(expr2=nodes.Expr() as otherwise):
                return self.choice(node, self.shown, otherwise)
            case nodes.CondExpr():
                raise BadTemplate(node.lineno, _NEEDS_ELSE)
            case nodes.Const(value=str() as text):
                return nodes.Const(text, lineno=node.lineno)
            case nodes.Const(value=None):
                raise BadTemplate(node.lineno, "none cannot be shown")
        in_url = self.position is not None and self.position.at_url_start
        how = "_show_url" if in_url else "_show_or_blank" if may_be_blank else "_show"
        shown = self.call(how, node, self.expression(node), nodes.Const(self.label(node)))
        return self.call("_escape_slack", node, shown) if self.slack else shown

    # Expressions

    def expression(self, node: nodes.Node) -> nodes.Expr:
        """``node`` rebuilt, whatever it is; one that is not allowed is refused."""
        for kinds, rebuild in _EXPRESSIONS:
            if isinstance(node, kinds):
                return rebuild(self, node)
        if isinstance(node, nodes.Call):
            raise BadTemplate(
                node.lineno, "nothing can be called here; use a filter, such as `value | default('x')`"
            )
        raise BadTemplate(node.lineno, f"{words(node)} is not available in an expression")

    def constant(self, node: nodes.Const) -> nodes.Expr:
        return nodes.Const(node.value, lineno=node.lineno)

    def listed(self, node: nodes.List | nodes.Tuple) -> nodes.Expr:
        return nodes.List([self.expression(item) for item in node.items], lineno=node.lineno)

    def joined(self, node: nodes.Concat) -> nodes.Expr:
        labels = nodes.Const(tuple(self.label(part) for part in node.nodes))
        parts = [self.expression(part) for part in node.nodes]
        return self.call("_concat", node, parts[0], labels, *parts[1:])

    def logical(self, node: nodes.And | nodes.Or) -> nodes.Expr:
        return type(node)(self.expression(node.left), self.expression(node.right), lineno=node.lineno)

    def negated(self, node: nodes.Not) -> nodes.Expr:
        return nodes.Not(self.expression(node.node), lineno=node.lineno)

    def minus(self, node: nodes.Neg) -> nodes.Expr:
        return self.call("_calculate", node, nodes.Const(0), nodes.Const("Sub"), self.expression(node.node))

    def arithmetic(self, node: nodes.BinExpr) -> nodes.Expr:
        left, right = self.expression(node.left), self.expression(node.right)
        return self.call("_calculate", node, left, nodes.Const(type(node).__name__), right)

    def chosen(self, node: nodes.CondExpr) -> nodes.Expr:
        if node.expr2 is None:
            raise BadTemplate(node.lineno, _NEEDS_ELSE)
        return self.choice(node, self.expression, node.expr2)

    def choice(
        self, node: nodes.CondExpr, arm: Callable[[nodes.Expr], nodes.Expr], otherwise: nodes.Expr,
    ) -> nodes.Expr:  # fmt: skip
        """`a if test else b`, the arms rebuilt by ``arm``."""
        test = self.condition(node.test)
        self.guards.append(self.guarded_by(node.test))
        first = arm(node.expr1)
        self.guards.pop()
        return nodes.CondExpr(test, first, arm(otherwise), lineno=node.lineno)

    def condition(self, node: nodes.Node) -> nodes.Expr:
        """A test of truth. A value that is missing is false here, so it needs no default."""
        match node:
            case nodes.And() | nodes.Or():
                left, right = self.condition(node.left), self.condition(node.right)
                return type(node)(left, right, lineno=node.lineno)
            case nodes.Not():
                return nodes.Not(self.condition(node.node), lineno=node.lineno)
            case nodes.Name() | nodes.Getattr() | nodes.Getitem():
                return self.with_cover(node, covered=True)
            case _:
                return self.expression(node)

    def guarded_by(self, test: nodes.Node) -> frozenset[str]:
        """The variables that are there wherever ``test`` holds."""
        match test:
            case nodes.And():
                return self.guarded_by(test.left) | self.guarded_by(test.right)
            case nodes.Name() | nodes.Getattr() | nodes.Getitem():
                return frozenset({self.label(test)})
            case nodes.Test(name="defined" | "number" | "string"):
                return frozenset({self.label(test.node)})
            case _:
                return frozenset()

    def with_cover(self, node: nodes.Node, *, covered: bool) -> nodes.Expr:
        """``node`` rebuilt where a missing value is, or is not, made good by what stands around it."""
        before, self.covered = self.covered, covered
        result = self.expression(node)
        self.covered = before
        return result

    def call(self, operation: str, at: nodes.Node, value: nodes.Expr, *arguments: nodes.Expr) -> nodes.Filter:
        """An operation as Jinja2's compiler calls a filter: the value, the budget, the arguments."""
        extra: list[nodes.Expr] = [*arguments]
        if operation != "_read":
            extra.insert(0, nodes.Name(_BUDGET, "load"))
        return nodes.Filter(value, operation, extra, [], None, None, lineno=at.lineno)

    def variable(self, node: nodes.Expr) -> nodes.Expr:
        keys: list[nodes.Expr] = []
        base: nodes.Node = node
        while isinstance(base, (nodes.Getattr, nodes.Getitem)):
            if isinstance(base, nodes.Getattr):
                keys.append(nodes.Const(base.attr))
            elif isinstance(base.arg, nodes.Slice):
                raise BadTemplate(base.lineno, "slices are not available; use truncate, first or last")
            else:
                keys.append(self.expression(base.arg))
            base = base.node
        keys.reverse()
        if not isinstance(base, nodes.Name):
            return self.call("_read", node, self.expression(base), nodes.Const(self.label(node)), *keys)
        if base.name == "loop" and self.is_local("loop"):
            if not isinstance(node, nodes.Getattr) or len(keys) != 1 or node.attr not in _LOOP_FACTS:
                raise BadTemplate(
                    node.lineno, f"of a loop there are loop.{', loop.'.join(sorted(_LOOP_FACTS))}"
                )
            return node
        if base.name not in ROOTS and not self.is_local(base.name):
            raise BadTemplate(base.lineno, f"unknown variable {base.name!r}; there are {', '.join(ROOTS)}")
        name = self.label(node)
        if base.name in ROOTS:
            covered = self.covered or bool(self.blocks) or any(name in names for names in self.guards)
            self.variables.append(Variable(name, node.lineno, covered))
        return self.call("_read", node, nodes.Name(base.name, "load"), nodes.Const(name), *keys)

    def is_local(self, name: str) -> bool:
        return any(name in names for names in self.locals)

    def filtered(self, node: nodes.Filter) -> nodes.Expr:
        function = FILTERS.get(node.name)
        if function is None:
            raise BadTemplate(node.lineno, f"unknown filter {node.name!r}; there are {', '.join(FILTERS)}")
        if node.dyn_args is not None or node.dyn_kwargs is not None or node.node is None:
            raise BadTemplate(node.lineno, "the arguments of a filter are written out")
        names = {str(pair.key): None for pair in node.kwargs}
        try:
            inspect.signature(function).bind(None, None, *node.args, **names)
        except TypeError as error:
            raise BadTemplate(node.lineno, f"filter {node.name}: {error}") from error
        value = self.with_cover(node.node, covered=node.name == "default")
        arguments = [nodes.Name(_BUDGET, "load"), *(self.expression(argument) for argument in node.args)]
        named = [
            nodes.Keyword(pair.key, self.expression(pair.value), lineno=node.lineno) for pair in node.kwargs
        ]
        return nodes.Filter(value, node.name, arguments, named, None, None, lineno=node.lineno)

    def tested(self, node: nodes.Test) -> nodes.Expr:
        if node.name not in TESTS or node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise BadTemplate(node.lineno, f"`is` knows {', '.join(TESTS)}; compare with == and other signs")
        value = self.with_cover(node.node, covered=True)
        return nodes.Test(value, node.name, [], [], None, None, lineno=node.lineno)

    def compared(self, node: nodes.Compare) -> nodes.Expr:
        if len(node.ops) != 1:
            raise BadTemplate(node.lineno, "compare two values at a time and join the comparisons with `and`")
        right = self.expression(node.ops[0].expr)
        return self.call("_compare", node, self.expression(node.expr), nodes.Const(node.ops[0].op), right)

    def label(self, node: nodes.Node) -> str:
        """How messages name an expression: the dotted name of the variable that it starts from."""
        match node:
            case nodes.Name():
                return node.name
            case nodes.Getattr():
                return f"{self.label(node.node)}.{node.attr}"
            case nodes.Getitem(arg=nodes.Const(value=str() | int() as key)):
                return f"{self.label(node.node)}.{key}"
            case nodes.Getitem():
                return f"{self.label(node.node)}[…]"
            case nodes.Filter(node=nodes.Node() as inner):
                return self.label(inner)
            case _:
                return f"the expression on line {node.lineno}"


_EXPRESSIONS: Final[
    tuple[tuple[tuple[type[nodes.Node], ...], Callable[[_Rewriter, Any], nodes.Expr]], ...]
] = (
    ((nodes.Const,), _Rewriter.constant),
    ((nodes.Name, nodes.Getattr, nodes.Getitem), _Rewriter.variable),
    ((nodes.Filter,), _Rewriter.filtered),
    ((nodes.Test,), _Rewriter.tested),
    ((nodes.Compare,), _Rewriter.compared),
    ((nodes.Concat,), _Rewriter.joined),
    ((nodes.And, nodes.Or), _Rewriter.logical),
    ((nodes.Not,), _Rewriter.negated),
    ((nodes.Neg,), _Rewriter.minus),
    ((nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod), _Rewriter.arithmetic),
    ((nodes.CondExpr,), _Rewriter.chosen),
    ((nodes.List, nodes.Tuple), _Rewriter.listed),
)
"""Every expression that is allowed; what is not in this table is refused."""
