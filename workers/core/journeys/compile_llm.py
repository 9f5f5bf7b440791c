"""An LLM step of a journey's file into the step that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas.workspace import FieldRef
from workers.core.conditions.comparisons import compile_path
from workers.core.conditions.spans import compile_field
from workers.core.journeys.step_plans import LlmStepPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from schemas.workspace import Llm
    from schemas.workspace.llm import Shown
    from workers.core.facts import Moment


def compile_llm(asked: Llm, path: str, following: str | None) -> LlmStepPlan:
    """The step at ``path``, which goes on to ``following``."""
    return LlmStepPlan(
        path,
        following,
        asked.connection,
        asked.model,
        asked.task,
        asked.instruction,
        asked.options,
        asked.fill.rules if asked.fill is not None else None,
        {name: _reader(one) for name, one in asked.data.items()},
        asked.timeout,
        asked.fallback,
        asked.in_shadow,
    )


def _reader(shown: Shown) -> Callable[[Moment, Mapping[str, Any]], Any]:
    kind, path = shown.source
    if kind == "awaited":
        read_awaited = compile_path(path)
        return lambda moment, awaited: read_awaited(awaited)  # noqa: ARG005  as the others
    read = compile_field(FieldRef.model_validate({kind: path}))
    return lambda moment, awaited: read(moment)  # noqa: ARG005  as the other
