"""The provider's count of messages equals ours, whatever goes wrong: seeded faults over real HTTP."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.test_webhook_channels import serving
from tests.support.providers import HubSpotServer, Receiver, SalesforceServer, SlackServer, answer
from tests.unit.senders.test_lanes import pass_time
from tests.unit.senders.test_logic import NOW, Scripted, Senders, message
from workers.core.templates.compile import TemplateSource
from workers.senders.channels.base import Accepted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.http import Fault, Reply
    from tests.support.providers import Provider

MESSAGES, PEOPLE = 40, 8

BODIES: dict[str, dict[str, Any]] = {
    "standard": {"type": "limit", "data": {"id": "{{ message.id }}"}},
    "slack": {"text": "{{ message.id }}"},
    "hubspot": {"deal": {"properties": {"dealname": "{{ message.id }}"}}},
    "salesforce": {"records": [{"object": "Task", "key": {"Brimful_Id__c": "{{ message.id }}"}}]},
}


def held_by(provider: Provider) -> Counter[str]:
    """The messages that a provider has, and how often."""
    match provider:
        case Receiver():
            return Counter(list(provider.had))
        case SlackServer():
            return Counter(post["text"] for post in provider.posted)
        case HubSpotServer():
            return Counter(row["brimful_message_id"] for row in provider.objects["deals"].values())
        case SalesforceServer():
            return Counter(name for _, name in provider.records)
        case _:
            raise TypeError(provider)


def chance(random: Random) -> Reply | Fault | None:
    """A fault for four of ten requests."""
    faults: list[Reply | Fault] = [
        answer(500),
        answer(503),
        answer(429, Retry_After="3"),
        "cut_before",
        "cut_after",
    ]
    return random.choice(faults) if random.random() < 0.4 else None


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("kind", "provider"),
    [("standard", "standard"), ("slack_bot", "slack"), ("hubspot", "hubspot"), ("salesforce", "salesforce")],
)
async def test_the_providers_count_equals_ours(tmp_path: Path, kind: str, provider: str, seed: int) -> None:
    """Sent is what the provider has, once each; only where it cannot tell repeats is an outcome unknown."""
    random = Random(seed)  # noqa: S311 - faults, not secrets
    async with serving(kind) as bench:
        bench.provider.chance = lambda: chance(random)
        hook = TemplateSource(
            "hook", "webhook", {"provider": provider, "connection": "crm", "body": BODIES[provider]}
        )
        senders = Senders(tmp_path, Scripted([Accepted(None)]), hook, crm=bench.channel)
        names = [f"m{number}" for number in range(MESSAGES)]
        await senders.take(
            *(
                message(name, "webhook", template="hook", person=f"u{number % PEOPLE}")
                for number, name in enumerate(names)
            )
        )
        await senders.settle()
        await pass_time(senders, NOW + 25 * 3_600_000)
        assert senders.pending() == []
        outcomes = {name: outcome for name, outcome, _ in senders.deliveries()}
        held = held_by(bench.provider)
        assert sorted(outcomes) == sorted(names)
        assert max(held.values()) == 1, "nobody has a message twice"
        sent = {name for name, outcome in outcomes.items() if outcome == "sent"}
        unknown = {name for name, outcome in outcomes.items() if outcome == "unknown"}
        assert sent <= set(held) <= sent | unknown
        if bench.channel.idempotent:
            assert sent == set(names) == set(held)
        else:
            assert unknown, "the faults were met"
        senders.store.abandon()
