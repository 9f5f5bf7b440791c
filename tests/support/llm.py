"""A fake of an endpoint that speaks OpenAI's chat completions, by its documented contract.

It refuses what the real one refuses (a wrong key, an unknown model, a body that is none, a schema that strict
mode does not take), counts tokens, and says what it is told to. Served by ``http_server``; ``faults`` as of
the other fakes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from tests.support.http import Received, Reply
from tests.support.providers import Provider, answer

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "sk-right"
LONGEST = 100_000
"""Tokens that the model takes in."""

Say: TypeAlias = "Callable[[dict[str, Any]], str | dict[str, Any]]"
"""The model: from the body of a request to what it says, or to a whole ``choices[0]``."""


def problem(status: int, message: str, code: str | None = None, **headers: str) -> Reply:
    """An error as OpenAI words it."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return answer(status, {"error": error}, **headers)


def rate_limited(seconds: int) -> Reply:
    """429, with the time to wait."""
    return problem(429, "Rate limit reached", "rate_limit_exceeded", Retry_After=str(seconds))


def out_of_quota() -> Reply:
    """429 that no waiting mends."""
    return problem(429, "You exceeded your current quota", "insufficient_quota")


def tokens(text: str) -> int:
    """What the fake counts: about four bytes for a token, as real ones do."""
    return len(text.encode()) // 4 + 1


@dataclass
class ChatServer(Provider):
    """``POST /v1/chat/completions``. ``completions`` are the bodies that it answered with a completion."""

    say: Say = lambda _body: '{"label": "other"}'
    models: tuple[str, ...] = ("small-2026", "large-2026")
    tells_usage: bool = True
    completions: list[dict[str, Any]] = field(default_factory=list)
    usage: list[tuple[int, int]] = field(default_factory=list)
    """Tokens in and out of each completion: what the endpoint would put on the bill."""

    def take(self, request: Received) -> Reply:
        """A completion, or why there is none."""
        if request.path != "/v1/chat/completions" or request.method != "POST":
            return problem(404, f"Invalid URL ({request.method} {request.path})")
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return problem(401, "Incorrect API key provided", "invalid_api_key")
        try:
            body = json.loads(request.body)
        except ValueError:
            return problem(400, "We could not parse the JSON body of your request.")
        wrong = self._wrong(body)
        return wrong if wrong is not None else self._complete(body)

    def _wrong(self, body: dict[str, Any]) -> Reply | None:
        if body.get("model") not in self.models:
            return problem(404, f"The model `{body.get('model')}` does not exist", "model_not_found")
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            return problem(400, "'messages' is a required property")
        for message in messages:
            if message.get("role") not in ("system", "user", "assistant") or "content" not in message:
                return problem(400, "Invalid value for 'messages'")
        if self._counted(body) > LONGEST:
            return problem(400, "maximum context length", "context_length_exceeded")
        limits = [body[name] for name in ("max_tokens", "max_completion_tokens") if name in body]
        if len(limits) > 1 or any(not isinstance(one, int) or one < 1 for one in limits):
            return problem(400, "Invalid value for 'max_tokens'")
        return _wrong_format(body.get("response_format", {"type": "text"}), messages)

    def _complete(self, body: dict[str, Any]) -> Reply:
        said = self.say(body)
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "logprobs": None}
        if isinstance(said, str):
            choice["message"] = {"role": "assistant", "content": said, "refusal": None}
        else:
            choice |= said
        counted = (self._counted(body), tokens(choice["message"].get("content") or ""))
        self.completions.append(body)
        self.usage.append(counted)
        completion: dict[str, Any] = {
            "id": f"chatcmpl-{len(self.completions)}",
            "object": "chat.completion",
            "created": 1_773_480_000,
            "model": body["model"],
            "choices": [choice],
        }
        if self.tells_usage:
            completion["usage"] = {
                "prompt_tokens": counted[0],
                "completion_tokens": counted[1],
                "total_tokens": sum(counted),
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            }
        return answer(200, completion)

    def _counted(self, body: dict[str, Any]) -> int:
        return sum(4 + tokens(str(message["content"])) for message in body["messages"])

    def count(self) -> int:
        """How many completions were made."""
        return len(self.completions)


def _wrong_format(wanted: dict[str, Any], messages: list[dict[str, Any]]) -> Reply | None:
    if wanted["type"] == "text":
        return None
    if wanted["type"] == "json_object":
        if not any("json" in message["content"].lower() for message in messages):
            return problem(400, "'messages' must contain the word 'json' in some form")
        return None
    if wanted["type"] != "json_schema":
        return problem(400, "Invalid value for 'response_format.type'")
    asked = wanted.get("json_schema", {})
    schema = asked.get("schema", {})
    strict = (
        schema.get("type") == "object"
        and schema.get("additionalProperties") is False
        and schema.get("required") == list(schema.get("properties", {}))
    )
    if not asked.get("name") or (asked.get("strict") and not strict):
        return problem(400, "Invalid schema for response_format")
    return None


def shown(body: dict[str, Any]) -> str:
    """The data of a prompt, as the model sees it."""
    return str(body["messages"][-1]["content"])


__all__ = ["KEY", "ChatServer", "Reply", "out_of_quota", "problem", "rate_limited", "shown", "tokens"]
