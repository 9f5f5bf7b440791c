"""The gateway's routes as an OpenAPI 3.1 document. A test holds it and the routes together."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from workers.intake.api import IDEMPOTENCY_HEADER
from workers.intake.callbacks import PATH as CALLBACKS
from workers.intake.catalog import MembersBody, ObjectsBody
from workers.intake.clicks import LINK_PATH, PIXEL_PATH
from workers.intake.cloudevents import BATCH, STRUCTURED
from workers.intake.cloudevents import PATH as CLOUDEVENTS
from workers.intake.journeys import EnrollBody, ExitBody
from workers.intake.normalise import CALLS
from workers.intake.people import ConsentBody, TraitsBody
from workers.intake.preferences import PATH as PREFERENCES
from workers.intake.stripe import PATH as STRIPE
from workers.intake.tracking import STRICT_HEADER

_BODIES: Final = (ConsentBody, TraitsBody, ObjectsBody, MembersBody, EnrollBody, ExitBody)
_EVENTS: Final[list[dict[str, list[str]]]] = [{"writeKey": []}, {"apiKeyAsUser": []}, {"apiKey": []}]
_FEED: Final[list[dict[str, list[str]]]] = [{"feedToken": []}]
_ANY: Final[dict[str, Any]] = {"type": "object"}


def document() -> dict[str, Any]:
    """The whole document, of a gateway with everything configured."""
    _, schemas = msgspec.json.schema_components(_BODIES, ref_template="#/components/schemas/{name}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Brimful gateway",
            "version": "1",
            "description": "Events, consent, people, objects, lists, in-app feed, links and callbacks.",
        },
        "paths": {**_events(), **_api(), **_in_app(), **_sdk(), **_links(), **_providers()},
        "components": {
            "schemas": {**schemas, "Problem": _PROBLEM},
            "securitySchemes": {
                "writeKey": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "A write key as the user, no password. It may also stand in the body.",
                },
                "apiKeyAsUser": {"type": "http", "scheme": "basic", "description": "An API key as the user."},
                "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key with scopes."},
                "feedToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A person's token for their feed; as ?token= where no header can be sent.",
                },
            },
        },
    }


_PROBLEM: Final = {
    "type": "object",
    "required": ["success", "code", "message"],
    "properties": {
        "success": {"const": False},
        "code": {"type": "string", "description": "For programs: stable, in snake_case."},
        "message": {"type": "string", "description": "For people."},
    },
}

_SAID: Final = {
    200: "Kept.",
    202: "Kept; applied in a moment.",
    302: "To where the link leads.",
    400: "Nothing was taken; the message names the field.",
    401: "No key, token or signature, or an unknown one.",
    403: "The key has not the scope, or the signature does not fit.",
    404: "No such path, link, list or provider.",
    408: "The body came too slowly.",
    410: "The link is old: a page that shows where it led.",
    413: "The body is too large.",
    415: "Another content type or encoding is needed.",
    429: "Too much: come again after Retry-After.",
    501: "The gateway has no workspace to check against.",
    503: "Kafka is away, or too many requests are in work: come again after Retry-After.",
}
_TAKEN: Final = (400, 401, 408, 413, 415, 429, 503)
_API: Final = (400, 401, 403, 408, 413, 415, 429, 503)


def _answers(good: int, bad: tuple[int, ...], media: str = "application/json") -> dict[str, Any]:
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    answers: dict[str, Any] = {str(good): {"description": _SAID[good]}}
    if media and good != 302:  # noqa: PLR2004 - a redirect has no body
        answers[str(good)]["content"] = {media: {"schema": _ANY if "json" in media else {"type": "string"}}}
    return answers | {str(code): {"description": _SAID[code], "content": problem} for code in sorted(bad)}


def _parameter(name: str, where: str, text: str = "") -> dict[str, Any]:
    said = {"name": name, "in": where, "required": where == "path", "schema": {"type": "string"}}
    return {**said, "description": text} if text else said


def _body(*media: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"required": True, "content": {one: {"schema": schema or _ANY} for one in media}}


def _events() -> dict[str, Any]:
    strict = _parameter(STRICT_HEADER, "header", "1 or true: refuse the request whole if an event is bad.")
    media = ("application/json", "text/plain")
    paths: dict[str, Any] = {
        f"/v1/{call}": {
            "post": {
                "summary": f"One {call} call of the Segment spec.",
                "security": [*_EVENTS, {}],
                "requestBody": _body(*media),
                "responses": _answers(200, (*_TAKEN, 403)),
            }
        }
        for call in CALLS
    }
    paths["/v1/batch"] = {
        "post": {
            "summary": "Many calls; each has its type.",
            "security": [*_EVENTS, {}],
            "parameters": [strict],
            "requestBody": _body(*media),
            "responses": _answers(200, (*_TAKEN, 403)),
        }
    }
    paths[CLOUDEVENTS] = {
        "post": {
            "summary": "CloudEvents 1.0: structured, batched, or binary with ce- headers.",
            "security": _EVENTS,
            "parameters": [strict],
            "requestBody": _body(STRUCTURED, BATCH, "application/json"),
            "responses": _answers(200, (*_TAKEN, 403)),
        }
    }
    return paths


def _call(
    summary: str, scope: str, shape: str | None, bad: tuple[int, ...] = (), more: tuple[Any, ...] = ()
) -> dict[str, Any]:
    key = _parameter(IDEMPOTENCY_HEADER, "header", "The same key, the same records: a retry does no harm.")
    call: dict[str, Any] = {
        "summary": summary,
        "description": f"Needs the scope `{scope}`.",
        "security": [{"apiKey": []}, {"apiKeyAsUser": []}],
        "parameters": [key, *more],
        "responses": _answers(202, (*_API, *bad)),
    }
    if shape is not None:
        reference = {"$ref": f"#/components/schemas/{shape}"}
        call["requestBody"] = _body("application/json", schema=reference)
    return call


def _api() -> dict[str, Any]:
    person = [_parameter("person", "path", "Any id of the person; a slash is written %2F.")]
    segment = [_parameter("segment", "path", "A static segment.")]
    erase = (
        _parameter("reason", "query", "Kept in the request's record, such as a ticket."),
        _parameter("suppress", "query", "Count nothing of them so long, such as 365d."),
        _parameter("account", "query", "Remove them from this account too; may stand several times."),
    )
    feed = _call("What the person's in-app feed holds now.", "people:read", None, (404,))
    stands = _call("Where the subject stands, and what the gate holds.", "journeys:read", None)
    listed = (
        _parameter("step", "query", "Only who stands at this step."),
        _parameter("state", "query", "active (without it), ended, or all."),
        _parameter("limit", "query", "Most that are given at once: 1 to 1,000; without it 100."),
        _parameter("cursor", "query", "What the page before says is next."),
    )
    inside = _call("Who is in a journey, a page at a time.", "journeys:read", None, (), listed)
    inside["responses"] = _answers(200, (400, 401, 403, 404, 429, 503))
    feed["responses"] = stands["responses"] = _answers(200, (400, 401, 403, 404, 429, 503))
    return {
        "/v1/people/{person}": {
            "parameters": person,
            "patch": _call("Set traits; null takes one away.", "people:write", "TraitsBody", (404,)),
            "delete": _call("Forget the person everywhere.", "people:write", None, (404,), erase),
        },
        "/v1/people/{person}/consent": {
            "parameters": person,
            "put": _call("What the person agreed to, or refused.", "consent:write", "ConsentBody", (404,)),
        },
        "/v1/people/{person}/feed": {"parameters": person, "get": feed},
        "/v1/people/{person}/enrollments": {"parameters": person, "get": stands},
        "/v1/accounts/{account}/enrollments": {
            "parameters": [_parameter("account", "path", "The account's id; a slash is written %2F.")],
            "get": stands,
        },
        "/v1/objects": {"post": _call("What objects are like.", "objects:write", "ObjectsBody", (501,))},
        "/v1/lists/{segment}/members": {
            "parameters": segment,
            "post": _call("Put subjects on a list.", "lists:write", "MembersBody", (404, 501)),
            "delete": _call("Take subjects off a list.", "lists:write", "MembersBody", (404, 501)),
        },
        "/v1/journeys/{name}/enroll": {
            "parameters": [_parameter("name", "path", "A journey that is entered on request.")],
            "post": _call("Ask that somebody enters a journey.", "journeys:write", "EnrollBody", (404,)),
        },
        "/v1/journeys/{name}/enrollments": {
            "parameters": [_parameter("name", "path", "A journey; its file may be gone.")],
            "get": inside,
        },
        "/v1/journeys/{name}/exit": {
            "parameters": [_parameter("name", "path", "A journey.")],
            "post": _call("Ask that somebody leaves a journey.", "journeys:write", "ExitBody", (404,)),
        },
    }


def _in_app() -> dict[str, Any]:
    since = _parameter("since", "query", "A cursor: answer when the feed is another one.")
    bad = (401, 429, 503)
    return {
        "/v1/in-app/feed": {
            "get": {
                "summary": "A person's feed; with since as a long poll.",
                "security": _FEED,
                "parameters": [since],
                "responses": _answers(200, bad),
            }
        },
        "/v1/in-app/stream": {
            "get": {
                "summary": "The same as server-sent events.",
                "security": _FEED,
                "responses": _answers(200, bad, "text/event-stream"),
            }
        },
        "/v1/in-app/events": {
            "post": {
                "summary": "What the person did with a message.",
                "security": _FEED,
                "requestBody": _body("application/json"),
                "responses": _answers(200, (400, 401, 408, 413, 503)),
            }
        },
    }


def _sdk() -> dict[str, Any]:
    def get(summary: str, media: str, bad: tuple[int, ...] = ()) -> dict[str, Any]:
        return {"summary": summary, "security": [], "responses": _answers(200, bad, media)}

    name = [_parameter("file", "path", "brimful.js, brimful.mjs, or a name of the manifest.")]
    return {
        "/sdk/v1/manifest.json": {
            "get": get("The JavaScript SDK's files, with their integrity hashes.", "application/json")
        },
        "/sdk/v1/{file}": {
            "parameters": name,
            "get": get("A file of the JavaScript SDK.", "text/javascript", (404,)),
        },
    }


def _links() -> dict[str, Any]:
    token = [_parameter("token", "path", "Signed; it is the right to do this one thing.")]

    def get(summary: str, media: str, good: int = 200, bad: tuple[int, ...] = (404,)) -> dict[str, Any]:
        return {"summary": summary, "security": [], "responses": _answers(good, bad, media)}

    def post(summary: str) -> dict[str, Any]:
        form = _body("application/x-www-form-urlencoded")
        answers = _answers(200, (400, 404, 503), "text/html")
        return {"summary": summary, "security": [], "requestBody": form, "responses": answers}

    asks = "text/html"
    return {
        "/u/{token}": {
            "parameters": token,
            "get": get("Asks; changes nothing.", asks),
            "post": post("Unsubscribes from e-mail (RFC 8058)."),
        },
        PREFERENCES: {
            "parameters": token,
            "get": get("The choices of the person; changes nothing.", asks),
            "post": post("Saves what was chosen."),
        },
        LINK_PATH: {
            "parameters": token,
            "get": get("Counts a click and leads on.", "", 302, (404, 410)),
        },
        PIXEL_PATH: {"parameters": token, "get": get("Counts an open.", "image/gif")},
    }


def _providers() -> dict[str, Any]:
    name = [_parameter("provider", "path", "A configured provider.")]

    def post(summary: str, bad: tuple[int, ...]) -> dict[str, Any]:
        body = _body("application/json")
        return {"summary": summary, "security": [], "requestBody": body, "responses": _answers(200, bad)}

    return {
        CALLBACKS: {
            "parameters": name,
            "post": post("What a provider tells of messages, signed.", (401, 403, 404, 408, 413, 503)),
        },
        STRIPE: {"post": post("Stripe's webhook, signed.", (400, 408, 413, 503))},
    }
