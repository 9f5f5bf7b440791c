"""No template in Liquid takes more than a message may: loops, texts, lists and searches are paid for."""

from __future__ import annotations

import resource
from typing import Any

import pytest

from tests.unit.core.templates.liquid_kit import DATA, run
from workers.core.templates.values import Unrenderable

WIDE: dict[str, Any] = {
    "user": {
        "rows": [{"name": "x" * 40, "n": list(range(5))} for _ in range(200)],
        "tags": [f"t{at}" for at in range(2_000)],
        "long": "x" * 60_000,
        "words": "a " * 20_000,
        "open": "<" * 40_000,
        "blanks": " " * 40_000,
    },
    "event": {},
}


def _again(statement: str) -> str:
    return "{% for i in (1..9999) %}" + statement + "{% endfor %}"


BOMBS = [
    "{% for a in (1..9999) %}{% for b in (1..9999) %}x{% endfor %}{% endfor %}",
    _again("{% if i == 1 and i == 2 or i == 3 %}x{% endif %}"),
    _again("{% case i %}{% when " + ", ".join(["1"] * 1_000) + " %}x{% endcase %}"),
    _again("{% for row in user.rows %}{% break %}{% endfor %}"),
    "{% for a in (1..999999999999) %}{% endfor %}",
    "{% assign r = (1..99999999999999999999999999999999) %}",
    "{% assign s = 'xxxxxxxx' %}" + _again("{% capture s %}{{ s }}{{ s }}{% endcapture %}"),
    "{% assign s = 'xxxxxxxx' %}" + _again("{% assign s = s | append: s %}"),
    "{% assign s = 'xxxxxxxx' %}" + _again("{% assign s = s | replace: 'x', s %}"),
    "{% assign l = user.tags %}" + _again("{% assign l = l | concat: l %}"),
    "{% assign n = 9 %}" + _again("{% assign n = n | times: n %}"),
    "{% assign n = 9.5 %}" + _again("{% assign n = n | times: n %}"),
    _again("x" * 3_000),
    _again("{% capture s %}" + "x" * 90_000 + "{% endcapture %}"),
    _again(" " * 150_000),
    _again("{% if i %}" + " " * 150_000 + "{% endif %}"),
    _again("{% ifchanged %}{{ i }}" + "x" * 5_000 + "{% endifchanged %}"),
    _again("{% cycle 'a', user.long %}"),
    _again("{% if user.long == user.long %}{% endif %}"),
    _again("{% if user.long contains 'xxxxxxxxxxxxxxxxxxxxxxxxy' %}{% endif %}"),
    _again("{% if user.tags contains 'z' %}{% endif %}"),
    "{{ user.rows | json | size }}" * 600,
]

FILTERS = [
    *("tags | sort | reverse | uniq", "tags | sort_natural", "words | split: ' ' | join: '-'", "rows | json"),
    *("rows | map: 'name' | join: ''", "rows | where: 'name', 'y'", "open | strip_html", "blanks | strip"),
    *("long | upcase", "long | split: ''", "long | sha256", "long | base64_encode", "long | slice: 0, 50000"),
    *("long | remove_last: 'y'", "long | newline_to_br", "long | truncate: 10", "words | titlecase"),
    *("words | truncatewords: 10", "words | squish", "open | escape_once", "open | url_encode"),
    "tags.size | date: '%c%c%c%c%c%c%c%c%c%c', 'Europe/Oslo'",
    "tags.size | date: '" + "%c" * 400 + "'",
    "tags.size | currency",
]


@pytest.mark.parametrize(
    "source", [*BOMBS, *(_again("{% assign x = user." + one + " %}") for one in FILTERS)]
)
@pytest.mark.parametrize("mode", ["text", "html"])
def test_a_bomb_is_stopped_within_a_tenth_of_a_second_and_64_mb(source: str, mode: Any) -> None:
    """A hostile or careless template costs one message, not the sender: CPU and memory stay small."""
    assert run("x", WIDE, mode) == "x"
    before = resource.getrusage(resource.RUSAGE_SELF)
    with pytest.raises(Unrenderable) as stopped:
        run(source, WIDE, mode)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert stopped.value.reason in ("too_much_work", "too_long", "wrong_type")
    assert after.ru_utime - before.ru_utime < 0.2
    assert after.ru_maxrss - before.ru_maxrss < 64 * 1024


def test_a_text_stays_within_the_room_that_its_place_has() -> None:
    """A title has less than a mail."""
    with pytest.raises(Unrenderable, match="longer than 10 characters"):
        run("{{ user.first_name }} and more than that", DATA, max_chars=10)


def test_a_large_mail_is_far_from_the_limits() -> None:
    """A hundred rows of a table with a dozen values each, formatted."""
    cells = "<td>{{ row.name | upcase }}</td><td>{{ row.n[0] | plus: 1 | currency }}</td>"
    row = "{% if row.name != blank %}" + cells * 2 + "{% endif %}"
    text = "{% for row in user.rows limit:100 %}" + row + "{% endfor %}"
    assert run(text, WIDE, "html").count("<td>") == 400
