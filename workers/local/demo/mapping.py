"""From the bundled history to the events that a product's own code would send, in the Segment spec.

=============================  ==============================================================================
in the source                  becomes
=============================  ==============================================================================
a user's first use             ``identify`` (email, name, role, plan) and ``group`` (the account's traits)
a use                          ``track``, named as in the source, except ``quote`` -> ``quote_created``;
                               the source's value, if any, is ``properties.value``
a plan's row                   traits of the account: ``plan``, ``mrr``, ``seats``, ``billing_months``,
                               ``searches_limit``, ``meetings_limit``, ``country``
a limit reached                ``track plan_limit_reached {limit_type, current_plan, usage_percentage}`` by
                               the user whose use reached it; :mod:`workers.local.demo.quotas` says when
two rows in a row, more seats  ``track plan_upgraded {from_plan, to_plan, mrr_delta}`` by the billing owner
                               at the start of the second, then the new traits of account and members
two rows in a row, less seats  ``plan_downgraded``, the same way
a last row that ends           ``track subscription_ended {plan}`` by the billing owner
=============================  ==============================================================================

What the source does not have and the mapping adds: names and addresses (at ``example.com``, reserved for
examples), and roles: user 0 of an account is the ``billing_owner``, user 1 the ``admin``, others ``member``.

``mrr`` and ``mrr_delta`` are those of the plan's own rows, discounts included. The add-on rows are left out
of them because the source's generator writes both add-ons for every account, whether bought or not.

The output is a function of the history alone: equal input gives equal events and message ids.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workers.local.demo.history import History, Subscription, Use
from workers.local.demo.quotas import Quotas

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Message = dict[str, Any]
_Step = tuple[int, int, "Use | int"]  # when, plan changes before uses, the use or the account that changes

RENAMED = {"quote": "quote_created"}
BILLING_OWNER = 0
ADMIN = 1
LIBRARY = {"name": "brimful-demo", "version": "1"}
GIVEN_NAMES = ("Ada", "Ben", "Chloe", "Dev", "Elif", "Femi", "Grace", "Hugo", "Ines", "Jonas", "Kira", "Liam")


@dataclass(frozen=True, slots=True)
class DemoEvent:
    """A Segment message without its timestamp, and when it happens in the history's own time."""

    at_ms: int
    message: Message


def demo_events(history: History, namespace: str = "") -> Iterator[DemoEvent]:
    """All events of ``history`` in time order.

    ``namespace`` goes into the message ids, so that a second replay of the same history into the same
    cluster is not taken for duplicates of the first.
    """
    writer = _Writer(history, namespace)
    uses: Iterable[_Step] = ((use.at_ms, 1, use) for use in history.uses)
    changes: Iterable[_Step] = ((at_ms, 0, account) for at_ms, account in _plan_changes(history))
    for at_ms, _, item in heapq.merge(changes, uses, key=lambda step: step[:2]):
        messages = writer.use(item) if isinstance(item, Use) else writer.plan_change(item, at_ms)
        for message in messages:
            yield DemoEvent(at_ms, message)


def user_id(account: int, user: int) -> str:
    """The id that a user of the source has in the events."""
    return f"user-{account}-{user}"


def account_id(account: int) -> str:
    """The id that an account of the source has in the events."""
    return f"acct-{account}"


def role_of(user: int) -> str:
    """The role that the mapping gives a user of the source."""
    return {BILLING_OWNER: "billing_owner", ADMIN: "admin"}.get(user, "member")


def _plan_changes(history: History) -> list[tuple[int, int]]:
    """When, and of which account, a plan's row begins or ends, within the history; the opening included."""
    moments = set()
    for row in history.subscriptions:
        if row.units != "users" or row.end_ms < history.start_ms:
            continue
        for at_ms in (max(row.start_ms, history.start_ms), row.end_ms):
            if at_ms < history.end_ms:
                moments.add((at_ms, row.account))
    return sorted(moments)


