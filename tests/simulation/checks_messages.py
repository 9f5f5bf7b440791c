"""What has to be true of messages, seen from outside. Each check gives a sentence for whatever is wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from schemas import wire
from schemas.workspace.journeys import ExitChange, ExitEvent
from tests.simulation.actions import HOUR
from tests.simulation.evidence import SLACK_MS
from workers.core.ids import stable_id
from workers.core.plan import SendStepPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.workspace import Journey
    from tests.simulation.evidence import Event, Evidence


def one_record_per_message(found: Evidence) -> Iterator[str]:
    """No message is written twice to a person, and none without a decision to send it, nor the reverse."""
    written = Counter((message.id, message.person) for _, message in found.messages)
    for (message_id, person), times in written.items():
        if times > 1:
            yield f"message {message_id} to {person} was written {times} times"
    decided = Counter(decision.id for _, decision in found.decisions("send", "send"))
    yield from (f"decision {one} was written {times} times" for one, times in decided.items() if times > 1)
    expected = {stable_id("decision", "send", message.id): message.id for _, message in found.messages}
    yield from (
        f"message {expected[one]} has no decision" for one in sorted(expected.keys() - decided.keys())
    )
    yield from (f"decision {one} sent no message" for one in sorted(decided.keys() - expected.keys()))


def each_message_ends_once(found: Evidence) -> Iterator[str]:
    """Each message has one delivery record; none at most where the person was erased meanwhile."""
    ended = Counter(delivery.message_id for _, delivery in found.of("deliveries"))
    for message_id, times in ended.items():
        if times > 1:
            yield f"message {message_id} has {times} deliveries"
    for message in {message.id: message for _, message in found.messages}.values():
        if not ended[message.id] and message.person not in found.erased:
            yield f"message {message.id} to {message.person} ({message.channel}) never ended"


def the_provider_is_called_to_effect_once(found: Evidence) -> Iterator[str]:
    """The provider accepted no message twice; what is told as sent it accepted, what as failed it did not."""
    taken = Counter(one.message_id for one in found.left.provider.taken)
    yield from (f"the provider accepted {one} {times} times" for one, times in taken.items() if times > 1)
    for _, delivery in found.of("deliveries"):
        if delivery.channel != "email":
            continue
        if delivery.outcome == "sent" and not taken[delivery.message_id]:
            yield f"delivery of {delivery.message_id} says sent; the provider knows nothing of it"
        tried_on = found.scenario.remembers_ids
        if delivery.outcome == "failed" and taken[delivery.message_id] and not tried_on:
            yield f"delivery of {delivery.message_id} says {delivery.reason}; the provider accepted it"


def the_holdout_is_never_messaged(found: Evidence) -> Iterator[str]:
    """Nobody gets a message of an enrollment that was held out; who is held out stays so for a journey."""
    held_out: dict[str, bool] = {}
    by_subject: dict[tuple[str, str], set[bool]] = defaultdict(set)
    for _, decision in found.decisions("entry", "enrolled"):
        held_out[decision.enrollment or ""] = bool(decision.holdout)
        by_subject[decision.journey, decision.subject].add(bool(decision.holdout))
    for _, message in found.messages:
        if held_out.get(message.enrollment, False):
            yield f"message {message.id} went to {message.person}, who is of the holdout of {message.journey}"
    everywhere = found.scenario.versions.loaded[0].workspace.holdout
    if everywhere is not None and everywhere.unit == "account":
        return  # who changes over to another account may be held out with it
    for (journey, subject), answers in by_subject.items():
        if len(answers) > 1 and journey in found.stable:
            yield f"{subject} is of the holdout of {journey} at one entry and not at another"


def nothing_is_sent_after_an_exit(found: Evidence) -> Iterator[str]:
    """After the decision to end an enrollment nothing is decided or sent for it."""
    ended = {decision.enrollment: record.order for record, decision in found.decisions("exit")}
    asked = (one for one in found.decisions("send") if one[1].reason != "no_recipient")
    for record, decision in asked:
        if decision.subject_type == "account" or found.stable.get(decision.journey, None) is None:
            continue
        end = ended.get(decision.enrollment)
        is_users = found.stable[decision.journey].subject == "user"
        if is_users and end is not None and record.order > end:
            yield f"{decision.subject} in {decision.journey}: {decision.outcome} after the exit"
    for record, decision in found.decisions("send", "request", "would_request"):
        end = ended.get(decision.enrollment)
        if end is not None and record.order > end:
            yield f"account {decision.subject} in {decision.journey}: {decision.outcome} after the exit"


def exits_stop_messages(found: Evidence) -> Iterator[str]:
    """Once an exit's event, or another value of its trait, was taken in, no transaction sends a message."""
    enrolled = found.decisions("entry", "enrolled")
    for journey in found.stable.values():
        if journey.subject != "user" or not journey.exit:
            continue
        for record, decision in enrolled:
            if decision.journey != journey.journey or decision.subject in found.entangled:
                continue
            entered = found.end_of(record)
            ends = [one for one in _ends(found, journey, decision) if one.applied > entered]
            if not ends:
                continue
            end = min(ends, key=lambda one: one.applied)
            for sent, message in found.messages:
                if message.enrollment == decision.enrollment and sent.order > end.applied:
                    yield f"{message.person} got {message.template} of {journey.journey} after {end.name}"


