"""Fakes of the providers of text messages and push, by their documented contracts. See ``providers.py``."""

from __future__ import annotations

import base64
import json
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import http_ece
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.support.providers import Provider, answer

if TYPE_CHECKING:
    from tests.support.http import Fault, Received, Reply

ACCOUNT = "AC" + "0" * 32
TOKEN = "the auth token"
SERVICE = "MG" + "1" * 32


@dataclass
class TwilioServer(Provider):
    """The Messages resource: basic login, a form, 201 with the message, or 400 with Twilio's code."""

    sent: list[dict[str, str]] = field(default_factory=list)
    login: tuple[str, str] = (ACCOUNT, TOKEN)
    codes: dict[str, int] = field(default_factory=dict)
    """By number, the code with which it is refused."""

    def take(self, request: Received) -> Reply:
        """201, 400, 401 or 404."""
        if urlsplit(request.path).path != f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json":
            return answer(404, {"code": 20404, "message": "not found", "status": 404})
        login = base64.b64encode(":".join(self.login).encode()).decode()
        if request.headers.get("authorization") != f"Basic {login}":
            return answer(401, {"code": 20003, "message": "Authenticate", "status": 401})
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        code = self._wrong(form)
        if code:
            return answer(400, {"code": code, "message": "refused", "more_info": "", "status": 400})
        self.sent.append(form)
        body = {
            "sid": f"SM{len(self.sent):032x}",
            "status": "accepted" if "MessagingServiceSid" in form else "queued",
            "error_code": None,
            "price": None,
            "to": form["To"],
        }
        return answer(201, body)

    def _wrong(self, form: dict[str, str]) -> int:
        if not form.get("To", "").startswith("+"):
            return 21211
        if ("From" in form) is ("MessagingServiceSid" in form):
            return 21603
        if not form.get("Body"):
            return 21602
        return 21617 if len(form["Body"]) > 1600 else self.codes.get(form["To"], 0)

    def count(self) -> int:
        """As the account is charged."""
        return len(self.sent)


SIGNER = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
"""The key of the service account."""


def fcm_error(status: int, name: str, code: str = "", about: str = "", **headers: str) -> Reply:
    """An error as Google's APIs write it; ``about`` is the field at fault."""
    details: list[dict[str, Any]] = []
    if code:
        details.append({"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code})
    if about:
        violations = [{"field": about, "description": "Invalid value"}]
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations})
    return answer(status, {"error": {"code": status, "status": name, "details": details}}, **headers)


@dataclass
class FcmServer(Provider):
    """``messages:send`` and the token server of Google's OAuth, on one address."""

    url: str = ""
    login_faults: deque[Reply | Fault] = field(default_factory=deque)
    issued: int = 0
    valid: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    """Tokens of devices that have the app no more."""

    sent: list[dict[str, Any]] = field(default_factory=list)

    def service_account(self) -> str:
        """The text of a key file."""
        key = SIGNER.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        account = {
            "type": "service_account",
            "project_id": "acme",
            "private_key_id": "k1",
            "client_email": "push@acme.iam.gserviceaccount.com",
            "token_uri": f"{self.url}/token",
        }
        return json.dumps({**account, "private_key": key})

    async def handle(self, request: Received) -> Reply | Fault:
        """Logins meet no faults but those of ``login_faults``."""
        if request.path == "/token":
            return self.login_faults.popleft() if self.login_faults else self._login(request)
        return await super().handle(request)

    def _login(self, request: Received) -> Reply:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        options: Any = {"verify_exp": False, "verify_iat": False}
        try:
            claims = jwt.decode(
                form["assertion"],
                SIGNER.public_key(),
                algorithms=["RS256"],
                audience=f"{self.url}/token",
                options=options,
            )
        except jwt.InvalidTokenError:
            return answer(400, {"error": "invalid_grant"})
        if claims["scope"] != "https://www.googleapis.com/auth/firebase.messaging":
            return answer(400, {"error": "invalid_scope"})
        self.issued += 1
        self.valid.add(f"access-{self.issued}")
        return answer(200, {"access_token": f"access-{self.issued}", "expires_in": 3599})

    def take(self, request: Received) -> Reply:
        """200 with the message's name, or an error."""
        if request.path != "/v1/projects/acme/messages:send":
            return fcm_error(404, "NOT_FOUND")
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.valid:
            return fcm_error(401, "UNAUTHENTICATED")
        message = json.loads(request.body)["message"]
        if message["token"] in self.gone:
            return fcm_error(404, "NOT_FOUND", "UNREGISTERED")
        if not all(isinstance(value, str) for value in message.get("data", {}).values()):
            return fcm_error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "message.data")
        self.sent.append(message)
        return answer(200, {"name": f"projects/acme/messages/{len(self.sent)}"})

    def count(self) -> int:
        """Messages to devices."""
        return len(self.sent)


@dataclass
class Browser:
    """A subscription with the keys of its browser."""

    endpoint: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    auth: bytes = b"0123456789abcdef"

    def subscription(self) -> str:
        """What the page sends to its server."""
        keys = {"p256dh": _base64url(_point(self.key)), "auth": _base64url(self.auth)}
        return json.dumps({"endpoint": self.endpoint, "expirationTime": None, "keys": keys})


@dataclass
class WebPushServer(Provider):
    """A push service with its browsers behind it: verifies VAPID, and decrypts as the browser does."""

    url: str = ""
    vapid: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    browsers: dict[str, Browser] = field(default_factory=dict)
    had: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)

    def browser(self, name: str) -> Browser:
        """The subscription of this name; a new one where there is none."""
        return self.browsers.setdefault(f"/push/{name}", Browser(f"{self.url}/push/{name}"))

    def private_key(self) -> str:
        """In base64url, as other tools write it."""
        return _base64url(self.vapid.private_numbers().private_value.to_bytes(32, "big"))

    def take(self, request: Received) -> Reply:
        """201, or why not."""
        if not self._is_signed(request.headers["authorization"]):
            return answer(403)
        browser = self.browsers.get(request.path)
        if browser is None:
            return answer(410)
        if len(request.body) > 4096:
            return answer(413)
        if request.headers.get("content-encoding") != "aes128gcm" or "ttl" not in request.headers:
            return answer(400)
        plain = http_ece.decrypt(
            request.body, private_key=browser.key, auth_secret=browser.auth, version="aes128gcm"
        )
        self.had.append((request.path, json.loads(plain), dict(request.headers)))
        return answer(201, None, Location=f"{self.url}/message/{len(self.had)}")

    def _is_signed(self, header: str) -> bool:
        scheme, _, values = header.partition(" ")
        parts = dict(part.split("=", 1) for part in values.split(","))
        if scheme != "vapid" or parts["k"] != _base64url(_point(self.vapid)):
            return False
        options: Any = {"verify_exp": False}
        key = self.vapid.public_key()
        try:
            claims = jwt.decode(parts["t"], key, algorithms=["ES256"], audience=self.url, options=options)
        except jwt.InvalidTokenError:
            return False
        return str(claims["sub"]).startswith("mailto:")

    def count(self) -> int:
        """Messages to browsers."""
        return len(self.had)

    def by_browser(self) -> Counter[tuple[str, str]]:
        """How often each browser has each text."""
        return Counter((path, document["body"]) for path, document, _ in self.had)


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
