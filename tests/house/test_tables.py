"""All tables of one application share a database: their prefixes tell the rows apart."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import fields

import workers.engine  # noqa: F401  with it come all modules whose tables the engine has
from workers.state import SubjectTables
from workers.stream.tables import Table

ENGINE = ("workers.state", "workers.signals", "workers.scheduler", "workers.step_counts")


def engine_tables() -> list[Table[object]]:
    """Every table that a module of the engine defines, each once."""
    found: dict[int, Table[object]] = {}
    for name, module in sys.modules.items():
        if name.startswith(ENGINE):
            for value in vars(module).values():
                held = [getattr(value, one.name) for one in fields(value)] if _is_group(value) else [value]
                found.update({id(table): table for table in held if isinstance(table, Table)})
    return list(found.values())


def test_no_two_tables_of_the_engine_share_a_prefix() -> None:
    """They would overwrite each other's rows."""
    tables = engine_tables()
    assert len(tables) >= 11
    counted = Counter(table.prefix for table in tables)
    assert [prefix for prefix, number in counted.items() if number > 1] == []


def _is_group(value: object) -> bool:
    return isinstance(value, SubjectTables)
