"""Connections to providers: by name, with their secrets, from a file beside the workspace.

A text of the form ``${NAME}`` is the environment's variable of that name, so that the file itself may be
public. ``docs/channels.md`` describes every field.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, SecretStr, TypeAdapter, ValidationError, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from workers.core.templates.webhooks import CONNECTION, RESERVED
from workers.errors import Misconfigured
from workers.senders.connection_base import BaseConnection, is_url
from workers.senders.llm.connection import LlmConnection
from workers.senders.mobile_connections import PushConnection, TwilioConnection

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
MAX_FILE_BYTES: Final = 1_000_000


class StandardConnection(BaseConnection):
    """A receiver of signed webhooks. The newest secret comes first; the others are signed with as well."""

    provider: Literal["standard"]
    url: SecretStr
    secrets: tuple[SecretStr, ...] = Field(min_length=1, max_length=5)
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    redirects: int = Field(0, ge=0, le=3)

    _url = field_validator("url")(is_url)


class SlackConnection(BaseConnection):
    """A bot token, or the URL of an incoming webhook. Slack takes about one message a second and channel."""

    provider: Literal["slack"]
    token: SecretStr | None = None
    url: SecretStr | None = None
    channel: str | None = Field(None, description="Where messages go that name no channel.")
    api: str = "https://slack.com/api"
    per_second: float | None = Field(1.0, gt=0, le=100)

    _urls = field_validator("api")(is_url)

    def model_post_init(self, context: Any) -> None:
        """Exactly one of the two ways."""
        del context
        if (self.token is None) is (self.url is None):
            raise ValueError("give a token or a url")
        if self.url is not None:
            is_url(self.url)


class HubSpotConnection(BaseConnection):
    """The access token of a private app. 10 calls a second are its limit of 100 in any 10 s."""

    provider: Literal["hubspot"]
    token: SecretStr
    api: str = "https://api.hubapi.com"
    per_second: float | None = Field(10.0, gt=0, le=1_000)

    _urls = field_validator("api")(is_url)


class SalesforceConnection(BaseConnection):
    """A connected app with the client-credentials flow, or with the JWT bearer flow for ``username``."""

    provider: Literal["salesforce"]
    login: str
    client_id: str
    client_secret: SecretStr | None = None
    private_key: SecretStr | None = None
    username: str | None = None
    version: str = Field("v62.0", pattern=r"^v\d{2,3}\.0$")

    _urls = field_validator("login")(is_url)

    def model_post_init(self, context: Any) -> None:
        """Exactly one of the two flows."""
        del context
        if (self.client_secret is None) is (self.private_key is None):
            raise ValueError("give a client_secret, or a private_key and a username")
        if self.private_key is not None and not self.username:
            raise ValueError("a private_key comes with a username")


ChannelConnection: TypeAlias = (
    StandardConnection
    | SlackConnection
    | HubSpotConnection
    | SalesforceConnection
    | TwilioConnection
    | PushConnection
)
"""Connections over which messages leave."""

Connection: TypeAlias = Annotated[ChannelConnection | LlmConnection, Field(discriminator="provider")]

OF_CHANNELS: Final = {"sms": "twilio", "push": "push"}
"""Connections whose name is their channel's, and who provides them."""

_ADAPTER: Final[TypeAdapter[Any]] = TypeAdapter(Connection)


_OF_CHANNELS_HINT: Final = "a connection to " + ", ".join(
    f"{provider} is called {name}, and {name} is one" for name, provider in OF_CHANNELS.items()
)


class AnySecret(dict[str, str]):
    """An environment in which every variable is set, to look at a file of connections without its secrets."""

    def __contains__(self, name: object) -> bool:
        """Always."""
        return True

    def get(self, name: str, default: Any = None) -> Any:
        """Something that is taken for a secret, and for a URL."""
        del name, default
        return "https://unset.invalid"


def read_connections(path: Path, env: Mapping[str, str]) -> dict[str, Any]:
    """The connections of a file by name.

    Raises:
        Misconfigured: naming each connection and field that is wrong, and never a value.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise Misconfigured(f"{path} is larger than {MAX_FILE_BYTES} bytes")
        document = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"BRIMFUL_CONNECTIONS {path} is not readable: {error}") from error
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise Misconfigured(f"BRIMFUL_CONNECTIONS {path}:{line}: this is not YAML") from None
    if not isinstance(document, dict):
        raise Misconfigured(f"BRIMFUL_CONNECTIONS {path}: connections are a mapping, NAME: {{provider: ...}}")
    found: dict[str, Any] = {}
    problems: list[str] = []
    for name, values in document.items():
        said = values.get("provider") if isinstance(values, dict) else None
        if (name in OF_CHANNELS or said in OF_CHANNELS.values()) and OF_CHANNELS.get(str(name)) != said:
            problems.append(f"{name}: {_OF_CHANNELS_HINT}")
            continue
        if not CONNECTION.fullmatch(str(name)) or (name in RESERVED and name not in OF_CHANNELS):
            problems.append(f"{name}: a name has small letters, digits and _, and is no channel's")
            continue
        try:
            found[str(name)] = _ADAPTER.validate_python(_filled(values, env, problems, str(name)))
        except ValidationError as error:
            problems += [
                f"{name}.{'.'.join(map(str, one['loc'][1:] or one['loc']))}: {one['msg']}"
                for one in error.errors(include_input=False, include_url=False)
            ]
    if problems:
        raise Misconfigured(f"BRIMFUL_CONNECTIONS {path}:\n  " + "\n  ".join(problems))
    return found


def _filled(value: Any, env: Mapping[str, str], problems: list[str], place: str) -> Any:
    """``value`` with ``${NAME}`` replaced."""
    if isinstance(value, dict):
        return {str(key): _filled(one, env, problems, f"{place}.{key}") for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, env, problems, f"{place}[{at}]") for at, one in enumerate(value)]
    named = _VARIABLE.fullmatch(value) if isinstance(value, str) else None
    if named is None:
        return value
    if named[1] not in env:
        problems.append(f"{place}: the environment has no variable {named[1]}")
    return env.get(named[1], "unset")
