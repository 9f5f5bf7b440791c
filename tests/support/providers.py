"""Fakes of the providers of webhooks, by their documented contracts, to be served by ``http_server``.

Each keeps what it took. ``faults`` are met by the next requests, one each, before a fake looks at them:
a reply instead of its own, ``cut_before`` and ``hang`` (without having taken it), or ``cut_after`` (it took
it, and the answer is lost).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections import deque
from dataclasses import dataclass, field
from email import message_from_bytes
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.support.http import Fault, Received, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def answer(status: int, body: Any = None, **headers: str) -> Reply:
    """A JSON answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, b"" if body is None else json.dumps(body).encode(), named)


@dataclass
class Provider:
    """What all fakes have."""

    faults: deque[Reply | Fault] = field(default_factory=deque)
    chance: Callable[[], Reply | Fault | None] | None = None
    """Asked for a fault where ``faults`` are used up."""

    async def handle(self, request: Received) -> Reply | Fault:
        """Answer a request."""
        fault = self.faults.popleft() if self.faults else self.chance() if self.chance else None
        if fault is not None and fault != "cut_after":
            return fault
        reply = self.take(request)
        return "cut_after" if fault == "cut_after" else reply

    def take(self, request: Received) -> Reply:
        """What the provider does."""
        raise NotImplementedError

    def count(self) -> int:
        """How many messages the provider has."""
        raise NotImplementedError


@dataclass
class Receiver(Provider):
    """A receiver of Standard Webhooks: verifies with the official library, and drops what it has had."""

    secret: str = SECRET
    had: dict[str, Any] = field(default_factory=dict)
    repeats: int = 0

    def take(self, request: Received) -> Reply:
        """204, or 401 for a signature that does not verify."""
        try:
            # The library looks at the clock: what a test signs at another time is brought to now.
            body = Webhook(self.secret).verify(request.body.decode(), request.headers)
        except WebhookVerificationError:
            return answer(401)
        name = request.headers["webhook-id"]
        self.repeats += name in self.had
        self.had.setdefault(name, body)
        return answer(204)

    def count(self) -> int:
        """As the protocol says."""
        return len(self.had)


@dataclass
class SlackServer(Provider):
    """``chat.postMessage`` and incoming webhooks."""

    token: str = "xoxb-right"
    channels: tuple[str, ...] = ("C1", "C2")
    posted: list[dict[str, Any]] = field(default_factory=list)

    def take(self, request: Received) -> Reply:
        """200 with ``ok``, or a plain text for incoming webhooks."""
        body = json.loads(request.body)
        if request.path.startswith("/services/"):
            return self._hook(request.path, body)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return answer(200, {"ok": False, "error": "invalid_auth"})
        if body["channel"] not in self.channels:
            return answer(200, {"ok": False, "error": "channel_not_found"})
        wrong = self._wrong(body)
        if wrong:
            return answer(200, {"ok": False, "error": wrong})
        self.posted.append(body)
        return answer(
            200, {"ok": True, "channel": body["channel"], "ts": f"1773480000.{len(self.posted):06}"}
        )

    def _hook(self, path: str, body: dict[str, Any]) -> Reply:
        if path != "/services/T/B/right":
            return Reply(404, b"no_service")
        wrong = self._wrong(body)
        if wrong or "channel" in body:
            return Reply(400, (wrong or "invalid_payload").encode())
        self.posted.append(body)
        return Reply(200, b"ok")

    def _wrong(self, body: dict[str, Any]) -> str:
        if not body.get("text"):
            return "no_text"
        blocks = body.get("blocks", [])
        return "" if all(isinstance(block.get("type"), str) for block in blocks) else "invalid_blocks"

    def count(self) -> int:
        """As the protocol says."""
        return len(self.posted)


