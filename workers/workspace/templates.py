"""Reads the templates of a workspace folder: one YAML file each, beside it the files that it names."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean
from ruamel.yaml.scalarstring import FoldedScalarString, LiteralScalarString

from workers.core.templates.compile import (
    BadTemplates,
    TemplateProblem,
    Templates,
    TemplateSource,
    compile_templates,
)
from workers.core.templates.locales import canonical
from workers.workspace.mail_html import MailHtml, read_made
from workers.workspace.variants import PARTIALS, of_locale, read_partials, with_partials

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE_BYTES: Final = 1_000_000
TEMPLATES: Final = "templates"
WEBHOOKS: Final = "webhooks"
"""The folder whose templates are for the channel webhook, also where they do not say so."""

OWNERS: Final = "owners"
BODY: Final = "body"
"""The field of a webhook that is a document."""

_FILE_FIELDS: Final = {"html_file": "html", "mjml_file": "mjml", "text_file": "text"}


def load_templates(folder: Path) -> Templates:
    """The templates of ``folder``, compiled; empty where the folder does not exist.

    Raises:
        BadTemplates: with every problem of every file, each with its file, line and field.
    """
    sources, problems = read_templates(folder)
    try:
        templates = compile_templates(sources)
    except BadTemplates as error:
        problems.extend(error.problems)
    if problems:
        raise BadTemplates(sorted(problems, key=lambda problem: (problem.file, problem.line)))
    return templates


def read_templates(
    folder: Path, mail: MailHtml | None = None
) -> tuple[list[TemplateSource], list[TemplateProblem]]:
    """The templates of ``folder``, in the order of their names, and what is not readable.

    Partials are in their places, variants have what they leave out, and e-mails what is sent of them, which
    ``mail`` makes.
    """
    home = folder if folder.name != WEBHOOKS else folder.parent / TEMPLATES
    partials, problems = read_partials(home / PARTIALS)
    mail = mail or MailHtml(read_made(home))
    written: list[TemplateSource] = []
    for path in sorted(folder.glob("*.y*ml")) if folder.is_dir() else []:
        try:
            written.append(read_template(path))
        except BadTemplates as error:
            problems.extend(error.problems)
    whole = {source.name: source for source in written if not source.locale}
    sources: list[TemplateSource] = []
    for source in written:
        above = whole.get(source.name)
        try:
            if source.locale and above is None:
                detail = f"there is no template {source.name!r}, which those get who have no variant"
                problems.append(TemplateProblem(source.name, source.file, 1, "name", detail))
                continue
            merged = of_locale(source, above) if source.locale and above is not None else source
            sources.append(mail.finish(with_partials(merged, partials)))
        except BadTemplates as error:
            problems.extend(error.problems)
    return sources, list(dict.fromkeys(problems))


def made_of(folder: Path) -> dict[str, str]:
    """What is sent of the e-mails' html in a workspace's folder, by key; what cannot be made is left out."""
    mail = MailHtml()
    read_templates(folder / TEMPLATES, mail)
    return mail.made


def read_template(path: Path) -> TemplateSource:
    """One template file as written; raises :class:`BadTemplates` where it is not readable."""
    file = f"{path.parent.name}/{path.name}"
    document = _yaml(path, file)
    name, dot, named = path.stem.partition(".")
    locale = canonical(named)
    if dot and locale is None:
        detail = f"{named!r} is no locale; a variant is called {name}.de.yaml or {name}.de-AT.yaml"
        raise _problem(name, file, 1, "name", detail)
    _take_owners(path, file, document)
    lines = {str(key): _first_line(document, key) for key in document if str(key) != "owners_name"}
    lines |= _lines_inside(document.get(BODY), BODY)
    fields = {str(key): _plain(value) for key, value in document.items()}
    files: dict[str, str] = {}
    for field, part in _FILE_FIELDS.items():
        if field not in fields:
            continue
        if part in fields:
            raise _problem(name, file, lines[field], field, f"give {part} or {field}, not both")
        target = path.parent / str(fields.pop(field))
        try:
            fields[part] = _read_beside(path, target)
        except (OSError, ValueError) as error:
            raise _problem(name, file, lines[field], field, f"{target.name}: {_io_detail(error)}") from error
        files[part], lines[part] = f"{path.parent.name}/{target.name}", 1
    channel = str(fields.pop("channel", "webhook" if path.parent.name == WEBHOOKS or locale else ""))
    if not channel:
        detail = "a template names its channel: email, sms, push, in_app or webhook"
        raise _problem(name, file, 1, "channel", detail)
    return TemplateSource(name, channel, fields, file, lines, files, locale or "")


def _yaml(path: Path, file: str) -> CommentedMap:
    try:
        document = YAML(typ="rt").load(_read(path))
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        detail = getattr(error, "problem", None) or "this is not YAML"
        raise _problem(path.stem, file, mark.line + 1 if mark else 1, "yaml", detail) from error
    except (OSError, ValueError) as error:
        raise _problem(path.stem, file, 1, "file", _io_detail(error)) from error
    if not isinstance(document, CommentedMap):
        raise _problem(path.stem, file, 1, "yaml", "a template is a mapping, such as `channel: email`")
    return document


def _first_line(document: CommentedMap, key: Any) -> int:
    """The line on which the text of a field begins: one further for a block (``|`` or ``>``)."""
    return _text_line(document[key], int(document.lc.value(key)[0]) + 1)


def _text_line(value: Any, line: int) -> int:
    return line + 1 if isinstance(value, (LiteralScalarString, FoldedScalarString)) else line


def _lines_inside(holder: Any, path: str) -> dict[str, int]:
    """The line of each value inside of a mapping or list, by its path: ``body.blocks[0].text``."""
    lines: dict[str, int] = {}
    if isinstance(holder, CommentedMap):
        places = [(f"{path}.{key}", value, _first_line(holder, key)) for key, value in holder.items()]
    elif isinstance(holder, CommentedSeq):
        places = [
            (f"{path}[{at}]", one, _text_line(one, int(holder.lc.item(at)[0]) + 1))
            for at, one in enumerate(holder)
        ]
    else:
        return lines
    for inner, value, line in places:
        lines |= {inner: line, **_lines_inside(value, inner)}
    return lines


def _plain(value: Any) -> Any:
    """YAML's own types as Python's; what JSON has not is left to the check of the fields."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    kinds = ((bool, bool), (ScalarBoolean, bool), (int, int), (float, float))
    return next((plain(value) for kind, plain in kinds if isinstance(value, kind)), value)


