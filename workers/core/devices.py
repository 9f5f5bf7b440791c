"""The devices of a person that can have push notifications: one row per person. Pure.

A device is registered by its token, as SDKs send it (``context.device.token`` and ``type``). The token of a
browser is its Web Push subscription as JSON text. Of more than :data:`DEVICES_MAX` the newest are kept.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from workers.core.ids import stable_id

DeviceType: TypeAlias = Literal["android", "ios", "web"]

DEVICES_MAX: Final = 10
"""Devices of one person, and so calls for one message."""

TOKEN_MAX_CHARS: Final = 2_048
"""FCM tokens have some 160 characters; a Web Push subscription has some 400."""

_TYPES: Final = frozenset(get_args(DeviceType))
_DAY_MS: Final = 86_400_000


class Device(msgspec.Struct, array_like=True, frozen=True):
    """A device: its token and kind, and when it was last heard of."""

    token: str
    type: DeviceType
    at_ms: int


class Devices(msgspec.Struct, array_like=True):
    """State row of a person: the devices, the one heard of last at the end."""

    devices: list[Device] = msgspec.field(default_factory=list)


def read_device(said: Any, at_ms: int) -> Device | None:
    """The device that an event's ``context.device`` names; None where it names no token of a known kind.

    Most events describe their device and have no token. A kind that is not known, such as an operating
    system that FCM does not serve, cannot be sent to.
    """
    if not isinstance(said, dict):
        return None
    token, kind = said.get("token"), said.get("type")
    kind = kind.lower() if isinstance(kind, str) else ""
    if not isinstance(token, str) or not 0 < len(token) <= TOKEN_MAX_CHARS or kind not in _TYPES:
        return None
    return Device(token, kind, at_ms)  # type: ignore[arg-type]  # one of the three


def register(row: Devices, device: Device) -> bool:
    """Take a device in (changes the row); False where that changes nothing worth storing.

    One that is known is moved to the end at most once a day: SDKs say it with every call.
    """
    held = next((one for one in row.devices if one.token == device.token), None)
    if held is not None and device.at_ms < held.at_ms + _DAY_MS:
        return False
    others = [one for one in row.devices if one.token != device.token]
    row.devices = sorted((*others, device), key=lambda one: one.at_ms)[-DEVICES_MAX:]
    return True


def drop(row: Devices, mark: str) -> bool:
    """Forget the device with this mark (changes the row); whether it was there."""
    left = [one for one in row.devices if mark_of(one.token) != mark]
    dropped = len(left) < len(row.devices)
    row.devices = left
    return dropped


def merge(mine: Devices, theirs: Devices) -> Devices:
    """The devices of two ids that are one person."""
    merged = Devices(list(mine.devices))
    for device in theirs.devices:
        held = next((one for one in merged.devices if one.token == device.token), None)
        if held is None or held.at_ms < device.at_ms:
            others = [one for one in merged.devices if one.token != device.token]
            merged.devices = [*others, device]
    merged.devices = sorted(merged.devices, key=lambda one: (one.at_ms, one.token))[-DEVICES_MAX:]
    return merged


def mark_of(token: str) -> str:
    """What a device is called where its token must not stand."""
    return stable_id("device", token)


def address_of(row: Devices | None) -> str | None:
    """Where a push goes, as a message's ``to``: ``[[TYPE, TOKEN], ...]``; None without a device."""
    if row is None or not row.devices:
        return None
    return msgspec.json.encode([[one.type, one.token] for one in reversed(row.devices)]).decode()


_ADDRESS: Final = msgspec.json.Decoder(list[tuple[DeviceType, str]])


def read_address(to: str | None) -> list[tuple[DeviceType, str]]:
    """The kinds and tokens in a message's ``to``, the newest first; empty where it holds none."""
    try:
        return _ADDRESS.decode(to or "[]")
    except msgspec.DecodeError:
        return []
