"""Records of the LLM step: what a journey asks a model, that nobody waits any more, and what came of it."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from schemas.fields import (  # noqa: TC001  pydantic reads them at run time
    Count,
    LlmTask,
    Millis,
    SubjectType,
    Text,
    Values,
)
from schemas.records.base import Part, Record


class LlmAsked(Record):
    """A journey's step asks a model something about its subject."""

    type: Literal["llm_asked"]
    id: Text = Field(description="The same whenever the same step asks again; asked once.")
    connection: Text = Field(description="Name of the connection to the endpoint, and the record's key.")
    model: str | None = Field(None, description="One of the connection's models; absent: its first.")
    subject_type: SubjectType
    subject: Text
    journey: Text
    version: Text
    enrollment: Text
    step: Text
    task: LlmTask
    instruction: Text = Field(description="What the journey's author wants to know.")
    options: dict[str, str] | None = Field(
        None, description="The approved labels or variants, each with what it means; absent: a text."
    )
    data: Values = Field(description="What the model is shown of the subject and its events.")
    max_chars: Count | None = Field(None, description="Longest text, where one is asked for.")
    forbid: list[str] | None = Field(None, description="Phrases that the text must not have; * is any word.")
    links: list[str] | None = Field(None, description="Hosts that the text may link to; absent: none.")
    until_ms: Millis = Field(description="When the step goes on without an answer.")
    at_ms: Millis


class LlmWithdrawn(Record):
    """Nobody waits for an answer any more: the enrollment ended, or its person was erased."""

    type: Literal["llm_withdrawn"]
    id: Text
    request: Text = Field(description="Id of the question.")
    connection: Text = Field(description="The record's key.")
    at_ms: Millis


class LlmMessage(Part):
    """One message of a prompt."""

    role: Text
    content: str


class LlmExchange(Part):
    """All that was said to a model and by it, and what it cost."""

    connection: Text
    model: str | None = Field(None, description="The model that answered, as the endpoint names it.")
    prompt: list[LlmMessage]
    answer: str | None = Field(None, description="What the model said last, as it came.")
    calls: Count
    input_tokens: Count = Field(description="Over all calls, as the endpoint tells.")
    output_tokens: Count
    cost_nanos: Count = Field(description="Over all calls, in billionths of the currency of the prices.")
    latency_ms: Count = Field(description="From the question to its end.")


class LlmAnswered(Record):
    """What came of a question to a model; without a value the step's fallback counts."""

    type: Literal["llm_answered"]
    id: Text
    request: Text = Field(description="Id of the question.")
    subject_type: SubjectType
    subject: Text
    journey: Text
    version: Text
    enrollment: Text
    step: Text
    task: LlmTask
    value: str | None = Field(None, description="The label, the variant or the text; checked.")
    reason: str | None = Field(None, description="Why there is no value.")
    exchange: LlmExchange | None = Field(None, description="Absent where nothing was asked.")
    at_ms: Millis


LlmRecord: TypeAlias = Annotated[LlmAsked | LlmWithdrawn, Field(discriminator="type")]
"""One record of ``llm-requests``."""