def _take_owners(path: Path, file: str, document: CommentedMap) -> None:
    """``owners: sales`` names ``owners/sales.yaml`` of the workspace; the list takes the name's place."""
    name = document.get("owners")
    if not isinstance(name, str):
        return
    line = int(document.lc.value("owners")[0]) + 1
    target = path.parent.parent / OWNERS / f"{name}.yaml"
    if not name.isidentifier() or not target.is_file():
        raise _problem(path.stem, file, line, "owners", f"there is no {OWNERS}/{name}.yaml")
    listed = _yaml(target, f"{OWNERS}/{target.name}").get("owners")
    if listed is None:
        raise _problem(
            path.stem, f"{OWNERS}/{target.name}", 1, "owners", "a file of owners has `owners:`, a list"
        )
    document["owners"] = listed
    document["owners_name"] = str(name)


def _read_beside(path: Path, target: Path) -> str:
    if target.parent != path.parent or target.name in ("", ".", ".."):
        raise ValueError("the file is in the same folder as the template")
    return _read(target)


def _read(path: Path) -> str:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"the file is larger than {MAX_FILE_BYTES} bytes")
    return path.read_text(encoding="utf-8")


def _io_detail(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _problem(name: str, file: str, line: int, field: str, detail: str) -> BadTemplates:
    return BadTemplates([TemplateProblem(name, file, line, field, detail)])
