"""What columns are read as where no mapping says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from schemas.workspace.imports import TraitColumn
from workers.imports.commands import cli
from workers.imports.inference import infer, is_code, types_text
from workers.imports.rows import Row
from workers.imports.values import convert

if TYPE_CHECKING:
    from pathlib import Path


def types_of(*values: str | None, column: str = "c") -> str:
    """What a column with these values is told to be, without its name."""
    rows = [Row(str(number), number, {column: value}) for number, value in enumerate(values)]
    return types_text(infer([column], rows)).removeprefix(f"{column} ")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("5", "0", "-12"), "integer"),
        (("5", "", " ", "7"), "integer"),
        ((" 5 ",), "integer"),
        (("5", "12.50"), "number"),
        (("12.50", "5"), "number"),
        (("0.5", "-0.25", "1e-05"), "number"),
        (("true", "FALSE", ""), "boolean"),
        (("5", "n/a"), "string"),
        (("5", "true"), "string"),
        (("true", "5"), "string"),
        (("yes", "no"), "string"),
        (("2026-03-01", "2026-03-02"), "string"),
        (("2026-03-01T09:30:00Z",), "string"),
        (("07030", "10115"), "string (leading zeros)"),
        (("10115", "07030"), "string (leading zeros)"),
        (("-007",), "string (leading zeros)"),
        (("+4712345678",), "string (a plus before digits)"),
        (("1,200",), "string"),
        (("1.2.3",), "string"),
        (("1e5",), "string"),  # more often a code
        (("NaN", "inf"), "string"),
        (("999999999999999",), "integer"),
        (("4111111111111111",), "string (more than 15 digits)"),
        (("٣",), "string"),
        (("", None), "string"),
        ((), "string"),
    ],
)
def test_a_column_is_what_all_of_its_values_are(values: tuple[str | None, ...], expected: str) -> None:
    """One value that is another makes it text, wherever it stands."""
    assert types_of(*values) == expected


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("zip", True),
        ("Postal Code", True),
        ("phone_number", True),
        ("workspaceId", True),
        ("accountID", True),
        ("order_number", True),
        ("number_of_seats", False),
        ("number", False),
        ("seats", False),
        ("valid", False),
        ("mobile_sessions", True),
        ("tokens_used", False),
    ],
)
def test_the_name_of_a_column_may_say_that_its_digits_are_a_code(column: str, expected: bool) -> None:
    """Words count, not parts of words."""
    assert is_code(column) is expected
    assert types_of("5", column=column) == ("string (by its name)" if expected else "integer")


def test_rows_that_cannot_be_read_have_no_say() -> None:
    """They are rejected."""
    rows = [Row("1", 2, {"c": "5"}), Row("2", 3, {"c": "five"}, "has 1 fields where the header has 2")]
    assert types_text(infer(["c"], rows)) == "c integer"


@given(st.lists(st.from_regex(r"[-+0-9.eE]{0,8}|true|False", fullmatch=True), max_size=4))
def test_what_a_column_is_read_as_takes_every_value_of_it(values: list[str]) -> None:
    """No row is rejected because of a type that nobody declared; text stays as it was."""
    found = infer(["c"], [Row("1", 1, {"c": value}) for value in values])["c"]
    for value in (value for value in values if value.strip()):
        read = convert(value, TraitColumn(column="c", type=found.type))
        assert isinstance(read, {"integer": int, "number": int | float, "boolean": bool}.get(found.type, str))
        assert found.type != "string" or read == value


PEOPLE = "id,seats,mrr,active,zip,since\nu1,5,12.50,true,07030,2026-03-01\nu2,12,,FALSE,10115,\n"


def shown(folder: Path, *options: str, mapping: str | None = None) -> tuple[dict[str, Any], str]:
    """The first person's traits as a dry run shows them, and what it says beside."""
    (folder / "people.csv").write_text(PEOPLE)
    if mapping is None:
        options = ("--as", "users", "--id", "id", *options)
    else:
        (folder / "people.yaml").write_text(mapping)
        options = ("--mapping", str(folder / "people.yaml"), *options)
    result = CliRunner().invoke(cli, ["csv", str(folder / "people.csv"), "--dry-run", *options])
    assert result.exit_code == 0, result.output
    first = result.stdout.splitlines()[0].removeprefix("product-events").strip()
    return msgspec.json.decode(first)["traits"], result.stderr


def test_without_a_mapping_numbers_are_numbers(tmp_path: Path) -> None:
    """So that `gte` compares them; and it is told what became what."""
    traits, beside = shown(tmp_path)
    assert traits == {"seats": 5, "mrr": 12.5, "active": True, "zip": "07030", "since": "2026-03-01"}
    assert "seats integer, mrr number, active boolean, zip string (by its name), since string" in beside


def test_a_mapping_has_the_last_word(tmp_path: Path) -> None:
    """With its traits: as they are declared, text where nothing is."""
    declared = "import: people\nas: users\nid: id\n"
    traits, beside = shown(
        tmp_path, mapping=f"{declared}traits: {{seats: seats, mrr: {{column: mrr, type: string}}}}\n"
    )
    assert (traits, beside) == ({"seats": "5", "mrr": "12.50"}, "")
    traits, beside = shown(tmp_path, mapping=f"{declared}skip: [mrr]\n")
    assert (traits["seats"], "mrr" in traits, "mrr" in beside) == (5, False, False)
