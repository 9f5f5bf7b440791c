"""Variants by locale and partials, as files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from workers.core.templates.compile import BadTemplates
from workers.core.templates.render import RenderedInApp, render
from workers.workspace.files import load_workspace
from workers.workspace.templates import load_templates

if TYPE_CHECKING:
    from pathlib import Path

BANNER = "channel: in_app\nform: banner\ntitle: Hi\nbody: \"{% include 'sign' %}\"\n"
JOURNEY = """
journey: hello
subject: user
entry: {on: {event: signed_up}}
steps:
  - send: {in_app: banner}
"""


def write(folder: Path, **files: str) -> Path:
    """Files by their names, with ``__`` for a dot and ``P_`` for the folder of partials."""
    for name, text in files.items():
        path = folder / name.replace("P_", "partials/").replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def shown(folder: Path, **user: str) -> str:
    """What the banner says to a person."""
    result = render(load_templates(folder)["banner"], {"user": user, "message": {}})
    assert isinstance(result, RenderedInApp)
    return f"{result.title}: {result.body}"


def test_a_variant_says_what_is_different(tmp_path: Path) -> None:
    """All else, its partials by name too, is that of the template."""
    write(
        tmp_path,
        banner__yaml=BANNER,
        banner__de__yaml="title: Hallo\n",
        P_sign__txt="Acme",
        P_sign__de__txt="DE",
    )
    assert shown(tmp_path, locale="de-AT") == "Hallo: DE"
    assert shown(tmp_path, locale="fr") == "Hi: Acme"
    write(tmp_path, **{"banner__de-AT__yaml": "channel: in_app\ntitle: Servus\n"})
    assert shown(tmp_path, locale="de_at") == "Servus: DE"


def test_a_changed_partial_is_another_version_of_the_template(tmp_path: Path) -> None:
    """Whoever looks at a delivery finds the text that was sent."""
    write(tmp_path, banner__yaml=BANNER, P_sign__txt="Acme")
    before = load_templates(tmp_path)["banner"].version
    write(tmp_path, P_sign__txt="Acme Inc.")
    assert load_templates(tmp_path)["banner"].version != before


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"banner__german__yaml": "title: x\n"}, r"banner.german.yaml:1: name: 'german' is no locale"),
        ({"other__de__yaml": "title: x\n"}, r"other.de.yaml:1: name: there is no template 'other'"),
        ({"banner__de__yaml": "title: x\nform: modal\n"}, r"banner.de.yaml:2: form: .* is said in"),
        ({"banner__de__yaml": "channel: sms\ntext: x\n"}, r"banner.de.yaml:1: channel: "),
        ({"P_sign__md": "x"}, r"partials/sign.md:1: file: a partial is called NAME.KIND"),
        ({"P_sign__german__txt": "x"}, r"partials/sign.german.txt:1: file: "),
        ({"P_sign__txt": "a\n{{ usr.x }}"}, r"partials/sign.txt:2: body: unknown variable 'usr'"),
        ({"P_sign__txt": "{% include 'sign' %}"}, r"partials/sign.txt:1: body: .* includes itself"),
        ({"banner__yaml": BANNER.replace("sign", "nope")}, r"banner.yaml:4: body: there is no partials"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_its_file_and_line(
    tmp_path: Path, files: dict[str, str], says: str
) -> None:
    """Once, however many templates include it."""
    write(tmp_path, **({"banner__yaml": BANNER, "P_sign__txt": "Acme"} | files))
    with pytest.raises(BadTemplates, match=says) as caught:
        load_templates(tmp_path)
    assert len(caught.value.problems) == 1


def test_a_text_that_a_variant_leaves_out_is_a_warning(tmp_path: Path) -> None:
    """Who gets the variant would read two languages."""
    write(tmp_path / "templates", banner__yaml=BANNER, banner__de__yaml="title: Hallo\n", P_sign__txt="Acme")
    (tmp_path / "journeys").mkdir()
    (tmp_path / "journeys" / "hello.yaml").write_text(JOURNEY)
    warnings = [str(one) for one in load_workspace(tmp_path).warnings]
    assert [one for one in warnings if "it has no body: who gets this variant reads that of" in one]


def test_the_workspace_says_which_language_its_templates_are_in(tmp_path: Path) -> None:
    """``locale`` of ``workspace.yaml``; numbers are written so where a person's locale is not known."""
    text = BANNER.replace("{% include 'sign' %}", "{{ 1234.5 | number }}")
    write(tmp_path / "templates", banner__yaml=text)
    (tmp_path / "journeys").mkdir()
    (tmp_path / "journeys" / "hello.yaml").write_text(JOURNEY)
    (tmp_path / "workspace.yaml").write_text("locale: de\n")
    result = render(load_workspace(tmp_path).templates["banner"], {"user": {}, "message": {}})
    assert isinstance(result, RenderedInApp)
    assert result.body == "1.234,5"
