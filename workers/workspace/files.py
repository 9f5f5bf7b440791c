"""Reads a workspace: ``journeys/``, ``segments/``, ``scores/``, ``objects/``, ``templates/``, as a whole.

``tracking_plan.yaml`` and ``workspace.yaml`` (settings) beside them are checked with it; a workspace need not
have them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import ValidationError

from schemas.workspace import (
    Experiment,
    Journey,
    ObjectType,
    Score,
    Segment,
    Settings,
    TrackingPlan,
    Workspace,
)
from schemas.workspace.base import UNKNOWN_FIELD
from workers.core.lint.calls import lint_calls
from workers.core.lint.llm import lint_llm
from workers.core.lint.messages import SETTINGS as OF_SETTINGS
from workers.core.lint.messages import lint_messages
from workers.core.lint.objects import lint_objects
from workers.core.lint.steps import lint_steps
from workers.core.lint.templates import lint_templates
from workers.core.lint.tracking import lint_plan, lint_tracking
from workers.core.lint.workspace import lint
from workers.core.templates.compile import BadTemplates, Templates, compile_templates, records_of
from workers.errors import Misconfigured
from workers.workspace.templates import TEMPLATES, WEBHOOKS, read_templates
from workers.workspace.yaml_text import Document, UnreadableError, read_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from workers.core.lint.workspace import Severity

JOURNEYS: Final = "journeys"
SEGMENTS: Final = "segments"
SCORES: Final = "scores"
OBJECTS: Final = "objects"
EXPERIMENTS: Final = "experiments"
SETTINGS: Final = "workspace.yaml"
TRACKING_PLAN: Final = "tracking_plan.yaml"
TRACKING_PLAN_MAX_BYTES: Final = 1024 * 1024
"""Some 2,000 events: one file holds all of them. Reading so much takes 10 seconds."""

TRACKING_PLAN_MAX_VALUES: Final = 100_000

Defined = TypeVar("Defined", Journey, Segment, Score, Experiment, ObjectType)


_REFERENCES: Final = frozenset(
    {
        "enrolled",
        "converted",
        "in_segment",
        "enroll",
        "messages",
        "segment",
        "score",
        "threshold",
        "by",
        "experiments",
        "experiment",
    }
)
"""What names other definitions."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something wrong in a file of the workspace; ``line`` and ``column`` count from 1."""

    file: str
    line: int
    column: int
    field: str
    detail: str
    severity: Severity = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}"
        warning = "warning: " if self.severity == "warning" else ""
        return f"{place}: {warning}{self.field}: {self.detail}"


