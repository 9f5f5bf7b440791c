"""Calls one endpoint that speaks OpenAI's chat completions, once, and says what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

from workers.core.llm.prompt import answer_tokens_max, prompt_of, prompt_tokens_max, schema_of
from workers.senders.channels.base import Accepted, DeliveryResult, Misconfigured, RetryAfter
from workers.senders.http.answers import RETRY_MS, by_status, no_answer
from workers.senders.http.client import NoAnswer, Request

if TYPE_CHECKING:
    from schemas.wire import LlmAsked
    from workers.clock import Clock
    from workers.core.llm.money import Caps
    from workers.senders.http.client import Answer, HttpClient
    from workers.senders.limits import Limits
    from workers.senders.llm.connection import LlmConnection, Model

_OK: Final = 200
_TOO_MANY: Final = 429
_QUOTA: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""Codes of a 429 that no waiting mends: somebody has to pay."""

_ANSWER_TEXT_MAX: Final = 20_000

Charged: TypeAlias = Literal["told", "nothing", "unknown"]
"""What is known of a call's cost: the endpoint told it; it was refused; or nobody knows."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a model said. ``problem`` is why it said nothing that could be an answer; None where it did."""

    text: str
    model: str | None
    input_tokens: int
    output_tokens: int
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Called:
    """What came of a call. ``said`` is None where no model answered; ``cost_nanos`` counts where ``told``."""

    result: DeliveryResult
    charged: Charged
    said: Said | None = None
    cost_nanos: int = 0


class Endpoint:
    """One connection. Safe for concurrent calls."""

    def __init__(self, name: str, connection: LlmConnection, client: HttpClient, clock: Clock) -> None:
        self.name = name
        self.limits: Limits = connection.limits
        self.caps: Caps = connection.caps
        self.attempts = connection.attempts
        self.deadline_s = connection.deadline_s
        self._connection = connection
        self._client = client
        self._clock = clock

    def knows(self, asked: LlmAsked) -> bool:
        """Whether the model that a question names is declared."""
        return self._connection.model_called(asked.model) is not None

    def worst_nanos(self, asked: LlmAsked) -> int:
        """What one call costs at most: each byte of the prompt a token, and the longest answer."""
        model = self._model(asked)
        prompt = prompt_tokens_max(prompt_of(asked), schema_of(asked))
        return model.prices.cost_nanos(prompt, self._tokens_max(asked, model))

    async def ask(self, asked: LlmAsked, total_s: float) -> Called:
        """Ask once, for at most ``total_s``. Raises only for bugs and cancellation."""
        connection, model = self._connection, self._model(asked)
        headers = {name: value.get_secret_value() for name, value in connection.headers.items()}
        if connection.token is not None:
            headers["Authorization"] = f"Bearer {connection.token.get_secret_value()}"
        request = Request(
            "POST",
            f"{connection.url.rstrip('/')}/chat/completions",
            {**headers, "Content-Type": "application/json"},
            msgspec.json.encode(self._body(asked, model)),
            total_s=total_s,
            silence_s=total_s,
        )
        try:
            answer = await self._client.call(request)
        except NoAnswer as failure:
            return Called(no_answer(failure), "unknown" if failure.sent else "nothing")
        if answer.status != _OK:
            return Called(self._failure(answer), "nothing")
        return _read(answer, model)

    def _body(self, asked: LlmAsked, model: Model) -> dict[str, Any]:
        connection = self._connection
        body: dict[str, Any] = {
            "model": model.name,
            "messages": prompt_of(asked),
            connection.limit_field: self._tokens_max(asked, model),
        }
        if connection.temperature is not None:
            body["temperature"] = connection.temperature
        if connection.output == "json_schema":
            schema = {"name": "answer", "strict": True, "schema": schema_of(asked)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif connection.output == "json_object":
            body["response_format"] = {"type": "json_object"}
        return body

    def _model(self, asked: LlmAsked) -> Model:
        model = self._connection.model_called(asked.model)
        assert model is not None, "only questions whose model is known are asked"
        return model

    def _tokens_max(self, asked: LlmAsked, model: Model) -> int:
        return answer_tokens_max(asked) + model.thinking_tokens

    def _failure(self, answer: Answer) -> DeliveryResult:
        if answer.status == _TOO_MANY and _code(answer) in _QUOTA:
            return Misconfigured("llm_quota_used_up")
        return by_status(answer.status, answer.headers, self._clock.now_ms())


def _code(answer: Answer) -> str:
    document = answer.json()
    error = document.get("error") if isinstance(document, dict) else None
    code = error.get("code") or error.get("type") if isinstance(error, dict) else None
    return code if isinstance(code, str) else ""


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _Details | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None
    model: str | None = None


_DECODER: Final = msgspec.json.Decoder(_Completion)


def _read(answer: Answer, model: Model) -> Called:
    """A completion; what is none counts as a failure of the endpoint that may have cost something."""
    try:
        completion = _DECODER.decode(answer.body) if answer.whole else None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        completion = None
    if completion is None or not completion.choices:
        return Called(RetryAfter(RETRY_MS, "llm_malformed", "provider"), "unknown")
    choice, usage = completion.choices[0], completion.usage
    text, problem = (choice.message.content or "")[:_ANSWER_TEXT_MAX], None
    if choice.message.refusal is not None or choice.finish_reason == "content_filter":
        text, problem = (choice.message.refusal or text)[:_ANSWER_TEXT_MAX], "refusal"
    elif choice.finish_reason == "length":
        problem = "cut_off"
    if usage is None or min(usage.prompt_tokens, usage.completion_tokens) < 0:
        said = Said(text, completion.model, 0, 0, problem)
        return Called(Accepted(None), "unknown", said)
    said = Said(text, completion.model, usage.prompt_tokens, usage.completion_tokens, problem)
    details = usage.prompt_tokens_details
    cached = (details.cached_tokens or 0) if details is not None else 0
    cost = model.prices.cost_nanos(usage.prompt_tokens, usage.completion_tokens, cached)
    return Called(Accepted(None), "told", said, cost)
