"""From connections to the channels that use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.core.templates.compile import template_channel
from workers.core.templates.mobile import PushTemplate, SmsTemplate
from workers.core.templates.webhooks import WebhookTemplate
from workers.errors import Misconfigured
from workers.senders.channels.hubspot import HubSpot
from workers.senders.channels.push import Push
from workers.senders.channels.salesforce import Salesforce
from workers.senders.channels.slack import Slack
from workers.senders.channels.twilio import Twilio
from workers.senders.channels.webhook import StandardWebhook
from workers.senders.connections import (
    Connection,
    HubSpotConnection,
    SalesforceConnection,
    SlackConnection,
    StandardConnection,
)
from workers.senders.http.client import HttpClient
from workers.senders.mobile_connections import PushConnection, TwilioConnection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.clock import Clock
    from workers.core.templates.compile import CompiledTemplate
    from workers.senders.channels.base import Channel
    from workers.senders.http.guard import Network


class Webhooks:
    """The channels of all connections over one HTTP client; ``networks`` as it takes them."""

    def __init__(
        self, connections: Mapping[str, Connection], networks: tuple[Network, ...], clock: Clock
    ) -> None:
        self._client = HttpClient(networks)
        self.channels = {
            name: channel_of(connection, self._client, clock) for name, connection in connections.items()
        }

    async def close(self) -> None:
        """Close the channels, then the client."""
        for channel in self.channels.values():
            await channel.close()
        await self._client.close()


def channel_of(connection: Connection, client: HttpClient, clock: Clock) -> Channel:
    """The channel over one connection."""
    match connection:
        case StandardConnection():
            return StandardWebhook(connection, client, clock)
        case SlackConnection():
            return Slack(connection, client, clock)
        case HubSpotConnection():
            return HubSpot(connection, client, clock)
        case SalesforceConnection():
            return Salesforce(connection, client, clock)
        case TwilioConnection():
            return Twilio(connection, client, clock)
        case PushConnection():
            return Push(connection, client, clock)


def check_connections(
    templates: Mapping[str, CompiledTemplate], connections: Mapping[str, Connection]
) -> None:
    """Each webhook, text message and push of the workspace has its connection, to the right provider.

    Raises:
        Misconfigured: naming each that has none.
    """
    problems = []
    for template in templates.values():
        if isinstance(template, SmsTemplate | PushTemplate):
            channel = template_channel(template)
            if channel not in connections:
                problems.append(f"{channel} template {template.name!r}: there is no connection {channel!r}")
        if not isinstance(template, WebhookTemplate):
            continue
        connection = connections.get(template.connection)
        if connection is None:
            problems.append(f"webhook {template.name!r}: there is no connection {template.connection!r}")
        elif connection.provider != template.provider:
            problems.append(
                f"webhook {template.name!r} is for {template.provider}, "
                f"and the connection {template.connection!r} for {connection.provider}"
            )
    if problems:
        raise Misconfigured("BRIMFUL_CONNECTIONS:\n  " + "\n  ".join(problems))
