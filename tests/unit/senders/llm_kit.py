"""Connections to a fake endpoint, and questions for it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic import SecretStr

from schemas import wire
from tests.support.llm import KEY
from workers.senders.llm.connection import LlmConnection, Model

NOW = 1_773_480_000_000
"""16 hours into a day."""

MINUTE = 60_000
SMALL = Model(name="small-2026", input=Decimal("0.15"), output=Decimal("0.6"))


def connection_to(url: str, **fields: Any) -> LlmConnection:
    """A connection with a small model, and ten a day."""
    plain: dict[str, Any] = {
        "provider": "llm",
        "url": f"{url}/v1",
        "token": SecretStr(KEY),
        "models": {"small": SMALL},
        "per_day": Decimal(10),
        "deadline_s": 0.5,
    }
    return LlmConnection(**{**plain, **fields})


def asked(name: str = "q1", **fields: Any) -> wire.LlmAsked:
    """A question about a reply."""
    plain: dict[str, Any] = {
        "id": name,
        "connection": "assistant",
        "subject_type": "user",
        "subject": "u1",
        "journey": "upsell",
        "version": "v",
        "enrollment": "e",
        "step": "intent",
        "task": "classify",
        "instruction": "What does the customer want?",
        "options": {"interested": "wants to buy", "other": ""},
        "data": {"reply": "Yes, please"},
        "until_ms": NOW + 10 * MINUTE,
        "at_ms": NOW,
    }
    return wire.LlmAsked(**{**plain, **fields})


def slot(name: str = "q1", **fields: Any) -> wire.LlmAsked:
    """A question for a text."""
    plain = {"task": "fill", "options": None, "max_chars": 80, "step": "opening"}
    return asked(name, **{**plain, **fields})
