"""Templates are read from a folder, and every problem is told with its file and line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from workers.core.templates.compile import BadTemplates, EmailTemplate, InAppTemplate
from workers.workspace.templates import load_templates

if TYPE_CHECKING:
    from pathlib import Path

BANNER = 'channel: in_app\nform: banner\ntitle: "Hi {{ user.name }}"\nbody: x\n'


def problems(folder: Path) -> list[str]:
    """The problems of the folder as they are printed."""
    with pytest.raises(BadTemplates) as caught:
        load_templates(folder)
    return str(caught.value).splitlines()


def test_a_template_is_named_after_its_file(tmp_path: Path) -> None:
    """The file's name is the name that journeys use."""
    (tmp_path / "banner.yaml").write_text(BANNER)
    (tmp_path / "notes.txt").write_text("not a template")
    templates = load_templates(tmp_path)
    assert list(templates) == ["banner"]
    assert isinstance(templates["banner"], InAppTemplate)


def test_html_and_text_can_stand_in_files_of_their_own(tmp_path: Path) -> None:
    """Designers keep their html in html files; the version covers their content."""
    (tmp_path / "mail.yaml").write_text(
        "channel: email\nsubject: x\nhtml_file: mail.html\ntext_file: mail.txt\n"
    )
    (tmp_path / "mail.html").write_text('<a href="{{ unsubscribe_url }}">x</a>')
    (tmp_path / "mail.txt").write_text("first")
    before = load_templates(tmp_path)["mail"]
    (tmp_path / "mail.txt").write_text("second")
    after = load_templates(tmp_path)["mail"]
    assert isinstance(before, EmailTemplate)
    assert before.version != after.version


def test_a_folder_that_does_not_exist_has_no_templates(tmp_path: Path) -> None:
    """A workspace may do without."""
    assert len(load_templates(tmp_path / "none")) == 0


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    """Mending a workspace takes one run of the linter, not one per mistake."""
    (tmp_path / "a.yaml").write_text(BANNER.replace("user", "usr"))
    (tmp_path / "b.yaml").write_text("channel: email\nsubject: x\nhtml: |\n  <p>\n  {{ usr.x }}\n")
    (tmp_path / "c.yaml").write_text("channel: email\nsubject: x\nhtml_file: c.html\n")
    (tmp_path / "c.html").write_text("one\ntwo {{ usr.x }}\n")
    (tmp_path / "d.yaml").write_text("channel: in_app\n  form: x\n")
    (tmp_path / "e.yaml").write_text("- a list\n")
    (tmp_path / "f.yaml").write_text("form: banner\n")
    (tmp_path / "g.yaml").write_text("channel: email\nsubject: x\nhtml_file: ../secret.html\n")
    (tmp_path / "h.yaml").write_text("channel: email\nsubject: x\nhtml_file: missing.html\n")
    (tmp_path / "i.yaml").write_text("channel: email\nsubject: x\nhtml: x\nhtml_file: c.html\n")
    (tmp_path / "j.yaml").write_text("channel: email\nchannel: email\n")
    folder = tmp_path.name
    found = problems(tmp_path)
    starts = [
        f"{folder}/a.yaml:3: title: unknown variable 'usr'",
        f"{folder}/b.yaml:5: html: unknown variable 'usr'",
        f"{folder}/c.html:2: html: unknown variable 'usr'",
        f"{folder}/d.yaml:2: yaml: ",
        f"{folder}/e.yaml:1: yaml: a template is a mapping",
        f"{folder}/f.yaml:1: channel: a template names its channel",
        f"{folder}/g.yaml:3: html_file: secret.html: the file is in the same folder",
        f"{folder}/h.yaml:3: html_file: missing.html: No such file",
        f"{folder}/i.yaml:4: html_file: give html or html_file, not both",
        f"{folder}/j.yaml:2: yaml: ",
    ]
    assert len(found) == len(starts)
    for line, start in zip(found, starts, strict=True):
        assert line.startswith(start)


def test_a_file_that_is_no_text_or_too_large_is_told(tmp_path: Path) -> None:
    """A picture or a dump in the folder is a clear message, not a crash."""
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.yaml").write_text("#" * 1_000_001)
    first, second = problems(tmp_path)
    assert "a.yaml:1: file: " in first
    assert "b.yaml:1: file: the file is larger than 1000000 bytes" in second


def test_two_files_of_one_name_are_told(tmp_path: Path) -> None:
    """banner.yaml and banner.yml would be the same template."""
    (tmp_path / "banner.yaml").write_text(BANNER)
    (tmp_path / "banner.yml").write_text(BANNER)
    assert problems(tmp_path) == [
        f"{tmp_path.name}/banner.yml:1: name: {tmp_path.name}/banner.yaml has the same name"
    ]
