"""The record shapes of the last release, committed: what a change is compared with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from schemas.catalog import SCHEMAS
from schemas.compat import Finding, compare_all
from schemas.export import json_schema, json_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RELEASED_DIR = "released"
_SUFFIX = ".schema.json"


def breaks(folder: Path) -> list[Finding]:
    """Every break between the released schemas below ``folder`` and the models.

    Raises:
        FileNotFoundError: nothing was released; the check would pass without looking at anything.
    """
    released = load_released(folder / RELEASED_DIR)
    current = {_name(schema.file_name): json_schema(schema) for schema in SCHEMAS}
    return compare_all(
        released, current, {_name(schema.file_name): schema.written_by_us for schema in SCHEMAS}
    )


def load_released(folder: Path) -> Mapping[str, dict[str, Any]]:
    """The released JSON Schemas by record and version, such as ``deliveries.v1``.

    Raises:
        FileNotFoundError: the folder holds none.
    """
    found = {_name(path.name): json.loads(path.read_text("utf-8")) for path in folder.glob(f"*{_SUFFIX}")}
    if not found:
        raise FileNotFoundError(
            f"no released schemas in {folder}: run `brimful schemas release` and commit them"
        )
    return found


def release_present(folder: Path) -> None:
    """Write the present shapes below ``folder`` as the released ones; shapes of older versions stay."""
    target = folder / RELEASED_DIR
    target.mkdir(exist_ok=True)
    for schema in SCHEMAS:
        (target / schema.file_name).write_text(json_text(json_schema(schema)), "utf-8")


def _name(file_name: str) -> str:
    return file_name.removesuffix(_SUFFIX)
