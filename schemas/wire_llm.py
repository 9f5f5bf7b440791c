"""The records of the LLM step as structs; see :mod:`schemas.records.llm` and :mod:`schemas.wire`."""

from __future__ import annotations

import msgspec

from schemas.fields import (  # noqa: TC001  msgspec reads them at run time
    Count,
    LlmTask,
    Millis,
    SubjectType,
    Text,
    Values,
)
from schemas.wire_base import Record


class LlmAsked(Record, tag_field="type", tag="llm_asked", frozen=True, kw_only=True):
    """A journey's step asks a model something about its subject."""

    id: Text
    connection: Text
    model: str | None = None
    subject_type: SubjectType
    subject: Text
    journey: Text
    version: Text
    enrollment: Text
    step: Text
    task: LlmTask
    instruction: Text
    options: dict[str, str] | None = None
    data: Values
    max_chars: Count | None = None
    forbid: list[str] | None = None
    links: list[str] | None = None
    until_ms: Millis
    at_ms: Millis


class LlmWithdrawn(Record, tag_field="type", tag="llm_withdrawn", frozen=True, kw_only=True):
    """Nobody waits for an answer any more: the enrollment ended, or its person was erased."""

    id: Text
    request: Text
    connection: Text
    at_ms: Millis


class LlmMessage(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """One message of a prompt."""

    role: Text
    content: str


class LlmExchange(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """All that was said to a model and by it, and what it cost."""

    connection: Text
    model: str | None = None
    prompt: list[LlmMessage]
    answer: str | None = None
    calls: Count
    input_tokens: Count
    output_tokens: Count
    cost_nanos: Count
    latency_ms: Count


class LlmAnswered(Record, tag_field="type", tag="llm_answered", frozen=True, kw_only=True):
    """What came of a question to a model; without a ``value`` the step's fallback counts."""

    id: Text
    request: Text
    subject_type: SubjectType
    subject: Text
    journey: Text
    version: Text
    enrollment: Text
    step: Text
    task: LlmTask
    value: str | None = None
    reason: str | None = None
    exchange: LlmExchange | None = None
    at_ms: Millis


LlmRecord = LlmAsked | LlmWithdrawn
