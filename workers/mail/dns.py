"""DNS by dnspython, as the checks of e-mail need it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import dns.exception
import dns.resolver

from workers.mail.doctor import DnsFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = 5.0


class SystemDns:
    """See :class:`workers.mail.doctor.Resolver`; asks the resolvers of this machine."""

    def lookup(self, name: str, kind: Literal["TXT", "MX", "A", "AAAA", "PTR"]) -> Sequence[str]:
        """See :class:`workers.mail.doctor.Resolver`."""
        try:
            answer = dns.resolver.resolve(name, kind, lifetime=SECONDS, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.exception.DNSException as error:
            raise DnsFailed(f"{kind} of {name}: {type(error).__name__}") from None
        if kind == "TXT":
            return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
        if kind == "MX":
            return [record.exchange.to_text(omit_final_dot=True) for record in answer]
        return [record.to_text().rstrip(".") for record in answer]
