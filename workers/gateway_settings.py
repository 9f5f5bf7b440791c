"""What a gateway is told: from the settings of its process, and from the workspace where it has one."""

from __future__ import annotations

from email.utils import parseaddr
from typing import TYPE_CHECKING, Any, Final, cast

from workers.core.objects.plan import compile_types
from workers.core.token_bucket import Rate
from workers.errors import Misconfigured
from workers.intake.callers import Rates
from workers.intake.engagement_callback import EngagementCallback, read_secret
from workers.intake.keys import read_key, read_keys
from workers.intake.ses import SesCallback
from workers.intake.settings import ApiSettings, Asks, CallbackSettings, Definitions, Topics, Unsubscribe
from workers.intake.twilio import Replies, TwilioCallback

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.fields import Channel
    from schemas.workspace import Workspace
    from workers.intake.callbacks import Provider
    from workers.settings import Settings

BURST_S: Final = 10
"""A caller may send at once what they may send in so many seconds: clients send in batches."""

ASKED: Final[tuple[Channel, ...]] = ("email", "sms", "push", "in_app")
"""Channels that the preference page may ask about, in its order; nobody reads a webhook."""


def gateway_topics(topic: Callable[[str], str]) -> Topics:
    """The full names of the topics that the gateway writes."""
    return Topics(
        product_events=topic("product-events"),
        account_traits=topic("account-traits"),
        engagement=topic("engagement"),
        dead_letters=topic("dead-letters"),
        scheduler=topic("scheduler"),
        objects=topic("objects"),
    )


class Known:
    """What a gateway knows of the workspace that ``workspace`` gives: the one in force by then, or none."""

    def __init__(self, workspace: Callable[[], Workspace | None]) -> None:
        self._workspace = workspace
        self._of: Workspace | None = None
        self._definitions: Definitions | None = None
        self._asks = _asks(None)

    def definitions(self) -> Definitions | None:
        """What the API checks against; None without a workspace."""
        self._renew()
        return self._definitions

    def asks(self) -> Asks:
        """What the preference page asks about: the channels of the workspace's templates, and its topics."""
        self._renew()
        return self._asks

    def _renew(self) -> None:
        workspace = self._workspace()
        if workspace is not self._of:
            self._of, self._definitions, self._asks = workspace, definitions(workspace), _asks(workspace)


def _asks(workspace: Workspace | None) -> Asks:
    used = {"email"}
    if workspace is not None:
        used |= {str(template["channel"]) for template in workspace.templates.values()}
    channels = tuple(channel for channel in ASKED if channel in used)
    return Asks(channels, workspace.consent.topics if workspace is not None else {})


def message_links(settings: Settings, known: Known) -> Unsubscribe:
    """The links of messages, and the preference page.

    Raises:
        Misconfigured: there is no secret, or one is too short.
    """
    key, *previous = settings.signing_keys()
    return Unsubscribe(key, parseaddr(settings.mail_from)[0], previous=tuple(previous), asks=known.asks)


def api_settings(settings: Settings, known: Known) -> ApiSettings | None:
    """The API; None where no key is configured.

    Raises:
        Misconfigured: a key is configured wrongly, or the file cannot be read.
    """
    keys = [read_key(line) for line in settings.api_keys]
    if settings.api_keys_file is not None:
        path = settings.api_keys_file
        try:
            keys += read_keys(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"BRIMFUL_API_KEYS_FILE {path}: {error}") from error
        except Misconfigured as error:
            raise Misconfigured(f"BRIMFUL_API_KEYS_FILE {path}: {error}") from None
    return ApiSettings(tuple(keys), known.definitions) if keys else None


def definitions(workspace: Workspace | None) -> Definitions | None:
    """What the API checks against; None without a workspace."""
    if workspace is None:
        return None
    lists = {one.segment: one.subject for one in workspace.segments if one.static}
    return Definitions(frozenset(workspace.consent.topics), compile_types(workspace), cast("Any", lists))


def callback_settings(settings: Settings) -> CallbackSettings | None:
    """The callbacks of providers; None where none is configured.

    Raises:
        Misconfigured: a secret is none.
    """
    providers: list[Provider] = []
    secrets = [read_secret(secret.get_secret_value()) for secret in settings.callback_secrets]
    if secrets:
        providers.append(EngagementCallback(secrets))
    tokens = [token.get_secret_value() for token in settings.twilio_auth_tokens]
    if tokens:
        replies = Replies(settings.sms_reply_stop, settings.sms_reply_start, settings.sms_reply_help)
        providers.append(TwilioCallback(tokens, replies))
    if settings.ses_topics:
        providers.append(SesCallback(settings.ses_topics, settings.signing_keys()))
    return CallbackSettings(tuple(providers), settings.public_url) if providers else None


def rates(settings: Settings) -> Rates:
    """How much callers may send."""
    return Rates(_rate(settings.write_key_rate), _rate(settings.api_key_rate))


def _rate(per_second: float) -> Rate | None:
    return Rate(per_second, max(1.0, per_second * BURST_S)) if per_second else None
