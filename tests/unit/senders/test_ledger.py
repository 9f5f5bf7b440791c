"""What each result of a delivery means for what happens next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.wire import Message, MessageContext
from workers.senders.channels.base import (
    Accepted,
    DeliveryResult,
    Misconfigured,
    OnUnknown,
    Refused,
    RetryAfter,
    Unknown,
)
from workers.senders.ledger import (
    ATTEMPTS_MAX,
    MESSAGE_AGE_MAX_MS,
    RETRY_MAX_MS,
    RETRY_MIN_MS,
    End,
    Pending,
    TryAgain,
    next_step,
)
from workers.senders.limits import MISCONFIGURED_MS

NOW = 1_773_480_000_000


def pending(attempt: int = 1, age_ms: int = 0, name: str = "m1") -> Pending:
    """A message under way."""
    message = Message(
        id=name,
        channel="email",
        person="u1",
        journey="upsell",
        version="v",
        enrollment="e",
        step="0",
        template="mail",
        tags=[],
        context=MessageContext(user={}, account={}, event={}),
        requested_at_ms=NOW,
    )
    return Pending(message, attempt, NOW - age_ms, calling=True)


OLD = MESSAGE_AGE_MAX_MS

ENDS: list[tuple[str, Pending, DeliveryResult, OnUnknown, End]] = [
    (
        "taken by the provider: sent, with its name and price",
        pending(),
        Accepted("p1", 40),
        "at_most_once",
        End("sent", None, "p1", 40),
    ),
    (
        "an address that is no good: failed, and later reports know that it was hard",
        pending(),
        Refused("no_such_user", "hard"),
        "at_most_once",
        End("failed", "hard_bounce:no_such_user", bounce="hard"),
    ),
    (
        "this message was refused, another may pass",
        pending(),
        Refused("spam", "soft"),
        "at_least_once",
        End("failed", "soft_bounce:spam", bounce="soft"),
    ),
    (
        "nobody knows whether it left, and twice is worse than never: left alone",
        pending(),
        Unknown("cut"),
        "at_most_once",
        End("unknown", "cut"),
    ),
    (
        "the last try",
        pending(attempt=ATTEMPTS_MAX),
        RetryAfter(1_000, "busy"),
        "at_most_once",
        End("failed", "gave_up:busy"),
    ),
    (
        "the last try of a channel that sends again",
        pending(attempt=ATTEMPTS_MAX),
        Unknown("cut"),
        "at_least_once",
        End("failed", "gave_up:cut"),
    ),
    (
        "a day old: its moment is gone",
        pending(age_ms=OLD),
        RetryAfter(1_000, "busy"),
        "at_most_once",
        End("failed", "gave_up:busy"),
    ),
    (
        "a day without anybody mending the configuration",
        pending(attempt=3, age_ms=OLD),
        Misconfigured("login"),
        "at_most_once",
        End("failed", "gave_up:login"),
    ),
]


@pytest.mark.parametrize(("held", "result", "policy", "end"), [r[1:] for r in ENDS], ids=[r[0] for r in ENDS])
def test_a_message_ends(held: Pending, result: DeliveryResult, policy: OnUnknown, end: End) -> None:
    """One row, one rule."""
    assert next_step(held, result, policy, NOW) == end


AGAIN: list[tuple[str, Pending, DeliveryResult, OnUnknown, int, str]] = [
    ("the delay that was asked for", pending(), RetryAfter(5_000, "busy"), "at_most_once", 5_000, "busy"),
    ("at least a second", pending(), RetryAfter(0, "busy"), "at_most_once", RETRY_MIN_MS, "busy"),
    ("doubled by each attempt", pending(4), RetryAfter(5_000, "busy"), "at_most_once", 40_000, "busy"),
    ("up to an hour", pending(11), RetryAfter(60_000, "busy"), "at_most_once", RETRY_MAX_MS, "busy"),
    ("longer where it was asked for", pending(3), RetryAfter(7_200_000, "b"), "at_most_once", 7_200_000, "b"),
    (
        "once a minute until somebody acts",
        pending(),
        Misconfigured("x"),
        "at_most_once",
        MISCONFIGURED_MS,
        "x",
    ),
    (
        "that for ever within a day",
        pending(500),
        Misconfigured("x"),
        "at_most_once",
        MISCONFIGURED_MS,
        "x",
    ),
    (
        "unknown, and never is worse than twice",
        pending(),
        Unknown("cut"),
        "at_least_once",
        RETRY_MIN_MS,
        "cut",
    ),
    (
        "a millisecond before it is a day old",
        pending(1, OLD - 1),
        RetryAfter(1_000, "b"),
        "at_most_once",
        1_000,
        "b",
    ),
]


@pytest.mark.parametrize(
    ("held", "result", "policy", "delay_ms", "reason"), [r[1:] for r in AGAIN], ids=[r[0] for r in AGAIN]
)
def test_a_message_is_tried_again(
    held: Pending, result: DeliveryResult, policy: OnUnknown, delay_ms: int, reason: str
) -> None:
    """After the delay and up to half of it more."""
    step = next_step(held, result, policy, NOW)
    assert isinstance(step, TryAgain)
    assert step.reason == reason
    assert delay_ms <= step.delay_ms <= delay_ms * 3 // 2


def test_messages_held_up_together_come_back_apart() -> None:
    """The jitter is each message's own, and the same whenever it is computed."""
    steps = [
        next_step(pending(name=f"m{number}"), RetryAfter(60_000, "down"), "at_most_once", NOW)
        for number in range(200)
    ]
    delays = [step.delay_ms for step in steps if isinstance(step, TryAgain)]
    assert len(set(delays)) > 150
    assert max(delays) - min(delays) > 25_000
    assert steps[0] == next_step(pending(name="m0"), RetryAfter(60_000, "down"), "at_most_once", NOW)


@given(
    st.lists(
        st.one_of(
            st.builds(RetryAfter, st.integers(0, 10_000_000), st.just("busy")),
            st.just(Misconfigured("login")),
            st.just(Unknown("cut")),
        ),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["at_most_once", "at_least_once"]),
)
def test_every_message_ends(results: list[DeliveryResult], policy: OnUnknown) -> None:
    """Whatever comes back again and again: within a day, an hour's wait and its jitter."""
    held, now_ms = pending(), NOW
    for attempt in range(1, 5_000):
        held.attempt = attempt
        step = next_step(held, results[attempt % len(results)], policy, now_ms)
        if isinstance(step, End):
            break
        assert step.delay_ms >= RETRY_MIN_MS
        now_ms += step.delay_ms
    else:
        pytest.fail("it did not end")
    assert now_ms - NOW <= MESSAGE_AGE_MAX_MS + 15_000_000
