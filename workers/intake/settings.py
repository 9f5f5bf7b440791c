"""The names and keys that the gateway is given; nothing here is read from the environment."""

from __future__ import annotations

from dataclasses import dataclass, field

from workers.core.stripe_mapping import StripeOptions
from workers.errors import Misconfigured
from workers.intake.tokens import check_key


@dataclass(frozen=True, slots=True)
class Topics:
    """Full names of the topics that the gateway writes, prefix included."""

    product_events: str = "product-events"
    account_traits: str = "account-traits"
    engagement: str = "engagement"
    dead_letters: str = "dead-letters"
    scheduler: str = "scheduler"


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Switches ``/u/{token}`` on. ``key`` signs the tokens: at least 32 bytes, the same in the senders."""

    key: bytes = field(repr=False)
    sender_name: str = ""
    """Who sends the messages, for the page; "" leaves it out."""

    def __post_init__(self) -> None:
        check_key(self.key, "the unsubscribe key")


@dataclass(frozen=True, slots=True)
class StripeWebhooks:
    """Switches ``/v1/webhooks/stripe`` on. ``secrets`` are the endpoint's, several while they are rolled."""

    secrets: tuple[bytes, ...] = field(repr=False)
    options: StripeOptions = field(default_factory=StripeOptions)

    def __post_init__(self) -> None:
        if not self.secrets or not all(self.secrets):
            raise Misconfigured("the Stripe webhook needs its signing secret, and none may be empty")