@dataclass
class HubSpotServer(Provider):
    """CRM objects of the v3 API: batch upsert by a unique property, search, create, update, associations."""

    token: str = "pat-right"
    unique: dict[str, set[str]] = field(
        default_factory=lambda: {
            "contacts": {"email"},
            "companies": {"hs_object_id"},
            **{kind: {"brimful_message_id"} for kind in ("deals", "tasks", "notes")},
        }
    )
    properties: set[str] = field(default_factory=set)
    """Properties that do not exist."""

    objects: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    associations: set[tuple[str, str, str, str]] = field(default_factory=set)
    files: dict[str, Any] = field(default_factory=dict)

    def take(self, request: Received) -> Reply:  # noqa: PLR0911 - one for each path
        """By path and method."""
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return answer(401, {"status": "error", "category": "INVALID_AUTHENTICATION"})
        parts = urlsplit(request.path).path.strip("/").split("/")
        if parts[:3] == ["files", "v3", "files"]:
            form = message_from_bytes(
                b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n" + request.body
            )
            files = [part for part in form.walk() if part.get_filename()]
            if len(files) != 1 or b'"access"' not in request.body:
                return answer(400, {"category": "VALIDATION_ERROR"})
            name = str(files[0].get_filename())
            self.files[name] = files[0].get_payload(decode=True)
            return answer(201, {"id": name})
        body = json.loads(request.body) if request.body else {}
        match request.method, parts:
            case "POST", ["crm", "v3", "objects", kind, "batch", "upsert"]:
                return self._upsert(kind, body["inputs"])
            case "POST", ["crm", "v3", "objects", kind, "search"]:
                return self._search(kind, body)
            case "POST", ["crm", "v3", "objects", kind]:
                return self._write(kind, None, body["properties"], 201)
            case "PATCH", ["crm", "v3", "objects", kind, name]:
                return self._write(kind, name, body["properties"], 200)
            case "PUT", ["crm", "v4", "objects", kind, name, "associations", "default", other, its]:
                if name not in self.objects.get(kind, {}) or its not in self.objects.get(other, {}):
                    return answer(404, {"category": "OBJECT_NOT_FOUND"})
                self.associations.add((kind, name, other, its))
                return answer(200, {"status": "COMPLETE"})
            case _:
                return answer(404, {"message": "no such path"})

    def _upsert(self, kind: str, inputs: list[dict[str, Any]]) -> Reply:
        results = []
        for one in inputs:
            if one["idProperty"] not in self.unique.get(kind, set()):
                return answer(400, {"category": "VALIDATION_ERROR", "message": "not a unique property"})
            held = self.objects.setdefault(kind, {})
            found = [name for name, row in held.items() if row.get(one["idProperty"]) == one["id"]]
            reply = self._write(
                kind, found[0] if found else None, {**one["properties"], one["idProperty"]: one["id"]}, 200
            )
            if reply.status != 200:
                return reply
            results.append({**json.loads(reply.body), "new": not found})
        return answer(200, {"status": "COMPLETE", "results": results})

    def _search(self, kind: str, body: dict[str, Any]) -> Reply:
        (only,) = body["filterGroups"][0]["filters"]
        rows = self.objects.get(kind, {}).items()
        found = [{"id": name} for name, row in rows if row.get(only["propertyName"]) == only["value"]]
        return answer(200, {"total": len(found), "results": found[: body.get("limit", 10)]})

    def _write(self, kind: str, name: str | None, properties: dict[str, Any], status: int) -> Reply:
        if self.properties & set(properties):
            return answer(
                400, {"category": "VALIDATION_ERROR", "errors": [{"code": "PROPERTY_DOESNT_EXIST"}]}
            )
        held = self.objects.setdefault(kind, {})
        name = name or f"{kind}-{len(held) + 1}"
        held.setdefault(name, {}).update(properties)
        return answer(status, {"id": name, "properties": held[name]})

    def count(self) -> int:
        """Deals: one per message in the tests that count."""
        return len(self.objects.get("deals", {}))