class BadWorkspace(Misconfigured):
    """A workspace that cannot be used. Operator action: change each place that the message names."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[BadWorkspace], tuple[tuple[Problem, ...]]]:
        return (BadWorkspace, (self.problems,))


@dataclass(frozen=True)
class LoadedWorkspace:
    """A workspace that can be used: its models, and its templates compiled. ``warnings`` are for people."""

    workspace: Workspace
    templates: Templates
    warnings: tuple[Problem, ...] = field(default=())


def load_workspace(folder: Path) -> LoadedWorkspace:
    """The workspace of a folder, named after it.

    Raises:
        BadWorkspace: with every problem of every file, each with its file, line, column and field.
    """
    if not folder.is_dir():
        raise BadWorkspace([Problem(str(folder), 1, 1, "folder", "there is no such folder")])
    before: list[Problem] = []
    settings, settings_document = _read_settings(folder / SETTINGS, before)
    sources, found = read_templates(folder / TEMPLATES)
    of_webhooks = read_templates(folder / WEBHOOKS)
    sources, found = [*sources, *of_webhooks[0]], list(dict.fromkeys((*found, *of_webhooks[1])))
    try:
        templates = compile_templates(sources, settings.locale)
    except BadTemplates as error:
        found.extend(error.problems)
        templates = Templates({}, {})
    problems = [*before, *(Problem(one.file, one.line, 1, one.field, one.detail) for one in found)]
    if not any((folder / JOURNEYS).glob("*.y*ml")):
        problems.append(Problem(f"{JOURNEYS}/", 1, 1, "file", "there is no journey: add journeys/NAME.yaml"))
    journeys, documents = _read_models(folder, JOURNEYS, Journey, problems)
    segments, segment_documents = _read_models(folder, SEGMENTS, Segment, problems)
    scores, _ = _read_models(folder, SCORES, Score, problems)
    objects, object_documents = _read_models(folder, OBJECTS, ObjectType, problems)
    experiments, _ = _read_models(folder, EXPERIMENTS, Experiment, problems)
    tracking_plan = _read_tracking_plan(folder / TRACKING_PLAN, problems)
    # Templates that do not compile are there all the same: journeys that name them are not at fault.
    records = records_of(sources)
    workspace = Workspace(
        name=identifier(folder.resolve().name),
        timezone=settings.timezone,
        journeys=tuple(journeys),
        segments=tuple(segments),
        scores=tuple(scores),
        experiments=tuple(experiments),
        holdout=settings.holdout,
        templates=records,
        tracking_plan=tracking_plan,
        consent=settings.consent,
        messages=settings.messages,
        objects=tuple(objects),
        tracking=settings.tracking,
    )
    refused = any(problem.file.startswith((JOURNEYS, SEGMENTS, SCORES, EXPERIMENTS)) for problem in problems)
    found_in = {JOURNEYS: documents, SEGMENTS: segment_documents, OBJECTS: object_documents}
    if settings_document is not None:
        found_in["settings"] = {OF_SETTINGS: (SETTINGS, settings_document)}
    typed = not any(problem.file.startswith(OBJECTS) for problem in problems)
    problems += _findings(workspace, found_in, complete=not refused, objects_complete=typed)
    calls = lint_calls(workspace, templates)
    problems += [Problem(one.file, one.line, 1, one.field, one.detail) for one in calls]
    errors = sorted(problem for problem in problems if problem.severity == "error")
    if errors:
        raise BadWorkspace(errors)
    doubts = lint_templates(workspace, templates)
    problems += [Problem(one.file, one.line, 1, one.field, one.detail, "warning") for one in doubts]
    return LoadedWorkspace(workspace, templates, tuple(sorted(problems)))


def load_tracking_plan(path: Path) -> TrackingPlan:
    """The tracking plan of a file, or of a workspace's folder. Its journeys are not looked at.

    Raises:
        BadWorkspace: with every problem of the file, each with its line, column and field.
    """
    problems: list[Problem] = []
    file = path / TRACKING_PLAN if path.is_dir() else path
    plan = _read_tracking_plan(file, problems)
    errors = [problem for problem in problems if problem.severity == "error"]
    if plan is None and not errors:
        detail = "there is no such file: `brimful plan infer` proposes one from the events that come"
        errors = [Problem(str(file), 1, 1, "file", detail)]
    if plan is None or errors:
        raise BadWorkspace(errors)
    return plan


def _read_tracking_plan(path: Path, problems: list[Problem]) -> TrackingPlan | None:
    """The plan of a file; None where there is no file or it is wrong, which is added to ``problems``."""
    if not path.exists():
        return None
    try:
        document = read_document(path, max_bytes=TRACKING_PLAN_MAX_BYTES, max_values=TRACKING_PLAN_MAX_VALUES)
        plan = TrackingPlan.model_validate(document.content)
    except UnreadableError as error:
        problems.append(Problem(path.name, error.line, error.column, "yaml", error.detail))
        return None
    except ValidationError as error:
        problems.extend(_refusals(path.name, document, error, "tracking_plan"))
        return None
    for location, detail in lint_plan(plan):
        problems.append(Problem(path.name, *document.place(location), _dotted(location), detail, "warning"))
    return plan


def _read_settings(path: Path, problems: list[Problem]) -> tuple[Settings, Document | None]:
    """The settings of a file; all defaults where there is none. What is wrong is added to ``problems``."""
    if not path.exists():
        return Settings(), None
    try:
        document = read_document(path)
        return Settings.model_validate(document.content), document
    except UnreadableError as error:
        problems.append(Problem(path.name, error.line, error.column, "yaml", error.detail))
    except ValidationError as error:
        problems.extend(_refusals(path.name, document, error, "settings"))
    return Settings(), None


def _read_models(
    folder: Path, kind: str, model: type[Defined], problems: list[Problem]
) -> tuple[list[Defined], dict[str, tuple[str, Document]]]:
    """What ``kind/*.yaml`` define, where it is right, and by name the file of each.

    What is wrong is added to ``problems``. The singular of ``kind`` is the field with the name.
    """
    name_field = kind.removesuffix("s")
    defined: list[Defined] = []
    documents: dict[str, tuple[str, Document]] = {}
    for path in sorted((folder / kind).glob("*.y*ml")):
        file = f"{kind}/{path.name}"
        try:
            document = read_document(path)
            one = model.model_validate(document.content)
        except UnreadableError as error:
            problems.append(Problem(file, error.line, error.column, "yaml", error.detail))
        except ValidationError as error:
            problems.extend(_refusals(file, document, error, name_field))
        else:
            name = str(getattr(one, name_field))
            if name in documents:
                detail = f"{documents[name][0]} has the same {name_field}; give one of them another name"
                problems.append(Problem(file, *document.place((name_field,)), name_field, detail))
                continue
            defined.append(one)
            documents[name] = (file, document)
    return defined, documents


def _findings(
    workspace: Workspace,
    documents: Mapping[str, dict[str, tuple[str, Document]]],
    *,
    complete: bool,
    objects_complete: bool,
) -> list[Problem]:
    """What the linter finds. Where some files were refused, references to what they define prove nothing."""
    problems: list[Problem] = []
    # Where a type was refused, what speaks of it proves nothing.
    typed = lint_objects(workspace) if objects_complete else ()
    found = (*lint(workspace), *lint_steps(workspace), *lint_messages(workspace), *typed)
    found = (*found, *lint_llm(workspace))
    for finding in (*found, *lint_tracking(workspace)):
        if not complete and not _REFERENCES.isdisjoint(finding.location):
            continue
        file, document = documents[finding.kind][finding.name]
        place = document.place(finding.location)
        problems.append(Problem(file, *place, _dotted(finding.location), finding.detail, finding.severity))
    return problems


def _refusals(file: str, document: Document, error: ValidationError, whole: str) -> list[Problem]:
    """What the models refused, at its place in the file."""
    details = error.errors(include_url=False, include_input=False)
    problems = []
    for detail in details:
        location = _location(detail)
        inside = any(
            len(_location(one)) > len(location) and _begins(_location(one), location) for one in details
        )
        if detail["type"] in {"too_short", "too_long"} and inside:
            # A list whose items were refused is counted without them: that is no problem of its own.
            continue
        problems.append(Problem(file, *document.place(location), _dotted(location, whole), _message(detail)))
    return problems


def _location(detail: Any) -> tuple[str | int, ...]:
    """The path in the file: without the tags of unions (``#trait``), with the unknown field."""
    location = tuple(step for step in detail["loc"] if not str(step).startswith("#"))
    # A key of a mapping that is itself refused stands before this mark.
    location = location[:-1] if location and location[-1] == "[key]" else location
    return (*location, detail["ctx"]["field"]) if detail["type"] == UNKNOWN_FIELD else location


def _message(detail: Any) -> str:
    """Pydantic's own messages, in the words of the file."""
    message = str(detail["msg"])
    if detail["type"] == "missing":
        return "this field is required"
    if detail["type"] == UNKNOWN_FIELD:
        return f"not known here; allowed: {detail['ctx']['allowed']}"
    message = re.sub(r"^(Tuple|List|Dictionary) should", "this should", message)
    message = re.sub(r" after validation, not 0$", "", message)
    return re.sub(r"^Input should", "this should", message)


def _begins(location: tuple[str | int, ...], start: tuple[str | int, ...]) -> bool:
    return location[: len(start)] == start


def _dotted(location: Iterable[str | int], whole: str = "journey") -> str:
    """``entry.require[0].not_in``; the file as a whole is named ``whole``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return text.removeprefix(".") or whole


def identifier(folder_name: str) -> str:
    """A folder's name as the name of a workspace."""
    cleaned = re.sub(r"[^a-z0-9_]+", "_", folder_name.lower()).strip("_")
    return cleaned[:64] if cleaned[:1].isalpha() else f"workspace_{cleaned}"[:64]
