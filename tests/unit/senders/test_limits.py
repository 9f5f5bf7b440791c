"""How fast and how long a provider is called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.senders.channels.base import (
    Accepted,
    DeliveryResult,
    Misconfigured,
    Refused,
    RetryAfter,
    Unknown,
)
from workers.senders.limits import (
    CLOSED,
    FAILURES_TO_OPEN,
    MISCONFIGURED_MS,
    OPEN_MAX_MS,
    OPEN_MIN_MS,
    PROBE_MS,
    PROBED_MS,
    Breaker,
    Bucket,
    Limits,
    after_result,
    ask_breaker,
    take_token,
    verdict,
)

NOW = 1_773_480_000_000

FAILING = RetryAfter(1_000, "http_500", "provider")


def test_without_a_rate_there_is_no_bucket() -> None:
    """As fast as the provider answers."""
    assert take_token(None, Limits(), NOW) == (None, 0)


def test_a_burst_passes_and_then_one_by_one() -> None:
    """Two a second after a burst of three."""
    limits = Limits(per_second=2, burst=3)
    bucket, waits, now_ms = None, [], NOW
    for _ in range(6):
        bucket, wait_ms = take_token(bucket, limits, now_ms)
        if wait_ms:
            now_ms += wait_ms
            bucket, none = take_token(bucket, limits, now_ms)
            assert none == 0
        waits.append(wait_ms)
    assert waits == [0, 0, 0, 500, 500, 500]


def test_a_slow_rate_lets_one_call_pass_at_once() -> None:
    """A call every ten seconds begins with a call."""
    limits = Limits(per_second=0.1)
    bucket, wait_ms = take_token(None, limits, NOW)
    assert (bucket, wait_ms) == (Bucket(0, NOW), 0)
    assert take_token(bucket, limits, NOW + 4_000)[1] == 6_000


@given(
    st.floats(0.05, 500),
    st.integers(0, 100),
    st.lists(st.integers(0, 3_000), min_size=1, max_size=100),
)
def test_no_span_of_time_has_more_calls_than_the_rate_and_a_burst(
    per_second: float, burst: int, pauses_ms: list[int]
) -> None:
    """However the calls come."""
    limits = Limits(per_second=per_second, burst=burst)
    bucket, now_ms, taken = None, NOW, []
    for pause_ms in pauses_ms:
        now_ms += pause_ms
        bucket, wait_ms = take_token(bucket, limits, now_ms)
        if wait_ms == 0:
            taken.append(now_ms)
    for first, start_ms in enumerate(taken):
        for last in range(first, len(taken)):
            allowed = limits.burst_size + (taken[last] - start_ms) / 1000 * per_second
            assert last - first + 1 <= allowed + 1e-3


VERDICTS: list[tuple[DeliveryResult, str]] = [
    (Accepted("p"), "answers"),
    (Refused("no_such_user", "hard"), "answers"),
    (RetryAfter(1_000, "greylisted"), "answers"),
    (Misconfigured("no_such_field", "message"), "answers"),
    (FAILING, "fails"),
    (Unknown("timeout"), "fails"),
    (RetryAfter(9_000, "429", "rate"), "slow_down"),
    (Misconfigured("token"), "misconfigured"),
]


@pytest.mark.parametrize(("result", "said"), VERDICTS)
def test_a_result_says_something_of_the_provider(result: DeliveryResult, said: str) -> None:
    """One bad message is no bad provider."""
    assert verdict(result)[0] == said


def opened(times: int = 1) -> tuple[Breaker, int]:
    """A breaker that opened so often in a row, and the time of the last failure."""
    breaker, now_ms = CLOSED, NOW
    for _ in range(FAILURES_TO_OPEN):
        breaker = after_result(breaker, FAILING, now_ms)
    for _ in range(times - 1):
        assert breaker.open_until_ms is not None
        now_ms = breaker.open_until_ms
        breaker, wait_ms = ask_breaker(breaker, now_ms)
        assert wait_ms == 0
        breaker = after_result(breaker, FAILING, now_ms)
    return breaker, now_ms


def test_failures_in_a_row_open_it_and_an_answer_between_them_does_not() -> None:
    """A provider that answers one of five calls is still called."""
    breaker = CLOSED
    for number in range(100):
        breaker = after_result(breaker, FAILING if number % FAILURES_TO_OPEN else Accepted(None), NOW)
        assert ask_breaker(breaker, NOW)[1] == 0
    assert ask_breaker(opened()[0], NOW)[1] == OPEN_MIN_MS


def test_one_call_probes_and_the_others_wait() -> None:
    """Half-open: until the probe is back, or lost with its worker."""
    breaker, _ = opened()
    later = NOW + OPEN_MIN_MS
    assert ask_breaker(breaker, later - 1)[1] == 1
    breaker, wait_ms = ask_breaker(breaker, later)
    assert wait_ms == 0
    assert ask_breaker(breaker, later)[1] == PROBED_MS
    assert ask_breaker(breaker, later + PROBE_MS - 1)[1] == PROBED_MS
    assert ask_breaker(breaker, later + PROBE_MS)[1] == 0
    assert after_result(breaker, Accepted(None), later) == CLOSED
    assert after_result(breaker, Refused("bad", "soft"), later) == CLOSED


def test_probes_that_fail_come_at_longer_intervals() -> None:
    """A second, two, four ... up to five minutes."""
    waits = [ask_breaker(*opened(times))[1] for times in range(1, 12)]
    assert waits == [
        1_000,
        2_000,
        4_000,
        8_000,
        16_000,
        32_000,
        64_000,
        128_000,
        256_000,
        OPEN_MAX_MS,
        OPEN_MAX_MS,
    ]


def test_calls_that_began_before_it_opened_change_nothing() -> None:
    """Neither a late failure, which would keep it open, nor a late answer."""
    breaker, now_ms = opened()
    assert after_result(breaker, FAILING, now_ms + 1) == breaker
    assert after_result(breaker, Accepted(None), now_ms + 1) == breaker


@pytest.mark.parametrize(
    ("result", "wait_ms"),
    [(RetryAfter(30_000, "429", "rate"), 30_000), (Misconfigured("token"), MISCONFIGURED_MS)],
)
def test_a_provider_that_says_so_is_left_alone_at_once(result: DeliveryResult, wait_ms: int) -> None:
    """The first answer is enough; a shorter one that comes later does not shorten it."""
    breaker = after_result(CLOSED, result, NOW)
    assert ask_breaker(breaker, NOW)[1] == wait_ms
    breaker = after_result(breaker, RetryAfter(1, "429", "rate"), NOW + 1)
    assert ask_breaker(breaker, NOW)[1] == wait_ms


def test_a_provider_that_said_how_long_is_taken_at_its_word() -> None:
    """No call probes for the others; after a wrong setting one does, and after failures."""
    told = after_result(CLOSED, RetryAfter(2_000, "429", "rate"), NOW)
    for _ in range(3):
        told, wait_ms = ask_breaker(told, NOW + 2_000)
        assert wait_ms == 0
    for breaker, later in (
        (after_result(CLOSED, Misconfigured("token"), NOW), NOW + MISCONFIGURED_MS),
        (after_result(opened()[0], RetryAfter(2_000, "429", "rate"), NOW), NOW + 2_000),
        (after_result(told, Misconfigured("token"), NOW), NOW + MISCONFIGURED_MS),
    ):
        assert ask_breaker(ask_breaker(breaker, later)[0], later)[1] == PROBED_MS
