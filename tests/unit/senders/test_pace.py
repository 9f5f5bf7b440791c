"""Warm-up and rates by domain: what may leave when, and that others pass meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.senders.test_lanes import pass_time
from tests.unit.senders.test_logic import MAIL, NOW, Scripted, Senders, message
from workers.errors import Misconfigured
from workers.senders.channels.base import Accepted
from workers.senders.limits import DOMAINS_MAX, Limits, Receivers, ask_domain, ask_warm_up
from workers.senders.pace import DAY_MS, OTHERS, Pace, WarmUp, domain_of, read_rates, read_warm_up

if TYPE_CHECKING:
    from pathlib import Path

DAY = date(2026, 3, 1)
DAY_AT_MS = 1_772_323_200_000  # 2026-03-01T00:00:00Z
WARM = WarmUp(DAY, (200, 500, 1_000))


@pytest.mark.parametrize(
    ("at_ms", "mails"),
    [
        (DAY_AT_MS - DAY_MS, 200),  # before the first day
        (DAY_AT_MS, 200),
        (DAY_AT_MS + DAY_MS - 1, 200),
        (DAY_AT_MS + DAY_MS, 500),
        (DAY_AT_MS + 2 * DAY_MS, 1_000),
        (DAY_AT_MS + 3 * DAY_MS, None),  # over
        (DAY_AT_MS + 300 * DAY_MS, None),
    ],
)
def test_each_day_has_its_number(at_ms: int, mails: int | None) -> None:
    """In UTC; after the last day there is no limit."""
    assert WARM.allowance(at_ms) == mails


@given(st.lists(st.integers(0, DAY_MS), min_size=1, max_size=60), st.integers(1, 20))
def test_no_day_has_more_than_its_number_and_a_slice(asks: list[int], mails: int) -> None:
    """Whenever mails come; a slice is five minutes' worth, at least one mail."""
    pace, receivers, sent = Pace(WarmUp(DAY, (mails,))), Receivers(), 0
    for at_ms in sorted(asks):
        receivers, wait_ms = ask_warm_up(receivers, pace, DAY_AT_MS + at_ms - 1)
        sent += wait_ms == 0
    assert sent <= mails + 1


def test_a_warm_up_lets_its_number_pass_over_the_day() -> None:
    """For whoever waits as long as told."""
    pace, receivers, now_ms, sent = Pace(WARM), Receivers(), DAY_AT_MS, 0
    while now_ms < DAY_AT_MS + DAY_MS:
        receivers, wait_ms = ask_warm_up(receivers, pace, now_ms)
        sent += wait_ms == 0
        now_ms += wait_ms
    assert sent in (200, 201)


def test_a_domain_has_its_rate_and_others_theirs() -> None:
    """``*`` is each of the others by itself."""
    pace, receivers = Pace(None, {"gmail.com": 2, OTHERS: 1}), Receivers()
    passed = []
    for domain in ("gmail.com", "gmail.com", "gmail.com", "a.example", "a.example", "b.example"):
        receivers, wait_ms = ask_domain(receivers, pace, domain, NOW)
        passed.append(wait_ms)
    assert passed == [0, 0, 500, 0, 1_000, 0]
    assert ask_domain(receivers, Pace(None, {"gmail.com": 1}), "a.example", NOW)[1] == 0


def test_domains_that_are_watched_are_bounded() -> None:
    """Whatever addresses come; a domain that was just written to is not forgotten."""
    pace, receivers = Pace(None, {OTHERS: 0.001}), Receivers()
    for number in range(DOMAINS_MAX + 10):
        receivers, _ = ask_domain(receivers, pace, f"d{number}.example", NOW + number)
    assert len(receivers.domains) <= DOMAINS_MAX
    assert ask_domain(receivers, pace, f"d{DOMAINS_MAX + 9}.example", NOW + DOMAINS_MAX + 9)[1] > 0


@pytest.mark.parametrize(("address", "domain"), [("a@Gmail.COM", "gmail.com"), (None, ""), ("x", "x")])
def test_a_domain_is_written_one_way(address: str | None, domain: str) -> None:
    """Letters make no difference."""
    assert domain_of(address) == domain


def test_settings_are_read() -> None:
    """As they are documented."""
    assert read_warm_up("2026-03-01:200,500,1000") == WARM
    assert read_rates("Gmail.com=20, *=0.5,") == {"gmail.com": 20, "*": 0.5}
    assert read_rates("") == {}


@pytest.mark.parametrize(
    "text", ["", "2026-03-01", "2026-03-01:", "1.3.2026:5", "2026-03-01:5,4", "2026-03-01:0"]
)
def test_a_warm_up_that_is_none_is_refused(text: str) -> None:
    """Also one that falls: it would be a mistake."""
    with pytest.raises(Misconfigured, match="BRIMFUL_MAIL_WARM_UP"):
        read_warm_up(text)


@pytest.mark.parametrize(
    "text", ["gmail.com", "gmail.com=", "gmail.com=0", "=5", "gmail=5", "a.example=nan", "x@y.z=1"]
)
def test_rates_that_are_none_are_refused(text: str) -> None:
    """With the pair."""
    with pytest.raises(Misconfigured, match="BRIMFUL_MAIL_DOMAIN_RATES"):
        read_rates(text)


async def test_a_domain_that_waits_lets_others_pass(tmp_path: Path) -> None:
    """In order within the domain, each when its time has come, and also for a new owner."""
    limits = replace(Limits(), pace=Pace(None, {"gmail.com": 1}))
    senders = Senders(tmp_path, Scripted([Accepted("p")], limits=limits))
    await senders.take(*(message(f"g{n}", person=f"g{n}", to=f"g{n}@gmail.com") for n in range(4)))
    await senders.take(message("o1", person="o1", to="o1@example.com"))
    await senders.settle()
    assert [call.id for call in senders.channel.calls] == ["g0", "o1"]
    await pass_time(senders, NOW + 1_000)
    assert [call.id for call in senders.channel.calls] == ["g0", "o1", "g1"]
    senders.begin(MAIL)
    senders.now_ms += 100
    await senders.settle()
    await pass_time(senders, NOW + 10_000)
    assert [call.id for call in senders.channel.calls] == ["g0", "o1", "g1", "g2", "g3"]
    assert senders.pending() == []
    senders.store.abandon()


async def test_a_warm_up_holds_all_mails(tmp_path: Path) -> None:
    """288 a day: one each five minutes."""
    limits = replace(Limits(), pace=Pace(WarmUp(date(2026, 3, 14), (288,))))
    senders = Senders(tmp_path, Scripted([Accepted("p")], limits=limits))
    await senders.take(*(message(f"m{n}", person=f"p{n}") for n in range(4)))
    await senders.settle()
    assert len(senders.channel.calls) == 1
    await pass_time(senders, NOW + 600_000)
    assert len(senders.channel.calls) == 3
    senders.store.abandon()
