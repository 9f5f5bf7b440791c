"""A generated history whose propensity is known, because it decides who upgrades."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from functools import cache
from random import Random
from typing import Any

import msgspec

from schemas.wire import decode_product_event
from workers.propensity.features import Limit, Spec
from workers.propensity.history import History, read_history

DAY_MS = 86_400_000
PERIOD_MS = 14 * DAY_MS
START_MS = 1_772_323_200_000  # 2026-03-01
TARGET = "plan_upgraded"


def message(
    name: str, at_ms: int, account: str, user: str = "ada", number: int = 0, **properties: Any
) -> dict[str, Any]:
    """A track call of a member of an account."""
    return {
        "type": "track",
        "event": name,
        "messageId": f"{account}-{user}-{name}-{at_ms}-{number}",
        "timestamp": stamp(at_ms),
        "userId": user,
        "context": {"groupId": account},
        "properties": properties,
    }


def group(at_ms: int, account: str, user: str = "ada", **traits: Any) -> dict[str, Any]:
    """A group call."""
    return {
        "type": "group",
        "messageId": f"{account}-group-{at_ms}",
        "timestamp": stamp(at_ms),
        "userId": user,
        "groupId": account,
        "traits": traits,
    }


def stamp(at_ms: int) -> str:
    """Milliseconds as RFC 3339."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")


def history(messages: list[dict[str, Any]]) -> History:
    """The accounts' history of messages."""
    return read_history((decode_product_event(msgspec.json.encode(one)) for one in messages), "account")


def spec(**changes: Any) -> Spec:
    """What the tests train for."""
    return msgspec.structs.replace(
        Spec(subject="account", target=TARGET, horizon_ms=PERIOD_MS, limits=(Limit("@users", "seats"),)),
        **changes,
    )


@cache
def generated(
    seed: int, accounts: int, periods: int, by_invites: float, by_usage: float
) -> tuple[str, dict[tuple[str, int], float]]:
    """NDJSON of a history, and the true propensity of each account at the start of each period.

    In each period of 14 days an account upgrades with the logit ``-3 + by_invites * log1p(invites of 28 days)
    + by_usage * (usage - 0.6)``, with usage between 0.2 and 1.2. Accounts differ in how much they invite.
    """
    chance = Random(seed)  # noqa: S311  a reproducible history, no secret
    lines: list[dict[str, Any]] = []
    truth: dict[tuple[str, int], float] = {}
    for number in range(accounts):
        account = f"acct-{number}"
        plan = chance.choice(("starter", "basic"))
        lines.append(group(START_MS, account, plan=plan, seats=10, name=f"Firm {number}"))
        appetite = chance.choice((0.0, 0.5, 2.0, 5.0))
        invites, usage = [0, 0], 0.6
        for period in range(periods):
            start_ms = START_MS + period * PERIOD_MS
            if period >= 2:
                logit = -3 + by_invites * math.log1p(invites[-1] + invites[-2]) + by_usage * (usage - 0.6)
                truth[account, start_ms] = 1 / (1 + math.exp(-logit))
                if chance.random() < truth[account, start_ms]:
                    lines.append(message(TARGET, start_ms + chance.randrange(1, PERIOD_MS), account))
            # What decided is the usage that the period before reported; this one reports another.
            usage = min(1.2, max(0.2, usage + chance.gauss(0, 0.25)))
            count = sum(chance.random() < appetite / 10 for _ in range(10))
            invites.append(count)
            for index in range(count):
                at_ms = start_ms + chance.randrange(PERIOD_MS)
                lines.append(message("invite_sent", at_ms, account, number=index))
            for index in range(3):
                at_ms = start_ms + chance.randrange(PERIOD_MS)
                lines.append(message("login", at_ms, account, f"user-{chance.randrange(5)}", index))
            percent = round(100 * usage)
            lines.append(
                message("limit_looked_at", start_ms + PERIOD_MS - 1, account, usage_percentage=percent)
            )
    text = "\n".join(json.dumps(line) for line in sorted(lines, key=lambda line: line["timestamp"]))
    return text + "\n", truth
