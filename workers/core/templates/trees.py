"""What is asked of a parsed text before it is rebuilt: its size, and what its parts cost."""

from __future__ import annotations

from jinja2 import nodes

from workers.core.templates.parts import MAX_DEPTH, MAX_NODES, BadTemplate
from workers.core.templates.values import CHARS_PER_UNIT


def is_lone(tree: nodes.Template) -> bool:
    """Whether a text is one expression and nothing else."""
    match tree.body:
        case [nodes.Output(nodes=[only])]:
            return not isinstance(only, nodes.TemplateData)
        case _:
            return False


def check_size(tree: nodes.Template) -> None:
    """Walk without recursion, so that no later walk can exhaust the stack."""
    count = 0
    level: list[nodes.Node] = [tree]
    for _ in range(MAX_DEPTH):
        if not level:
            return
        count += len(level)
        if count > MAX_NODES:
            raise BadTemplate(
                level[0].lineno, f"the text has more than {MAX_NODES} expressions; split the message"
            )
        level = [child for node in level for child in node.iter_child_nodes()]
    if level:
        raise BadTemplate(level[0].lineno, f"the text is nested deeper than {MAX_DEPTH}")


def walk(node: nodes.Node) -> list[nodes.Node]:
    """A node and all that is in it."""
    found = [node]
    for part in found:
        found.extend(part.iter_child_nodes())
    return found


def weight_of(node: nodes.Node) -> int:
    """Units that a node costs each time a loop comes by it: a text by its length."""
    return 1 + (len(node.data) // CHARS_PER_UNIT if isinstance(node, nodes.TemplateData) else 0)


def words(node: nodes.Node) -> str:
    """How messages name a node that is not available."""
    return f"`{type(node).__name__.lower()}`"
