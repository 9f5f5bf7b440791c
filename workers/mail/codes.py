"""What the codes of mail servers say of an address (RFC 3463, RFC 5321, RFC 7505). Pure."""

from __future__ import annotations

from typing import Final

NO_SUCH_ADDRESS: Final = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1", "5.4.4"})
"""RFC 3463 and 7505: bad mailbox, bad system, bad syntax, moved, null MX, disabled, no route."""

ADDRESS_CODES: Final = frozenset({550, 551, 553})
"""Without an enhanced code, these name the address (RFC 5321, 4.2.3)."""


def is_no_address(enhanced: str, code: int | None) -> bool:
    """Whether an answer to a recipient says that the address is no good, now and later.

    ``enhanced`` is empty where the server gave none.
    """
    return enhanced in NO_SUCH_ADDRESS if enhanced else code in ADDRESS_CODES
