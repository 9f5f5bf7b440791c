"""YAML files as plain values, with the place of everything in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean
from ruamel.yaml.scalarfloat import ScalarFloat

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MAX_FILE_BYTES: Final = 256 * 1024
MAX_VALUES: Final = 20_000
"""Values of a file with every alias counted where it is used: a few lines of aliases can mean billions."""
MAX_DEPTH: Final = 60


class UnreadableError(ValueError):
    """A file that is not YAML, or not of this kind; ``line`` and ``column`` count from 1."""

    def __init__(self, detail: str, line: int = 1, column: int = 1) -> None:
        super().__init__(detail)
        self.detail = detail
        self.line = line
        self.column = column


@dataclass(frozen=True)
class Document:
    """A file that was read: its plain content, and its nodes for :meth:`place`."""

    content: dict[str, Any]
    root: CommentedMap

    def place(self, location: Sequence[str | int]) -> tuple[int, int]:
        """Line and column, from 1, of what ``location`` leads to, or of the last step that is there."""
        node: Any = self.root
        line, column = 0, 0
        for key in location:
            if isinstance(node, CommentedMap) and key in node:
                line, column = node.lc.key(key)
                node = node[key]
            elif isinstance(node, CommentedSeq) and isinstance(key, int) and key < len(node):
                line, column = node.lc.item(key)
                node = node[key]
            else:
                break
        return line + 1, column + 1


def read_document(path: Path, *, max_bytes: int = MAX_FILE_BYTES, max_values: int = MAX_VALUES) -> Document:
    """The mapping that a file of at most ``max_bytes`` and ``max_values`` holds.

    Raises:
        UnreadableError: the file cannot be read, is too large, is not YAML, or holds no mapping.
    """
    try:
        if path.stat().st_size > max_bytes:
            raise UnreadableError(f"the file is larger than {max_bytes} bytes")
        root = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        raise UnreadableError(_one_line(error.problem or "this is not YAML"), line, column) from error
    except (YAMLError, ValueError, OSError, RecursionError) as error:
        if isinstance(error, UnreadableError):
            raise
        raise UnreadableError(_one_line(getattr(error, "strerror", None) or str(error))) from error
    if not isinstance(root, CommentedMap):
        raise UnreadableError("a mapping is expected, such as `journey: plan_limit_upsell`")
    return Document(_Plain(max_values).mapping(root, 0), root)


class _Plain:
    """Turns ruamel's types into Python's own, counting as it goes."""

    def __init__(self, max_values: int) -> None:
        self._count = 0
        self._max_values = max_values

    def mapping(self, node: CommentedMap, depth: int) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for key, value in node.items():
            if not isinstance(key, str):
                line, column = node.lc.key(key)
                raise UnreadableError(f"a field's name is a text; quote {key!r}", line + 1, column + 1)
            plain[str(key)] = self._value(value, depth + 1)
        return plain

    def _value(self, value: Any, depth: int) -> Any:
        self._count += 1
        if self._count > self._max_values or depth > MAX_DEPTH:
            raise UnreadableError(
                f"a file holds at most {self._max_values} values, nested at most {MAX_DEPTH} deep, aliases "
                f"included"
            )
        if isinstance(value, CommentedMap):
            return self.mapping(value, depth)
        if isinstance(value, CommentedSeq):
            return [self._value(item, depth + 1) for item in value]
        return _scalar(value)


def _scalar(value: Any) -> Any:
    """Ruamel's numbers and texts remember how they were written; the models are strict about types."""
    if isinstance(value, ScalarBoolean | bool):
        return bool(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, ScalarFloat | float):
        return float(value)
    return int(value) if isinstance(value, int) else value


def _one_line(text: str) -> str:
    return " ".join(text.split())
