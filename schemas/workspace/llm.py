"""What a step asks a language model: a label, an approved variant, or a short text. docs/llm.md says how."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from schemas.fields import LlmTask  # noqa: TC001  pydantic reads it at run time
from schemas.slots import SlotRules, slot_problem
from schemas.workspace.base import (
    AsList,
    Duration,
    Identifier,
    Identifiers,
    Model,
    Path,
    described,
    format_duration,
    refuse,
)

MAX_OPTIONS: Final = 20
"""Labels or variants of one step."""

MAX_DATA: Final = 20
"""Values that a model is shown."""

MAX_TEXT_CHARS: Final = 1_000
"""Longest text that a model may write into a message."""

MAX_INSTRUCTION_CHARS: Final = 4_000
MIN_TIMEOUT_MS: Final = 5_000
MAX_TIMEOUT_MS: Final = 86_400_000
"""Requests are kept for a day, and what was meant as an answer to now is none tomorrow."""

_HOST: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,62}")

DATA_KINDS: Final = ("trait", "account", "property", "awaited")


class Shown(Model):
    """One value that the model is shown: of the subject, its account, the trigger, or the awaited event."""

    trait: Path | None = None
    account: Path | None = Field(None, description="A trait of the user's account.")
    property_: Path | None = Field(None, alias="property", description="Of the event that began the journey.")
    awaited: Path | None = Field(None, description="A property of the event that was waited for last.")

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if sum(one is not None for one in (self.trait, self.account, self.property_, self.awaited)) != 1:
            refuse("field", f"a value is named by exactly one of {', '.join(DATA_KINDS)}")
        return self

    @property
    def source(self) -> tuple[str, str]:
        """Where it lies, one of :data:`DATA_KINDS`, and its name there."""
        named = (self.trait, self.account, self.property_, self.awaited)
        return next((kind, one) for kind, one in zip(DATA_KINDS, named, strict=True) if one is not None)


def _options(value: Any) -> Any:
    if isinstance(value, list):
        if len(set(map(str, value))) < len(value):
            refuse("options", "each of them has a name of its own")
        return dict.fromkeys(value, "")
    return value


Options: TypeAlias = Annotated[
    dict[Identifier, Annotated[str, Field(max_length=500)]],
    BeforeValidator(_options, json_schema_input_type=list[Identifier] | dict[Identifier, str]),
    Field(min_length=2, max_length=MAX_OPTIONS),
]
"""Names, each with what it means; or a list of names."""


def _host(value: str) -> str:
    if _HOST.fullmatch(value) is None:
        refuse("host", f"a host is written as in a link, such as example.com; not {described(value)}")
    return value


def _phrase(value: str) -> str:
    if not any(letter.isalnum() for letter in value):
        refuse("phrase", f"a phrase that is forbidden has letters or digits; not {described(value)}")
    return value


class Fill(Model):
    """The text that the model may write: plain, on one line, within these bounds."""

    max_chars: Annotated[int, Field(ge=10, le=MAX_TEXT_CHARS)]
    forbid: Annotated[
        tuple[Annotated[str, Field(max_length=100), AfterValidator(_phrase)], ...],
        AsList,
        Field(max_length=100, description='Words and phrases, in any case; * is any letters: "guarant*".'),
    ] = ()
    links: Annotated[
        tuple[Annotated[str, AfterValidator(_host)], ...],
        AsList,
        Field(max_length=20, description="Hosts that it may link to; otherwise links are refused."),
    ] = ()

    @property
    def rules(self) -> SlotRules:
        """What a text has to keep."""
        return SlotRules(self.max_chars, self.forbid, self.links)


def _timeout(value: int) -> int:
    if not MIN_TIMEOUT_MS <= value <= MAX_TIMEOUT_MS:
        refuse("timeout", f"a model is waited for from 5s to 1d; not {format_duration(value)}")
    return value


class Llm(Model):
    """One question to a language model, whose answer can only be one of the approved outcomes.

    Exactly one of ``classify``, ``choose`` and ``fill`` says what is asked for.
    """

    connection: Identifier = Field(description="A connection of the provider llm (docs/channels.md).")
    model: Identifier | None = Field(None, description="One of the connection's models; else its first.")
    classify: Options | None = Field(None, description="Labels, each with what it means.")
    choose: Options | None = Field(None, description="Variants of a message, each with whom it is for.")
    fill: Fill | None = Field(None, description="A short text, shown by templates as llm.ID.")
    instruction: Annotated[str, Field(min_length=1, max_length=MAX_INSTRUCTION_CHARS)]
    data: Annotated[dict[Identifier, Shown], Field(min_length=1, max_length=MAX_DATA)] = Field(
        description="What the model is shown, and nothing else."
    )
    timeout: Annotated[Duration, AfterValidator(_timeout)] = Field(
        600_000, description="Then the fallback counts."
    )
    fallback: Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS)] = Field(
        description="The label, the variant or the text where there is no answer that can be taken."
    )
    in_shadow: bool = Field(False, description="true: the model is asked in a shadow of the journey as well.")

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if sum(one is not None for one in (self.classify, self.choose, self.fill)) != 1:
            refuse("llm", "an llm step has exactly one of classify, choose and fill")
        if self.options is not None and self.fallback not in self.options:
            refuse("fallback", f"the fallback is one of {', '.join(self.options)}; not {self.fallback!r}")
        if self.fill is not None and (problem := slot_problem(self.fallback, self.fill.rules)) is not None:
            refuse("fallback", f"the fallback has to keep the rules of the text: {problem}")
        return self

    @property
    def task(self) -> LlmTask:
        """What is asked for."""
        if self.classify is not None:
            return "classify"
        return "choose" if self.choose is not None else "fill"

    @property
    def options(self) -> dict[str, str] | None:
        """The approved labels or variants; None where a text is asked for."""
        return self.classify if self.classify is not None else self.choose


class LlmCondition(Model):
    """What came of an LLM step of the journey; missing where the enrollment has not come by it."""

    llm: Identifier = Field(description="The id of the step.")
    is_: Identifiers = Field(alias="is", description="One of its labels or variants, or several.")