def _ends(found: Evidence, journey: Journey, entered: wire.Decision) -> Iterator[Event]:
    """The events of a subject that end its enrollment if they come after it."""
    trigger = found.triggers[entered.enrollment or ""]
    exits = [one.when for one in journey.exit]
    plan: str | None = None
    for event in found.events_of(entered.subject):
        if event.at_ms > event.record.timestamp + HOUR // 2:
            return  # whether it was refused as dated ahead depends on the worker's clock
        told = wire.values(event.event.traits).get("plan") if event.name == "identify" else None
        if told is not None and told != plan:
            plan = told
            if any(isinstance(one, ExitChange) and one.trait == "plan" for one in exits):
                yield event
        is_after = trigger.at_ms + SLACK_MS <= event.at_ms <= event.record.timestamp
        ends = any(isinstance(one, ExitEvent) and _matches(one, event) for one in exits)
        if ends and is_after and event.event.message_id != trigger.message_id:
            yield event


def once_is_once(found: Evidence) -> Iterator[str]:
    """A template that reaches a person once, ever, does not reach them again."""
    plan = found.plans[0]
    journeys = {**plan.user.journeys, **plan.account.journeys}
    got: Counter[tuple[str, str, str]] = Counter()
    for message in {message.id: message for _, message in found.messages}.values():
        if message.journey not in found.stable or message.person in found.entangled:
            continue
        step = journeys[message.journey].steps.get(message.step)
        if isinstance(step, SendStepPlan) and step.once:
            got[message.person, message.channel, message.template] += 1
    yield from (f"{one} reached a person {times} times" for one, times in got.items() if times > 1)


def feeds_show_what_was_delivered(found: Evidence) -> Iterator[str]:
    """A person's feed holds the in-app messages that were delivered to them and not taken back, each once."""
    if found.scenario.versions.names:
        return  # items of the ready workspaces expire
    newest: dict[str, wire.Feed | None] = {}
    for record, feed in found.of("feeds"):
        newest[(record.key or b"").decode()] = feed
    taken_back: dict[tuple[str, str], int] = {}
    asked: dict[str, int] = {}
    for record, message in found.of("messages.in_app"):
        if message is not None and message.withdrawn is not None:
            taken_back[message.enrollment, message.person] = record.order
        elif message is not None:
            asked.setdefault(message.id, record.order)
    delivered: dict[str, set[str]] = defaultdict(set)
    for _, delivery in found.of("deliveries"):
        back = taken_back.get((delivery.enrollment, delivery.person), -1)
        if delivery.channel == "in_app" and delivery.outcome == "sent" and asked[delivery.message_id] > back:
            delivered[delivery.person].add(delivery.message_id)
    for person in sorted((newest.keys() | delivered.keys()) - found.entangled):
        feed = newest.get(person)
        items = [item.id for item in feed.items] if feed is not None else []
        if sorted(items) != sorted(delivered[person]) and len(delivered[person]) < 50:
            yield f"the feed of {person} holds {len(items)} items, delivered were {len(delivered[person])}"


def _matches(exit_event: ExitEvent, event: Event) -> bool:
    """Whether an exit's event happened; ``where`` is the one that random workspaces use."""
    if exit_event.event != event.name or exit_event.match is not None:
        return False
    return exit_event.where is None or wire.values(event.event.properties).get("mrr", 0) >= 50


CHECKS = (
    one_record_per_message,
    each_message_ends_once,
    the_provider_is_called_to_effect_once,
    the_holdout_is_never_messaged,
    nothing_is_sent_after_an_exit,
    exits_stop_messages,
    once_is_once,
    feeds_show_what_was_delivered,
)
