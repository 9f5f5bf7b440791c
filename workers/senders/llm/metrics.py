"""Metrics of questions to language models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram

from workers.core.llm.money import NANOS
from workers.step_problems import Bounded

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from schemas.wire import LlmAsked
    from workers.senders.llm.endpoint import Called


class LlmMetrics:
    """Calls, what came of questions, tokens, cost and time; of prompts and answers nothing."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "brimful_llm_calls",
            "Calls of language models that came back, by what they brought.",
            ("connection", "result"),
            registry=registry,
        )
        self._seconds = Histogram(
            "brimful_llm_call_seconds",
            "How long one call of a language model took.",
            ("connection",),
            buckets=(0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300),
            registry=registry,
        )
        self._tokens = Counter(
            "brimful_llm_tokens",
            "Tokens, as endpoints tell them.",
            ("connection", "direction"),
            registry=registry,
        )
        self._cost = Counter(
            "brimful_llm_cost",
            "What calls cost, in the currency of the declared prices.",
            ("connection", "journey"),
            registry=registry,
        )
        self._pauses = Counter(
            "brimful_llm_pauses",
            "Times that an endpoint was left alone for a while because of what it answered.",
            ("connection",),
            registry=registry,
        )
        self._ended = Bounded(
            "brimful_llm_questions",
            "Questions that ended, by what came of them: answered, or why not.",
            ("journey", "step", "outcome"),
            registry,
        )

    def called(self, connection: str, called: Called, *, opened: bool) -> None:
        """Count a call that came back."""
        self._calls.labels(connection, type(called.result).__name__.lower()).inc()
        if called.said is not None:
            self._tokens.labels(connection, "input").inc(called.said.input_tokens)
            self._tokens.labels(connection, "output").inc(called.said.output_tokens)
        if opened:
            self._pauses.labels(connection).inc()

    def took(self, connection: str, seconds: float) -> None:
        """Measure a call."""
        self._seconds.labels(connection).observe(seconds)

    def spent(self, connection: str, journey: str, nanos: int) -> None:
        """Add what a call cost."""
        self._cost.labels(connection, journey).inc(nanos / NANOS)

    def ended(self, asked: LlmAsked, reason: str | None) -> None:
        """Count a question that ended; of the reason the first word."""
        self._ended.count(asked.journey, asked.step, (reason or "answered").partition(":")[0])

    def repeated(self, asked: LlmAsked) -> None:
        """Count a question that came a second time and was dropped."""
        self._ended.count(asked.journey, asked.step, "repeated")