class _Writer:
    """Writes the messages; remembers who has been seen and which plan each account was last told to have."""

    def __init__(self, history: History, namespace: str) -> None:
        self._quotas = Quotas(history.subscriptions, history.openings, history.start_ms)
        self._countries = history.countries
        self._start_ms = history.start_ms
        self._namespace = namespace
        self._members: dict[int, dict[int, None]] = {}
        self._plans: dict[int, Subscription | None] = {}
        self._count = 0

    def plan_change(self, account: int, at_ms: int) -> list[Message]:
        """What is sent when a plan's row of ``account`` begins or ends at ``at_ms``."""
        plan = self._quotas.plan(account, at_ms)
        if account not in self._plans and at_ms == self._start_ms:
            self._plans[account] = self._quotas.plan(account, at_ms - 1)
        before = self._plans.get(account)
        self._plans[account] = plan
        if plan is None:
            if before is None:
                return []
            return [self._track("subscription_ended", account, BILLING_OWNER, {"plan": before.plan})]
        messages = []
        moved = before is not None and before.quantity != plan.quantity
        if before is not None and moved:
            name = "plan_upgraded" if plan.quantity > before.quantity else "plan_downgraded"
            delta = round(plan.mrr - before.mrr, 2)
            properties = {"from_plan": before.plan, "to_plan": plan.plan, "mrr_delta": delta}
            messages.append(self._track(name, account, BILLING_OWNER, properties))
        members = self._members.setdefault(account, {})
        if BILLING_OWNER not in members:
            members[BILLING_OWNER] = None
            messages.append(self._identify(account, BILLING_OWNER, plan))
        messages.append(self._group(account, BILLING_OWNER, plan, at_ms))
        if moved:
            messages += [self._identify(account, member, plan) for member in members]
        return messages

    def use(self, use: Use) -> list[Message]:
        """What is sent for one use: who it is if new, the use, and the limits that it reaches."""
        plan = self._quotas.plan(use.account, use.at_ms)
        messages = []
        members = self._members.setdefault(use.account, {})
        if use.user not in members:
            members[use.user] = None
            messages.append(self._identify(use.account, use.user, plan))
            messages.append(self._group(use.account, use.user, plan, use.at_ms))
        value = {} if use.value is None else {"value": use.value}
        name = RENAMED.get(use.event_type, use.event_type)
        messages.append(self._track(name, use.account, use.user, value))
        for hit in self._quotas.record(use):
            properties = {
                "limit_type": hit.limit_type,
                "current_plan": hit.current_plan,
                "usage_percentage": hit.usage_percentage,
            }
            messages.append(self._track("plan_limit_reached", use.account, use.user, properties))
        return messages

    def _track(self, event: str, account: int, user: int, properties: Message) -> Message:
        return self._message("track", account, user, {"event": event, "properties": properties})

    def _identify(self, account: int, user: int, plan: Subscription | None) -> Message:
        traits: Message = {
            "email": f"{user_id(account, user)}@example.com",
            "name": f"{GIVEN_NAMES[(account + user) % len(GIVEN_NAMES)]} {account}-{user}",
            "role": role_of(user),
        }
        if plan is not None:
            traits["plan"] = plan.plan
        return self._message("identify", account, user, {"traits": traits})

    def _group(self, account: int, user: int, plan: Subscription | None, at_ms: int) -> Message:
        traits: Message = {"name": f"Account {account}"}
        if (country := self._countries.get(account)) is not None:
            traits["country"] = country
        if plan is not None:
            months = (plan.end.year - plan.start.year) * 12 + plan.end.month - plan.start.month
            traits |= {"plan": plan.plan, "mrr": plan.mrr, "seats": plan.quantity, "billing_months": months}
        for units, trait in (("search", "searches_limit"), ("schedule_meeting", "meetings_limit")):
            if (row := self._quotas.allowance(account, units, at_ms)) is not None:
                traits[trait] = row.quantity
        return self._message("group", account, user, {"groupId": account_id(account), "traits": traits})

    def _message(self, kind: str, account: int, user: int, fields: Message) -> Message:
        """A complete message. Its id is a hash of its content and of its place in the stream."""
        self._count += 1
        content = [self._namespace, self._count, kind, account, user, fields]
        text = json.dumps(content, separators=(",", ":"), sort_keys=True)
        return {
            "type": kind,
            "messageId": f"demo-{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}",
            "userId": user_id(account, user),
            "context": {"groupId": account_id(account), "library": LIBRARY},
            **fields,
        }
