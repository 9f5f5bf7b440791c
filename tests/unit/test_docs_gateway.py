"""The examples of docs/gateway.md, as curl would send them, to a gateway."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.house.code import ROOT
from tests.unit.intake.kit import Gateway
from tests.unit.intake.test_openapi import NoPages
from tests.unit.intake.test_people import CONFIGURED, KEY
from workers.core.objects.plan import TypesPlan
from workers.intake.openapi import document
from workers.intake.settings import ApiSettings, Definitions
from workers.intake.standing import BoundedReader

PAGE = (ROOT / "docs" / "gateway.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)

TYPES = TypesPlan(attributes={"product": {"price": "number", "in_stock": "boolean"}})
DEFINED = Definitions(frozenset({"product_news"}), TYPES, {"vip": "user"})


def read(command: str) -> tuple[str, str, dict[str, str], tuple[str, str] | None, bytes | None]:
    """Method, path, headers, user and body of a curl command; an option that this does not know fails."""
    told = command.replace("\\\n", " ").replace("$API_KEY", KEY).replace("$WRITE_KEY", "wk")
    name, *words = shlex.split(told)
    assert name == "curl"
    method, path, headers, user, body = "", "", dict[str, str](), None, None
    rest = iter(words)
    for word in rest:
        match word:
            case "-X":
                method = next(rest)
            case "-H":
                key, _, value = next(rest).partition(": ")
                headers[key.lower()] = value
            case "-u":
                first, _, second = next(rest).partition(":")
                user = (first, second)
            case "-d":
                body = next(rest).encode()
            case _:
                assert word.startswith("http://127.0.0.1:8080/"), word
                path = word.removeprefix("http://127.0.0.1:8080")
    return method or ("GET" if body is None else "POST"), path, headers, user, body


@pytest.mark.parametrize("command", COMMANDS)
async def test_every_example_is_taken(command: str) -> None:
    """And what it says is kept."""
    standing = BoundedReader(lambda *_: {"enrollments": []})
    more = {"api": ApiSettings((CONFIGURED,), lambda: DEFINED), "standing": standing, "pages": NoPages()}
    gateway = Gateway(more=more)
    method, path, headers, user, body = read(command)
    answer = await gateway.client.request(method, path, headers=headers, auth=user, content=body)
    assert answer.status_code in (200, 202), answer.text
    assert bool(gateway.publisher.records) is (method != "GET")


def test_there_are_examples_and_every_path_of_the_table_exists() -> None:
    """A page without examples would pass the test above."""
    assert len(COMMANDS) >= 9
    described = {re.sub(r"{\w+}", "{}", path) for path in document()["paths"]}
    named = {re.sub(r"{\w+}", "{}", path) for path in re.findall(r"(/(?:v1|u|p|l|o)/[a-z0-9/{}._-]+)`", PAGE)}
    assert named - described == set()
