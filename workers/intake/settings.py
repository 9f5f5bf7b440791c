"""The names and keys that the gateway is given; nothing here is read from the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workers.core.stripe.mapping import StripeOptions
from workers.errors import Misconfigured
from workers.intake.tokens import check_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from schemas.fields import Channel, SubjectType
    from workers.clock import Clock
    from workers.core.objects.plan import TypesPlan
    from workers.intake.callbacks import Provider
    from workers.intake.console.sources import Sources
    from workers.intake.keys import ApiKey


@dataclass(frozen=True, slots=True)
class Topics:
    """Full names of the topics that the gateway writes, prefix included."""

    product_events: str = "product-events"
    account_traits: str = "account-traits"
    engagement: str = "engagement"
    dead_letters: str = "dead-letters"
    scheduler: str = "scheduler"
    objects: str = "objects"


@dataclass(frozen=True, slots=True)
class Asks:
    """What the preference page asks about: ``channels``, and name and title of each of the ``topics``."""

    channels: tuple[Channel, ...] = ("email",)
    topics: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Switches links of messages on: ``/u/{token}``, ``/p/{token}``, ``/l/{token}`` and ``/o/{token}.gif``.

    ``key`` signs the tokens: at least 32 bytes, the same in the senders. ``asks`` is called for each page:
    the workspace may be another one by then.
    """

    key: bytes = field(repr=False)
    sender_name: str = ""
    """Who sends the messages, for the page; "" leaves it out."""

    previous: tuple[bytes, ...] = field(default=(), repr=False)
    """Keys that signed links which are still out."""

    asks: Callable[[], Asks] = Asks

    def __post_init__(self) -> None:
        for key in self.keys:
            check_key(key, "the unsubscribe key")

    @property
    def keys(self) -> tuple[bytes, ...]:
        """All keys whose links are good, the one that signs first."""
        return (self.key, *self.previous)


@dataclass(frozen=True, slots=True)
class StripeWebhooks:
    """Switches ``/v1/webhooks/stripe`` on. ``secrets`` are the endpoint's, several while they are rolled."""

    secrets: tuple[bytes, ...] = field(repr=False)
    options: StripeOptions = field(default_factory=StripeOptions)

    def __post_init__(self) -> None:
        if not self.secrets or not all(self.secrets):
            raise Misconfigured("the Stripe webhook needs its signing secret, and none may be empty")


@dataclass(frozen=True, slots=True)
class Definitions:
    """What the gateway knows of the workspace: it refuses what the engine would pass over.

    ``consent_topics`` are names of topics, ``types`` the types of objects, ``lists`` the static segments with
    whom they are of.
    """

    consent_topics: frozenset[str]
    types: TypesPlan
    lists: Mapping[str, SubjectType]


def no_definitions() -> Definitions | None:
    """Of a gateway that has no workspace."""
    return None


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """Switches ``/console`` on.

    ``secrets`` sign its cookies, the first, or did; they go over TLS alone where ``secure``. ``wall`` is the
    clock by which they end.
    """

    sources: Sources
    secrets: tuple[bytes, ...] = field(repr=False)
    secure: bool
    wall: Clock


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Switches the API on. ``definitions`` is called at each request: the workspace may be another by then.

    Where it gives None, topics are not checked, and objects and lists answer 501.
    """

    keys: tuple[ApiKey, ...] = field(default=(), repr=False)
    definitions: Callable[[], Definitions | None] = no_definitions
    console: ConsoleSettings | None = None
    """None leaves ``/console`` out."""


@dataclass(frozen=True, slots=True)
class CallbackSettings:
    """Switches ``/v1/callbacks/{provider}`` on, for these providers."""

    providers: tuple[Provider, ...]
    public_url: str
