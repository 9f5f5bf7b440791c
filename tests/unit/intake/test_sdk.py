"""The SDK as it is built and served."""

from __future__ import annotations

import base64
import gzip
import hashlib

import pytest

from tests.unit.intake.kit import Gateway
from workers.intake.sdk import GLOBAL, MODULES, BadSource, build, read_source, wrapped

MOST_BYTES = 15_000


@pytest.mark.parametrize("file", build(), ids=lambda file: file.name)
def test_it_is_small(file: object) -> None:
    """Less than 15 kB over the wire; a page loads it before anything is shown."""
    content = file.content  # type: ignore[attr-defined]
    assert len(gzip.compress(content, 9)) < MOST_BYTES


def test_nothing_is_evaluated_or_taken_for_html() -> None:
    """So that it runs under a strict Content-Security-Policy, and no text of a template can break in."""
    source = "".join(map(read_source, (*MODULES, GLOBAL)))
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "eval(",
        "Function(",
        "document.write",
        "srcdoc",
    ):
        assert word not in source


def test_a_module_becomes_a_function_with_its_exports() -> None:
    """Imports come from those before it; comments and indentation go, texts stay as they are."""
    text = (
        '/* Why. */\n\nimport { a, b } from "./store.js";\n\nexport const c = "// no comment";\n'
        "  /** More.\n   * words */\nexport async function d() {\n  return a; // because\n}\n"
    )
    assert wrapped("x", text) == (
        'const $x = (() => {\nconst { a, b } = $store;\nconst c = "// no comment";\n'
        "async function d() {\nreturn a;\n}\nreturn { c, d };\n})();"
    )


@pytest.mark.parametrize("line", ['import x from "./y.js";', "export default x;", "export { x };"])
def test_what_the_build_does_not_understand_is_refused(line: str) -> None:
    """Rather than shipped broken."""
    with pytest.raises(BadSource, match=r"x\.js"):
        wrapped("x", f"{line}\n")


async def test_the_plain_name_follows_the_version_and_the_hashed_one_never_changes() -> None:
    """An hour in caches for one, for ever for the other; both are public and compressed."""
    gateway = Gateway()
    manifest = (await gateway.client.get("/sdk/v1/manifest.json")).json()["files"]["brimful.js"]
    plain = await gateway.client.get("/sdk/v1/brimful.js")
    hashed = await gateway.client.get(f"/sdk/v1/{manifest['file']}")
    assert plain.content == hashed.content == build()[0].content
    assert "max-age=3600" in plain.headers["cache-control"]
    assert "immutable" in hashed.headers["cache-control"]
    for answer in (plain, hashed):
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["access-control-allow-origin"] == "*"
    digest = base64.b64encode(hashlib.sha384(plain.content).digest()).decode()
    assert manifest == {
        "file": build()[0].hashed_name,
        "integrity": f"sha384-{digest}",
        "bytes": len(plain.content),
    }


async def test_who_has_it_is_not_sent_it_again() -> None:
    """By its entity tag; and who takes no gzip gets it plain."""
    gateway = Gateway()
    first = await gateway.client.get("/sdk/v1/brimful.mjs", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in first.headers
    again = await gateway.client.get("/sdk/v1/brimful.mjs", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_there_are_no_other_files() -> None:
    """No path leads out of the folder."""
    gateway = Gateway()
    for name in ("store.js", "brimful-000000000000.js", "..%2Fapp.py"):
        assert (await gateway.client.get(f"/sdk/v1/{name}")).status_code == 404


async def test_the_demo_page_is_for_ones_own_machine() -> None:
    """It is not there unless it was asked for."""
    assert (await Gateway().client.get("/demo")).status_code == 404
