"""The settings of a process: one frozen object, read once from the environment; wrong values are named."""

from __future__ import annotations

import re
import ssl
from ipaddress import IPv4Network, IPv6Network  # noqa: TC003 - pydantic reads them at run time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from workers.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "BRIMFUL_"

SECRET_MIN_BYTES = 32

_PORT_MOST = 65_535
Port = Annotated[int, Field(ge=0, le=_PORT_MOST)]
Share = Annotated[float, Field(gt=0, le=1)]


class Settings(BaseModel):
    """Everything a process is told from outside. Each field is the variable ``BRIMFUL_<FIELD>``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka: str = Field("127.0.0.1:9092", description="Bootstrap servers, host:port separated by commas.")
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_username: str | None = None
    kafka_password: SecretStr | None = None
    kafka_ca_file: Path | None = Field(None, description="CA bundle for TLS; the system's by default.")
    topic_prefix: str = Field(
        "", pattern=r"^[a-zA-Z0-9._-]*$", description="Put before every topic and group name."
    )

    state_dir: Path = Field(Path(".brimful/state"), description="Where partitions keep their databases.")
    workspace: Path | None = Field(None, description="Folder with journeys and templates.")
    workspace_source: Literal["folder", "topic"] = Field(
        "folder",
        description="folder: read once at the start. topic: what is published, taken up as it comes.",
    )
    workspace_name: str | None = Field(
        None, description="With the source topic: which workspace; needed where several are published."
    )
    clock: str = Field("system", description="system, or scaled:START_MS:WALL_START_MS:SPEED for a replay.")

    processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that share the role engine: one for each core.",
    )
    batch_records: int = Field(20_000, ge=1, le=100_000, description="Most records in one transaction.")
    linger_ms: int = Field(
        20, ge=0, le=1_000, description="Least time between two small transactions of a partition."
    )
    row_cache_mib: int = Field(
        256, ge=0, le=65_536, description="Rows kept in memory, all partitions together."
    )
    dead_letter_share: Share = Field(
        0.5, description="Share of dead records in a topic that stops the worker; 1: never."
    )
    standby_replicas: int = Field(
        0, ge=0, le=5, description="Warm copies of each partition on other workers."
    )
    session_timeout_s: float = Field(
        10, ge=6, le=300, description="A worker silent for this long loses its partitions."
    )
    instance_id: str | None = Field(None, description="Static membership: the pod's stable name.")

    http_host: str = Field("127.0.0.1", description="Where metrics and health are served.")
    http_port: Port = Field(9464, description="Port of metrics and health; 0 takes a free one.")
    gateway_host: str = "127.0.0.1"
    gateway_port: Port = 8080
    write_keys: dict[str, SecretStr] = Field(
        default_factory=dict, description="SOURCE=KEY pairs, separated by commas."
    )
    cors_origins: tuple[str, ...] = Field((), description="Origins of pages that may call the gateway.")
    demo: bool = Field(False, description="Serve /demo, which tries the SDK; for one's own machine.")
    console: bool = Field(
        False, description="Serve /console, for those with an API key of the scope console:read."
    )
    public_url: str = Field("http://127.0.0.1:8080", description="How recipients reach the gateway.")
    secret: SecretStr | None = Field(None, description="Signs links and feed tokens: at least 32 bytes.")

    api_keys: tuple[str, ...] = Field(
        (),
        description="API keys as `brimful keys new` prints them, separated by commas; only digests of keys.",
    )
    api_keys_file: Path | None = Field(None, description="The same, one a line.")
    write_key_rate: float = Field(
        0, ge=0, description="Events a second that a write key may send to one gateway; 0: no limit."
    )
    api_key_rate: float = Field(
        0, ge=0, description="Events, people and objects a second of one API key; 0: no limit."
    )
    previous_secrets: tuple[SecretStr, ...] = Field(
        (), description="Former values of BRIMFUL_SECRET, separated by commas: their links stay good."
    )
    callback_secrets: tuple[SecretStr, ...] = Field(
        (), description="whsec_ secrets of /v1/callbacks/engagement, separated by commas; none: no such path."
    )

    ses_topics: tuple[str, ...] = Field(
        (), description="ARNs of SNS topics that /v1/callbacks/ses takes; none: no such path."
    )
    twilio_auth_tokens: tuple[SecretStr, ...] = Field(
        (),
        description="Auth tokens that sign /v1/callbacks/twilio, separated by commas; none: no such path.",
    )
    sms_reply_stop: str | None = Field(None, description="Answer to STOP; none where Twilio answers itself.")
    sms_reply_start: str | None = Field(None, description="Answer to START.")
    sms_reply_help: str | None = Field(None, description="Answer to HELP.")

    stripe_webhook_secrets: tuple[SecretStr, ...] = Field(
        (), description="Signing secrets of the Stripe webhook, separated by commas; none: no webhook."
    )
    stripe_subject: Literal["account", "user"] = Field(
        "account", description="What a Stripe customer is: an account, or a user."
    )
    stripe_account_from: tuple[str, ...] = Field(
        ("metadata.account_id", "client_reference_id", "customer"),
        description="Where a Stripe object says whose it is, in order, separated by commas.",
    )

    smtp: str = Field(
        "smtp://127.0.0.1:1025",
        description="smtp://[user:password@]host:port, smtps:// for TLS, ?starttls=1&connections=4.",
    )
    mail_from: str = "Brimful <hello@example.com>"
    mail_reply_to: str | None = None
    mail_return_path: str | None = Field(
        None, description="Mailbox for bounces, which brimful bounces reads; BRIMFUL_MAIL_FROM by default."
    )
    mail_provider: Literal["smtp", "ses"] = Field("smtp", description="What delivers mails.")
    mail_warm_up: str | None = Field(
        None, description="FIRST-DAY:MAILS,MAILS,... a day of this process: 2026-03-01:200,500,1000."
    )
    mail_domain_rates: str = Field(
        "", description="Mails a second of this process by recipient's domain: gmail.com=20,*=5."
    )
    ses_region: str | None = Field(None, pattern=r"^[a-z0-9-]+$", description="Region of Amazon SES.")
    ses_access_key_id: str | None = None
    ses_secret_access_key: SecretStr | None = None
    ses_session_token: SecretStr | None = None
    ses_configuration_set: str | None = Field(None, description="Publishes what becomes of mails.")
    ses_endpoint: str | None = Field(None, description="Another address of the SES API.")
    ses_per_second: float = Field(14.0, gt=0, le=10_000, description="Mails a second of this process.")
    test_recipients: tuple[str, ...] = Field(
        (), description="Who may get test mails: addresses, or @example.com for all of a domain."
    )
    mail_inbox: SecretStr | None = Field(
        None, description="imaps://USER:PASSWORD@HOST[:PORT][/FOLDER] that brimful bounces reads."
    )
    dkim_selector: str | None = Field(None, description="Signs mails with the DKIM key of this selector.")
    dkim_key_file: Path | None = Field(None, description="The selector's private key: RSA, PEM.")
    dkim_domain: str | None = Field(
        None, description="Domain that signs; that of BRIMFUL_MAIL_FROM by default, and aligned with it."
    )

    connections: Path | None = Field(
        None, description="File with the connections of webhooks (docs/channels.md); none: no webhooks."
    )
    outgoing_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (),
        description="Networks beside the Internet that webhooks may call, also in plain http, separated by "
        "commas: 10.1.0.0/16.",
    )

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"

    @field_validator("write_keys", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs = {}
        for pair in filter(None, value.split(",")):
            source, mark, key = pair.partition("=")
            if not mark or not source or not key:
                raise ValueError(
                    "must be SOURCE=KEY pairs separated by commas, such as web=4f6a...,backend=9c1d..."
                )
            pairs[source.strip()] = key.strip()
        return pairs

    @field_validator(
        "api_keys",
        "callback_secrets",
        "cors_origins",
        "outgoing_networks",
        "previous_secrets",
        "ses_topics",
        "stripe_webhook_secrets",
        "test_recipients",
        "stripe_account_from",
        "twilio_auth_tokens",
        mode="before",
    )
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return (
            tuple(filter(None, (part.strip() for part in value.split(","))))
            if isinstance(value, str)
            else value
        )

    @field_validator("stripe_account_from")
    @classmethod
    def _places(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for place in value:
            if place not in {"client_reference_id", "customer"} and not re.fullmatch(r"metadata\..+", place):
                raise ValueError(f"{place!r} is none of metadata.KEY, client_reference_id, customer")
        if not value:
            raise ValueError("must name at least one place")
        return value

    @field_validator("kafka")
    @classmethod
    def _servers(cls, value: str) -> str:
        for server in value.split(","):
            named = re.fullmatch(r"(?:[^\s:]+|\[[0-9a-fA-F:]+\]):(\d{1,5})", server)
            if named is None or not 0 < int(named[1]) <= _PORT_MOST:
                raise ValueError(f"{server!r} is not host:port, with a port of 1 to {_PORT_MOST}")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if origin != "*" and not re.fullmatch(r"https?://[^/?#@\s]+", origin):
                raise ValueError(f"{origin!r} is no origin, such as https://app.example.com, without a path")
        return value

    @field_validator("secret")
    @classmethod
    def _long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().encode()) < SECRET_MIN_BYTES:
            raise ValueError(f"must have at least {SECRET_MIN_BYTES} bytes")
        return value

    @field_validator("smtp")
    @classmethod
    def _mail_server(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
            raise ValueError("must be smtp://host:port or smtps://host:port")
        return value

    def topic(self, name: str) -> str:
        """The full name of a topic."""
        return self.topic_prefix + name

    def secret_bytes(self) -> bytes:
        """The signing key.

        Raises:
            Misconfigured: it is not set.
        """
        if self.secret is None:
            raise Misconfigured(
                "BRIMFUL_SECRET is not set: links cannot be signed. Set at least 32 random bytes."
            )
        return self.secret.get_secret_value().encode()

    def signing_keys(self) -> tuple[bytes, ...]:
        """The signing key, then the former ones, whose signatures stay good; raises as `secret_bytes`."""
        return (
            self.secret_bytes(),
            *(secret.get_secret_value().encode() for secret in self.previous_secrets),
        )

    def ssl_context(self) -> ssl.SSLContext | None:
        """TLS for Kafka's asyncio client; None without TLS."""
        if "SSL" not in self.kafka_security:
            return None
        return ssl.create_default_context(cafile=str(self.kafka_ca_file) if self.kafka_ca_file else None)

    def faust_credentials(self) -> Any:
        """The same security for Faust; None for a cluster without any."""
        from faust.auth import SASLCredentials, SSLCredentials  # noqa: PLC0415 - commands start faster without

        context = self.ssl_context()
        if self.kafka_security.startswith("SASL"):
            return SASLCredentials(
                username=self.kafka_username or "",
                password=self.kafka_password.get_secret_value() if self.kafka_password else "",
                mechanism=self.kafka_mechanism,
                ssl_context=context,
            )
        return SSLCredentials(context) if context is not None else None

    def aiokafka(self) -> dict[str, Any]:
        """The same security for aiokafka."""
        options: dict[str, Any] = {
            "security_protocol": self.kafka_security,
            "ssl_context": self.ssl_context(),
        }
        if self.kafka_security.startswith("SASL"):
            options |= {
                "sasl_mechanism": self.kafka_mechanism,
                "sasl_plain_username": self.kafka_username or "",
                "sasl_plain_password": self.kafka_password.get_secret_value() if self.kafka_password else "",
            }
        return options

    def librdkafka(self) -> dict[str, Any]:
        """Security options for confluent-kafka clients."""
        options: dict[str, Any] = {"security.protocol": self.kafka_security}
        if self.kafka_security.startswith("SASL"):
            options |= {
                "sasl.mechanism": self.kafka_mechanism,
                "sasl.username": self.kafka_username or "",
                "sasl.password": self.kafka_password.get_secret_value() if self.kafka_password else "",
            }
        if self.kafka_ca_file is not None:
            options["ssl.ca.location"] = str(self.kafka_ca_file)
        return options


def from_env(env: Mapping[str, str]) -> Settings:
    """The settings of an environment.

    Raises:
        Misconfigured: naming each variable that is unknown or wrong, and what it must be.
    """
    values = {
        name.removeprefix(PREFIX).lower(): value for name, value in env.items() if name.startswith(PREFIX)
    }
    known = {name: value for name, value in values.items() if name in Settings.model_fields}
    unknown = sorted(set(values) - set(known) - _ELSEWHERE)
    if unknown:
        names = ", ".join(PREFIX + name.upper() for name in unknown)
        raise Misconfigured(f"unknown settings: {names}. `brimful settings` lists those that exist.")
    try:
        return Settings.model_validate(known)
    except ValidationError as error:
        lines = [
            f"{PREFIX}{'_'.join(str(part) for part in problem['loc'][:1]).upper()}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise Misconfigured("wrong settings:\n  " + "\n  ".join(lines)) from None


_ELSEWHERE = frozenset({"test_require"})
"""Variables with our prefix that are read by the tests, not by a process."""
