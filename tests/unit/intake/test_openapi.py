"""The OpenAPI document and the routes are one."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.routing import Route
from typer.testing import CliRunner

from tests.unit.intake.kit import Gateway
from workers.cli.main import cli
from workers.core.objects.plan import NO_TYPES
from workers.core.stripe.mapping import StripeOptions
from workers.intake.engagement_callback import EngagementCallback
from workers.intake.openapi import document
from workers.intake.settings import ApiSettings, CallbackSettings, Definitions, StripeWebhooks
from workers.intake.standing import BoundedReader
from workers.listed import Page, Place, Wanted


class NoPages:
    """A list of nobody."""

    async def page(self, wanted: Wanted, place: Place, limit: int) -> Page:
        """Nobody."""
        del wanted, place, limit
        return Page([], None, 0)


def everything() -> Gateway:
    """A gateway with everything configured."""
    return Gateway(
        more={
            "api": ApiSettings((), lambda: Definitions(frozenset(), NO_TYPES, {})),
            "standing": BoundedReader(lambda *_: None),
            "pages": NoPages(),
            "stripe": StripeWebhooks((b"s",), StripeOptions()),
            "callbacks": CallbackSettings((EngagementCallback((b"s" * 24,)),), "https://go.example.com"),
        }
    )


def test_every_route_is_described_and_every_description_is_a_route() -> None:
    """With its methods; HEAD comes with GET."""
    routes = {
        (re.sub(r":\w+}", "}", route.path), method.lower())
        for route in everything().app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    described = {
        (path, method)
        for path, item in document()["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert routes == described


def test_every_reference_leads_somewhere_and_every_name_in_a_path_is_a_parameter() -> None:
    """What a generator of clients would stumble over."""
    whole = document()
    references = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(whole)))
    assert references
    for reference in references:
        found: Any = whole
        for name in reference.split("/"):
            found = found[name]
    for path, item in whole["paths"].items():
        names = [one["name"] for one in item.get("parameters", []) if one["in"] == "path"]
        assert names == re.findall(r"{(\w+)}", path)


def test_every_call_says_how_it_answers_and_who_may_make_it() -> None:
    """A scheme that is named is declared."""
    whole = document()
    schemes = whole["components"]["securitySchemes"]
    for item in whole["paths"].values():
        for method, call in item.items():
            if method != "parameters":
                assert call["summary"].endswith(".")
                assert any(code[0] in "23" for code in call["responses"])
                assert {name for one in call.get("security", []) for name in one} <= schemes.keys()


def test_the_command_prints_the_document() -> None:
    """For tools that make clients."""
    assert json.loads(CliRunner().invoke(cli, ["openapi"]).stdout) == document()
