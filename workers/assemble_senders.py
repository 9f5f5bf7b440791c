"""Wires the senders: from settings to channels, links and what each partition runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from workers.email_settings import email_channel
from workers.senders.agents import Senders
from workers.senders.connections import read_connections
from workers.senders.llm.logic import LlmLogic, LlmParts
from workers.senders.llm.metrics import LlmMetrics
from workers.senders.logic import SenderLogic, SenderParts
from workers.senders.metrics import SenderMetrics
from workers.senders.webhooks import Webhooks, check_connections, questions_of
from workers.tracked_mail import MailLinks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prometheus_client import CollectorRegistry

    from workers.clock import Clock
    from workers.core.templates.compile import CompiledTemplate
    from workers.senders.channels.base import Channel
    from workers.senders.llm.endpoint import Endpoint
    from workers.settings import Settings
    from workers.versions.active import Active

__all__ = ["email_channel", "new_senders", "webhooks"]


def webhooks(settings: Settings, active: Active, clock: Clock) -> Webhooks:
    """The channels and endpoints of all connections.

    Raises:
        Misconfigured: a connection is wrong, or a template or step names one that there is not.
    """
    path = settings.connections
    connections = read_connections(path, os.environ) if path is not None else {}
    check_connections(active.templates, connections, questions_of(active.plan))
    return Webhooks(connections, settings.outgoing_networks, clock)


def new_senders(
    settings: Settings,
    registry: CollectorRegistry,
    channels: Mapping[str, Channel],
    endpoints: Mapping[str, Endpoint],
    active: Callable[[], Active],
) -> Callable[[int], Senders]:
    """What makes the agents of a partition; all partitions share channels, endpoints, links and metrics."""
    links = MailLinks(settings.secret_bytes(), settings.public_url, lambda: active().tracking)
    parts = SenderParts(
        templates=_Templates(lambda: active().templates),
        channels=channels,
        unsubscribe_url=links.unsubscribe_url,
        topics=settings.topic,
        metrics=SenderMetrics(registry),
        preferences_url=links.preferences_url,
        track=links.track,
    )
    asking = LlmParts(endpoints, settings.topic, LlmMetrics(registry))
    questions = settings.topic("llm-requests")
    return lambda _: Senders(SenderLogic(parts), LlmLogic(asking), questions)


class _Templates:
    """The templates of whatever version runs when one is asked for."""

    def __init__(self, now: Callable[[], Mapping[str, CompiledTemplate]]) -> None:
        self._now = now

    def get(self, name: str) -> CompiledTemplate | None:
        """The template; None where there is none of that name."""
        return self._now().get(name)
