"""Devices for push: registered by identify, kept with the person, forgotten when they are gone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import wire
from tests.unit.core.kit import journey
from tests.unit.identity.kit import DAY, HOUR, NOW, Cluster
from workers.core import devices
from workers.core.devices import DEVICES_MAX, Device, Devices, mark_of, read_address, read_device
from workers.state import DEVICES

PUSHING = journey(
    "pushing", entry={"on": {"event": "limit"}, "again": "always"}, steps=[{"send": {"push": "limit"}}]
)


def opens_app(cluster: Cluster, token: Any, user: str = "u1", kind: Any = "iOS", **ids: Any) -> None:
    """The SDK's identify call, with the device that it runs on."""
    device = {"id": "d", "manufacturer": "Apple", "model": "iPhone", "type": kind, "token": token}
    cluster.produce({"type": "identify", "userId": user, "traits": {}, "context": {"device": device}, **ids})
    cluster.settle()


def pushed(cluster: Cluster, user: str = "u1") -> list[str]:
    """The tokens that the next push goes to; empty where none goes out."""
    cluster.now_ms += HOUR
    before = len(cluster.of("messages.push"))
    cluster.track("limit", userId=user)
    cluster.settle()
    new = cluster.of("messages.push")[before:]
    return [token for _, token in read_address(new[0].to)] if new else []


def test_who_registered_a_device_gets_pushes_and_who_has_none_does_not() -> None:
    """A token is the person's yes; without one the decision says that there is no address."""
    cluster = Cluster(PUSHING)
    assert pushed(cluster) == []
    assert "no_address" in [one.reason for one in cluster.of("decisions")]
    opens_app(cluster, "t1")
    opens_app(cluster, "t2", kind="android")
    assert pushed(cluster) == ["t2", "t1"]
    assert "t1" not in repr(cluster.of("decisions"))


def test_a_refusal_closes_push_whatever_is_registered() -> None:
    """Consent comes first."""
    cluster = Cluster(PUSHING)
    opens_app(cluster, "t1")
    cluster.identify("u1", consent={"push": False})
    cluster.settle()
    assert pushed(cluster) == []


def test_a_device_that_is_gone_is_forgotten_and_the_others_stay() -> None:
    """And the channel is not closed: a new token opens it again."""
    cluster = Cluster(PUSHING)
    opens_app(cluster, "t1")
    opens_app(cluster, "t2")
    for token in ("t1", "t2"):
        gone = wire.Engagement(
            id=f"gone-{token}",
            type="unregistered",
            person="u1",
            message_id="m",
            channel="push",
            device=mark_of(token),
            at_ms=NOW,
        )
        cluster.send("engagement", "u1", wire.encode(gone))
        cluster.settle()
        assert token not in pushed(cluster)
    assert cluster.row(DEVICES, "u1") is None
    opens_app(cluster, "t3")
    assert pushed(cluster) == ["t3"]


def test_a_device_comes_along_when_two_ids_are_one_person() -> None:
    """Registered before the login."""
    cluster = Cluster(PUSHING)
    device = {"type": "android", "token": "t1"}
    cluster.produce({"type": "identify", "anonymousId": "a1", "traits": {}, "context": {"device": device}})
    cluster.settle()
    opens_app(cluster, "t2", anonymousId="a1")
    assert set(pushed(cluster)) == {"t1", "t2"}


def test_who_is_erased_has_no_device() -> None:
    """The row goes with the others, and each channel is told."""
    cluster = Cluster(PUSHING)
    opens_app(cluster, "t1")
    cluster.erase("u1")
    cluster.settle()
    assert cluster.row(DEVICES, "u1") is None
    assert cluster.of("messages.push")[-1] is None
    assert cluster.of("messages.sms")[-1] is None


@pytest.mark.parametrize(
    "said",
    [None, [], {}, {"token": "t"}, {"type": "ios"}, {"token": "", "type": "ios"}, {"token": 5, "type": "ios"},
     {"token": "t", "type": "tizen"}, {"token": "t", "type": 5}, {"token": "x" * 2_049, "type": "web"}],
)  # fmt: skip
def test_a_device_without_a_token_of_a_known_kind_says_nothing(said: Any) -> None:
    """Most events describe their device; none of these is an error."""
    assert read_device(said, 1) is None
    cluster = Cluster(PUSHING)
    cluster.produce({"type": "identify", "userId": "u1", "traits": {}, "context": {"device": said}})
    cluster.settle()
    assert cluster.dead == []
    assert cluster.row(DEVICES, "u1") is None


def test_a_browser_is_told_by_its_subscription() -> None:
    """As JSON text."""
    text = json.dumps({"endpoint": "https://p.example.com/1", "keys": {"p256dh": "a", "auth": "b"}})
    row = Devices()
    assert devices.register(row, Device(text, "web", 1))
    assert read_address(devices.address_of(row)) == [("web", text)]


def test_what_is_said_with_every_call_is_stored_once_a_day() -> None:
    """SDKs name the device in each."""
    row = Devices()
    assert devices.register(row, Device("t", "ios", NOW))
    assert not devices.register(row, Device("t", "ios", NOW + DAY - 1))
    assert devices.register(row, Device("t", "ios", NOW + DAY))
    assert len(row.devices) == 1


ROW = st.lists(
    st.builds(Device, st.sampled_from("abcdefghijklmnop"), st.just("ios"), st.integers(0, 50)),
    max_size=DEVICES_MAX,
    unique_by=lambda one: one.token,
).map(Devices)


@given(ROW, ROW)
def test_a_merge_keeps_the_newest_of_both_and_not_too_many(mine: Devices, theirs: Devices) -> None:
    """Whichever of the two stays."""
    one, other = devices.merge(mine, theirs), devices.merge(theirs, mine)
    assert [device.token for device in one.devices] == [device.token for device in other.devices]
    assert len(one.devices) <= DEVICES_MAX
    everything = {}
    for device in sorted((*mine.devices, *theirs.devices), key=lambda device: device.at_ms):
        everything[device.token] = device.at_ms
    newest = sorted(everything.values())[-DEVICES_MAX:]
    assert sorted(device.at_ms for device in one.devices) == newest


@pytest.mark.parametrize("text", [None, "", "x", "[1]", '[["tv", "t"]]'])
def test_an_address_that_is_none_has_no_devices(text: str | None) -> None:
    """A message that was asked for otherwise fails, and stops nothing."""
    assert read_address(text) == []
