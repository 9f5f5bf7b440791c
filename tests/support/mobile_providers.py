"""Fakes of the providers of text messages and push, by their documented contracts. See ``providers.py``."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from tests.support.providers import Provider, answer

if TYPE_CHECKING:
    from tests.support.http import Received, Reply

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
