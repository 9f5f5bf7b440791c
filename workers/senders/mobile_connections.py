"""The connections of the channels ``sms`` and ``push``: their fields in the file of connections."""

from __future__ import annotations

import json
import re
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from workers.senders.connection_base import BaseConnection, is_url

_NUMBER = re.compile(r"\+[1-9][0-9]{4,14}")
_SERVICE = re.compile(r"MG[0-9a-f]{32}")
_SHORT_CODE = re.compile(r"[0-9]{3,8}")
_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 +_&-]{1,11}")
_REGION = re.compile(r"[A-Z]{2}")
ANYWHERE: Final = "*"
"""The key of a map by country that stands for all others."""


class TwilioConnection(BaseConnection):
    """A Twilio account. ``senders`` and ``price_micros`` are by country (ISO 3166, ``*``: all others).

    A sender is a number, a short code, a name of up to 11 characters, or a messaging service (``MG...``).
    ``region`` is where numbers without a country code are from; ``callback`` is this gateway's public address
    for Twilio's word on what became of a message.
    """

    provider: Literal["twilio"]
    account_sid: str = Field(pattern=r"^AC[0-9a-f]{32}$")
    auth_token: SecretStr
    api_key: str | None = Field(None, pattern=r"^SK[0-9a-f]{32}$")
    api_secret: SecretStr | None = None
    senders: dict[str, str] = Field(min_length=1)
    price_micros: dict[str, int] = Field(default_factory=dict)
    region: str | None = Field(None, pattern=r"^[A-Z]{2}$")
    callback: str | None = None
    api: str = "https://api.twilio.com"

    _urls = field_validator("api")(is_url)

    @field_validator("callback")
    @classmethod
    def _callback(cls, value: str | None) -> str | None:
        return None if value is None else str(is_url(value))

    @field_validator("senders")
    @classmethod
    def _senders(cls, values: dict[str, str]) -> dict[str, str]:
        _by_country(values)
        for sender in values.values():
            if not any(one.fullmatch(sender) for one in (_NUMBER, _SERVICE, _SHORT_CODE, _NAME)):
                raise ValueError("a sender is +NUMBER, a short code, MG... or a name of up to 11 characters")
        return values

    @field_validator("price_micros")
    @classmethod
    def _prices(cls, values: dict[str, int]) -> dict[str, int]:
        _by_country(values)
        if any(price < 0 for price in values.values()):
            raise ValueError("a price is a number of millionths of your currency, for each segment")
        return values

    def model_post_init(self, context: Any) -> None:
        """An API key has two halves."""
        del context
        if (self.api_key is None) is not (self.api_secret is None):
            raise ValueError("give api_key and api_secret together")


class FcmSettings(BaseModel):
    """A service account of a Firebase project: the JSON text of its key file, as Google gives it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service_account: SecretStr
    api: str = "https://fcm.googleapis.com"

    _urls = field_validator("api")(is_url)

    @field_validator("service_account")
    @classmethod
    def _whole(cls, value: SecretStr) -> SecretStr:
        account = read_service_account(value)
        is_url(account["token_uri"])
        return value


class WebPushSettings(BaseModel):
    """The VAPID key pair's private half (RFC 8292), in PEM or base64url, and who to ask about trouble."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    private_key: SecretStr
    contact: str = Field(pattern=r"^(mailto:[^@\s]+@[^@\s]+|https://\S+)$")


class PushConnection(BaseConnection):
    """Push services: FCM for Android and iOS, Web Push for browsers; devices of the others have no way."""

    provider: Literal["push"]
    fcm: FcmSettings | None = None
    web: WebPushSettings | None = None

    def model_post_init(self, context: Any) -> None:
        """At least one of the two."""
        del context
        if self.fcm is None and self.web is None:
            raise ValueError("give fcm, web or both")


def read_service_account(text: SecretStr) -> dict[str, str]:
    """The fields of a service account that are needed; raises :class:`ValueError`, naming what is missing."""
    try:
        account = json.loads(text.get_secret_value())
    except ValueError:
        raise ValueError("service_account is not the JSON of a key file") from None
    needed = ("project_id", "client_email", "private_key", "token_uri")
    account = account if isinstance(account, dict) else {}
    missing = [name for name in needed if not isinstance(account.get(name), str)]
    if missing:
        raise ValueError(f"service_account has no {', '.join(missing)}")
    return {name: account[name] for name in (*needed, "private_key_id") if isinstance(account.get(name), str)}


def _by_country(values: dict[str, Any]) -> None:
    for country in values:
        if country != ANYWHERE and not _REGION.fullmatch(country):
            raise ValueError(f"a country is two capitals, such as US, or {ANYWHERE}")
