"""Devices for push, as events and push services tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from workers.core.devices import Devices, drop, read_device, register
from workers.state import DEVICES

if TYPE_CHECKING:
    from msgspec import Raw

    from workers.stream.view import View


def note_device(said: Raw, key: bytes, view: View, at_ms: int) -> None:
    """Take in what an event's ``context.device`` names; one without a token, or cut off, says nothing."""
    try:
        device = read_device(msgspec.json.decode(said), at_ms)
    except msgspec.DecodeError:
        return
    if device is None:
        return
    table = view.table(DEVICES)
    row = table.get(key) or Devices()
    if register(row, device):
        table.put(key, row)


def forget_device(mark: str, key: bytes, view: View) -> None:
    """A push service says that the device is no more."""
    table = view.table(DEVICES)
    row = table.get(key)
    if row is None or not drop(row, mark):
        return
    if row.devices:
        table.put(key, row)
    else:
        table.delete(key)