@dataclass
class SalesforceServer(Provider):
    """OAuth tokens, and upserts by external id."""

    client: tuple[str, str] = ("client", "right")
    login_faults: deque[Reply | Fault] = field(default_factory=deque)
    url: str = ""
    issued: int = 0
    valid: set[str] = field(default_factory=set)
    external: dict[str, set[str]] = field(
        default_factory=lambda: {
            name: {"Brimful_Id__c"} for name in ("Account", "Contact", "Opportunity", "Task")
        }
    )
    missing: set[str] = field(default_factory=set)
    """Fields that do not exist."""

    records: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    ids: dict[tuple[str, str], str] = field(default_factory=dict)

    async def handle(self, request: Received) -> Reply | Fault:
        """Logins meet no faults but those of ``login_faults``."""
        if request.path == "/services/oauth2/token":
            return self.login_faults.popleft() if self.login_faults else self.take(request)
        return await super().handle(request)

    def take(self, request: Received) -> Reply:
        """By path."""
        path = urlsplit(request.path).path
        if path == "/services/oauth2/token":
            return self._token({key: one[0] for key, one in parse_qs(request.body.decode()).items()})
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.valid:
            return answer(401, [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired"}])
        parts = path.strip("/").split("/")
        if request.method != "PATCH" or parts[:2] != ["services", "data"] or parts[3] != "sobjects":
            return answer(404, [{"errorCode": "NOT_FOUND", "message": ""}])
        return self._upsert(parts[4], parts[5], unquote(parts[6]), json.loads(request.body))

    def _token(self, form: dict[str, str]) -> Reply:
        if form["grant_type"] == "client_credentials":
            allowed = (form.get("client_id"), form.get("client_secret")) == self.client
        else:
            allowed = len(form.get("assertion", "").split(".")) == 3
        if not allowed:
            return answer(400, {"error": "invalid_client", "error_description": "invalid client credentials"})
        self.issued += 1
        token = f"token-{self.issued}"
        self.valid.add(token)
        return answer(200, {"access_token": token, "instance_url": self.url, "token_type": "Bearer"})

    def _upsert(self, kind: str, key: str, value: str, fields: dict[str, Any]) -> Reply:
        if key not in self.external.get(kind, set()):
            return answer(404, [{"errorCode": "NOT_FOUND", "message": "Provided external ID field"}])
        if self.missing & set(fields):
            return answer(400, [{"errorCode": "INVALID_FIELD", "message": "No such column"}])
        name = (kind, value)
        created = name not in self.records
        self.records.setdefault(name, {}).update(fields)
        self.ids.setdefault(name, f"{kind[:3]}{len(self.ids) + 1:015}")
        return answer(201 if created else 200, {"id": self.ids[name], "success": True, "created": created})

    def expire(self) -> None:
        """All sessions end."""
        self.valid.clear()

    def count(self) -> int:
        """Tasks: one per message in the tests that count."""
        return sum(kind == "Task" for kind, _ in self.records)


def now_ms() -> int:
    """The wall clock: receivers of signed webhooks compare with theirs."""
    return time.time_ns() // 1_000_000


@dataclass
class SesServer(Provider):
    """Amazon SES, API version 2: ``SendEmail`` with a raw mail. ``refuse`` are errors by recipient."""

    region: str = "eu-central-1"
    access_key_id: str = "AKIDEXAMPLE"
    secret_access_key: str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    verified: tuple[str, ...] = ("example.com",)
    mails: list[dict[str, Any]] = field(default_factory=list)

    def take(self, request: Received) -> Reply:
        """200 with the message's id; errors by name in header and body."""
        if request.path != "/v2/email/outbound-emails":
            return self.error(404, "NotFoundException")
        if not self._signed(request):
            return self.error(403, "InvalidSignatureException")
        body = json.loads(request.body)
        if set(body) - {"FromEmailAddress", "Destination", "Content", "ConfigurationSetName",
                        "FeedbackForwardingEmailAddress", "EmailTags"}:  # fmt: skip
            return self.error(400, "BadRequestException")
        if body["FromEmailAddress"].rpartition("@")[2] not in self.verified:
            return self.error(400, "MailFromDomainNotVerifiedException")
        mail = message_from_bytes(base64.b64decode(body["Content"]["Raw"]["Data"], validate=True))
        if not mail["From"] or not body["Destination"]["ToAddresses"]:
            return self.error(400, "MessageRejected")
        self.mails.append({**body, "mail": mail})
        return answer(200, {"MessageId": f"0107019{len(self.mails):05}-ses-000000"})

    def error(self, status: int, name: str) -> Reply:
        """As SES tells errors."""
        return answer(status, {"message": "in words"}, **{"x-amzn-ErrorType": name})

    def _signed(self, request: Received) -> bool:
        """The signature, worked out anew by the names in the header."""
        given = request.headers.get("authorization", "")
        found = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/ses/aws4_request, "
            r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
            given,
        )
        if found is None or found[1] != self.access_key_id or found[3] != self.region:
            return False
        names, at = found[4].split(";"), request.headers["x-amz-date"]
        lines = [f"{name}:{request.headers[name]}\n" for name in names]
        digest = hashlib.sha256(request.body).hexdigest()
        canonical = f"POST\n{request.path}\n\n{''.join(lines)}\n{found[4]}\n{digest}"
        text = f"AWS4-HMAC-SHA256\n{at}\n{found[2]}/{self.region}/ses/aws4_request\n"
        text += hashlib.sha256(canonical.encode()).hexdigest()
        key = b"AWS4" + self.secret_access_key.encode()
        for part in (found[2], self.region, "ses", "aws4_request"):
            key = hmac.new(key, part.encode(), "sha256").digest()
        return hmac.new(key, text.encode(), "sha256").hexdigest() == found[5] and {"host"} <= set(names)

    def count(self) -> int:
        """As the protocol says."""
        return len(self.mails)
