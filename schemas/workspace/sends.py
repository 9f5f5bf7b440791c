"""What a step sends: a message over a channel, in one of several variants."""

from __future__ import annotations

from collections.abc import Iterable  # noqa: TC003  pydantic reads the names of the module at run time
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, get_args

from pydantic import BeforeValidator, Field, PlainSerializer, TypeAdapter, WithJsonSchema, model_validator

from schemas.workspace.base import Identifier, Model, TemplateName, described, refuse
from schemas.workspace.gate import BEST_HOUR, HoursList, LocalTime, MaxHold, OnCap, format_time

WHOLE: Final = 100
"""What the weights of a split add up to."""

SendChannel: TypeAlias = Literal["in_app", "email", "sms", "push", "webhook"]
"""The channels that a step can name."""

SENDERS: Final[tuple[SendChannel, ...]] = get_args(SendChannel)
"""The channels over which messages are delivered: the senders read the topic of each."""


def _weight(value: Any) -> Any:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    # 33.34 * 100 is a hair above 3334.
    if not plain or not 0 <= value <= WHOLE or round(value * 100) / 100 != value:
        refuse("weight", f"a weight is a number from 0 to 100, at most two decimals; not {described(value)}")
    return value


Weight: TypeAlias = Annotated[float, BeforeValidator(_weight), Field(ge=0, le=WHOLE)]
"""A share in percent. The weights of a step add up to 100."""


def add_up(weights: Iterable[float]) -> None:
    """Refuse weights that are not all of everybody."""
    total = sum(round(weight * 100) for weight in weights)
    if total != WHOLE * 100:
        refuse("weights", f"the weights add up to {total / 100:g}, and everybody is 100: change one of them")


def _send_at(value: Any) -> Any:
    return value if value == BEST_HOUR else _LOCAL_TIME.validate_python(value)


_LOCAL_TIME: Final[TypeAdapter[int]] = TypeAdapter(LocalTime)

SendAt: TypeAlias = Annotated[
    int | str,
    BeforeValidator(_send_at),
    PlainSerializer(lambda value: format_time(value) if isinstance(value, int) else value, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["09:00", BEST_HOUR]}),
]
"""A time of day, held as its minute, or ``best_hour``."""


class Send(Model):
    """One message: a channel and its template; for a webhook the name of the call."""

    in_app: TemplateName | None = None
    email: TemplateName | None = None
    sms: TemplateName | None = None
    push: TemplateName | None = None
    webhook: TemplateName | None = None
    once: Literal["user", "account"] | None = Field(
        None,
        description="Once, ever: user, for a person; account, for an account, whose journey calls a webhook.",
    )
    topic: Identifier | None = Field(None, description="What it is about, for consent; else the journey's.")
    at: SendAt | None = Field(
        None, description="A time of day in the person's zone, or best_hour: when they tend to engage."
    )
    fallback: LocalTime = Field(10 * 60, description="The time for best_hour of whom too little is known.")
    window: HoursList | None = Field(None, description="It goes out in these hours only; else the journey's.")
    on_cap: OnCap | None = Field(None, description="What becomes of it at a cap; else what the cap says.")
    max_hold: MaxHold | None = Field(None, description="Skipped when held so long; else the workspace's.")

    @model_validator(mode="after")
    def _one_channel(self) -> Self:
        named = [channel for channel in get_args(SendChannel) if getattr(self, channel) is not None]
        if len(named) != 1:
            channels = ", ".join(get_args(SendChannel))
            refuse("send", f"send has exactly one of {channels}: the name of a template")
        if self.once == "account" and self.webhook is None:
            refuse("send", "once: account is about webhooks; who gets a message is a person: once: user")
        if self.webhook is not None and self.at == BEST_HOUR:
            refuse("send", "best_hour is when a person tends to engage, and a webhook reaches nobody")
        if self.webhook is not None and self.topic is not None:
            refuse("send", "topic is about consent, and a webhook asks for none")
        return self

    @property
    def channel(self) -> SendChannel:
        """The channel it goes over."""
        found: SendChannel = next(one for one in get_args(SendChannel) if getattr(self, one) is not None)
        return found

    @property
    def template(self) -> str:
        """The name of the template."""
        name: str = getattr(self, self.channel)
        return name


class Variant(Model):
    """One variant of a message: its share, and where it has one its own template."""

    weight: Weight = 0
    template: TemplateName | None = Field(None, description="Instead of the step's; of the same channel.")


def _variant(value: Any) -> Any:
    return value if isinstance(value, (dict, Variant)) else {"weight": value}


Variants: TypeAlias = Annotated[
    dict[Identifier, Annotated[Variant, BeforeValidator(_variant)]], Field(min_length=2, max_length=20)
]
"""Variants by name: ``{short: 50, long: 50}``, or with ``{weight, template}`` each."""
