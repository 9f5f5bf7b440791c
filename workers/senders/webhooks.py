"""From connections to the channels that use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.core.journeys.step_plans import LlmStepPlan
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
    ChannelConnection,
    Connection,
    HubSpotConnection,
    SalesforceConnection,
    SlackConnection,
    StandardConnection,
)
from workers.senders.http.client import HttpClient
from workers.senders.llm.connection import LlmConnection
from workers.senders.llm.endpoint import Endpoint
from workers.senders.mobile_connections import PushConnection, TwilioConnection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from workers.clock import Clock
    from workers.core.plan import Plan
    from workers.core.templates.compile import CompiledTemplate
    from workers.senders.channels.base import Channel
    from workers.senders.http.guard import Network


class Webhooks:
    """Channels and endpoints of all connections over one HTTP client; ``networks`` as it takes them."""

    def __init__(
        self, connections: Mapping[str, Connection], networks: tuple[Network, ...], clock: Clock
    ) -> None:
        self._client = HttpClient(networks)
        self.channels = {
            name: channel_of(connection, self._client, clock)
            for name, connection in connections.items()
            if not isinstance(connection, LlmConnection)
        }
        self.endpoints = {
            name: Endpoint(name, connection, self._client, clock)
            for name, connection in connections.items()
            if isinstance(connection, LlmConnection)
        }

    async def close(self) -> None:
        """Close the channels, then the client."""
        for channel in self.channels.values():
            await channel.close()
        await self._client.close()


def channel_of(connection: ChannelConnection, client: HttpClient, clock: Clock) -> Channel:
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
    templates: Mapping[str, CompiledTemplate],
    connections: Mapping[str, Connection],
    questions: Iterable[LlmStepPlan] = (),
) -> None:
    """What the workspace sends and asks has its connection, to the right provider, and its model.

    Raises:
        Misconfigured: naming each that has none.
    """
    problems = [problem for asked in questions if (problem := _unasked(asked, connections))]
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


def questions_of(plan: Plan) -> list[LlmStepPlan]:
    """The LLM steps of all journeys of a workspace, older versions that people are inside of included."""
    journeys = (
        one
        for subjects in (plan.user, plan.account)
        for one in (*subjects.journeys.values(), *subjects.pinned.values())
    )
    return [step for journey in journeys for step in journey.steps.values() if isinstance(step, LlmStepPlan)]


def _unasked(asked: LlmStepPlan, connections: Mapping[str, Connection]) -> str | None:
    """Why an LLM step cannot be asked; None where it can."""
    connection = connections.get(asked.connection)
    if connection is None:
        return f"llm step {asked.path!r}: there is no connection {asked.connection!r}"
    if not isinstance(connection, LlmConnection):
        return f"llm step {asked.path!r}: the connection {asked.connection!r} is for {connection.provider}"
    if connection.model_called(asked.model) is None:
        return f"llm step {asked.path!r}: the connection {asked.connection!r} has no model {asked.model!r}"
    return None
