"""The addresses of people, by channel: which traits hold them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ADDRESS_TRAITS: Final = {"email": "email", "sms": "phone"}
"""By channel; the others have no address in a trait."""


def address_of(channel: str, traits: Mapping[str, Any]) -> str | None:
    """The person's address on a channel; None where they have none, or none that is a text."""
    value = traits.get(ADDRESS_TRAITS.get(channel, ""))
    return value if isinstance(value, str) else None


def has_digits(text: str) -> bool:
    """Whether a text may be a telephone number; what number it is, the sender finds out."""
    return any(one.isdecimal() for one in text)


def number_id(number: str) -> str:
    """The id that a telephone number (E.164) is of its person."""
    return f"sms:{number}"
