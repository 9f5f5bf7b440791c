"""A connection to an endpoint that speaks OpenAI's chat completions, with its models, prices and caps."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator

from workers.core.llm.money import NANOS, Caps, Prices
from workers.senders.connection_base import BaseConnection, is_url

PROVIDER: Final = "llm"

_PICOS: Final = 1_000_000
"""A price is for a million tokens: of one token, it is so many trillionths."""

Price: TypeAlias = Annotated[Decimal, Field(ge=0, le=100_000, decimal_places=6)]
"""Of a million tokens, in any currency; the same for all models of a connection."""

Money: TypeAlias = Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=9)]


class Model(BaseModel):
    """A model: its name at the endpoint, and what a million tokens cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    input: Price
    output: Price
    cached_input: Price | None = Field(None, description="Of input that the endpoint had; else the same.")
    thinking_tokens: int = Field(0, ge=0, le=100_000, description="What it may use before it answers.")

    @property
    def prices(self) -> Prices:
        """Of one token."""
        cached = self.input if self.cached_input is None else self.cached_input
        return Prices(int(self.input * _PICOS), int(self.output * _PICOS), int(cached * _PICOS))


class LlmConnection(BaseConnection):
    """An endpoint. ``url`` is the part before ``/chat/completions``.

    ``per_call``, ``per_day`` and ``per_journey`` (and day) are the most that may be spent, in the currency of
    the prices; days are UTC. ``output`` is how the endpoint is told to answer in JSON.
    """

    provider: Literal["llm"]
    url: str
    token: SecretStr | None = None
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    models: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")], Model] = Field(
        min_length=1
    )
    per_day: Money
    per_call: Money | None = None
    per_journey: Money | None = None
    output: Literal["json_schema", "json_object", "text"] = "json_schema"
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    temperature: float | None = Field(0.0, ge=0, le=2)
    attempts: int = Field(3, ge=1, le=10)
    deadline_s: float = Field(30.0, gt=0, le=300)

    _urls = field_validator("url")(is_url)

    def model_post_init(self, context: Any) -> None:
        """A key in the URL would be shown in logs."""
        del context
        if "?" in self.url or "#" in self.url:
            raise ValueError("url ends before /chat/completions, without a query; keys belong into headers")

    @property
    def caps(self) -> Caps:
        """What may be spent."""
        return Caps(
            int(self.per_day * NANOS),
            None if self.per_call is None else int(self.per_call * NANOS),
            None if self.per_journey is None else int(self.per_journey * NANOS),
        )

    def model_called(self, name: str | None) -> Model | None:
        """The model that a step names, or (None) the first; None where there is none of that name."""
        return next(iter(self.models.values())) if name is None else self.models.get(name)
