"""LLM steps in few words, and what came back of their questions."""

from __future__ import annotations

from typing import Any

from schemas import wire

REPLY: dict[str, Any] = {"reply": {"property": "text"}}


def classify(name: str = "intent", **fields: Any) -> dict[str, Any]:
    """A step that asks whether a reply is interested."""
    asked = {
        "connection": "assistant",
        "classify": ["interested", "not_now", "other"],
        "instruction": "What does the customer want?",
        "data": REPLY,
        "timeout": "10m",
        "fallback": "other",
    }
    return {"id": name, "llm": {**asked, **fields}}


def choose(name: str = "pick", **fields: Any) -> dict[str, Any]:
    """A step that chooses between a short and a long mail."""
    asked = {
        "connection": "assistant",
        "choose": {"short": "who writes briefly", "long": "who asks for details"},
        "instruction": "Which mail fits?",
        "data": REPLY,
        "timeout": "10m",
        "fallback": "short",
    }
    return {"id": name, "llm": {**asked, **fields}}


def fill(name: str = "opening", **fields: Any) -> dict[str, Any]:
    """A step that writes a sentence."""
    asked = {
        "connection": "assistant",
        "fill": {"max_chars": 80, "forbid": ["free", "guarant*"], "links": ["example.com"]},
        "instruction": "One friendly sentence.",
        "data": REPLY,
        "timeout": "10m",
        "fallback": "Your team is close to its limit.",
    }
    return {"id": name, "llm": {**asked, **fields}}


CHOSEN: dict[str, Any] = {
    "send": {"email": "mail"},
    "variants": {"short": {"template": "mail_short"}, "long": {}},
    "chosen_by": "pick",
}


def branch(**targets: str) -> dict[str, Any]:
    """A branch by what the step ``intent`` said: a banner of that name for each label."""
    arms: list[dict[str, Any]] = [
        {"when": {"llm": "intent", "is": label}, "steps": [{"send": {"in_app": banner}}]}
        for label, banner in targets.items()
    ]
    return {"branch": [*arms, {"otherwise": [{"send": {"in_app": "otherwise"}}]}]}


def answered(question: wire.LlmAsked, value: str | None, **fields: Any) -> wire.LlmAnswered:
    """The record that comes back."""
    exchange = wire.LlmExchange(
        connection=question.connection,
        model="small",
        prompt=[wire.LlmMessage(role="user", content="prompt")],
        answer="{}",
        calls=1,
        input_tokens=100,
        output_tokens=5,
        cost_nanos=1_500,
        latency_ms=700,
    )
    plain: dict[str, Any] = {
        "id": f"a-{question.id}",
        "request": question.id,
        "subject_type": question.subject_type,
        "subject": question.subject,
        "journey": question.journey,
        "version": question.version,
        "enrollment": question.enrollment,
        "step": question.step,
        "task": question.task,
        "value": value,
        "reason": None if value is not None else "http_400",
        "exchange": exchange,
        "at_ms": question.at_ms + 700,
    }
    return wire.LlmAnswered(**{**plain, **fields})
