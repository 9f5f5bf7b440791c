"""Who calls, what they may do, and how much: write keys and API keys behind one door.

A write key stands in web pages: it sends events and nothing else. An API key is a secret with scopes. Either
is sent as the user of HTTP Basic, as the tracking clients do it; an API key also as ``Bearer``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from workers.core.token_bucket import Bucket, full, left, spend, wait_ms
from workers.intake.auth import basic_user, bearer, unauthorized
from workers.intake.problems import Problem

if TYPE_CHECKING:
    from workers.clock import Clock
    from workers.core.token_bucket import Rate
    from workers.intake.auth import WriteKeys
    from workers.intake.keys import ApiKeys, Scope
    from workers.intake.metrics import GatewayMetrics

_BEARER: Final = {"www-authenticate": 'Bearer realm="brimful"'}

EVENTS: Final[frozenset[Scope]] = frozenset({"events:write"})
"""What a write key may do."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who showed a good key. ``name`` is what the configuration calls them, never the key.

    ``kind`` is ``write_key`` or ``api_key``.
    """

    name: str
    kind: str
    scopes: frozenset[Scope]


class Rates(NamedTuple):
    """How much each caller of a kind may send, by gateway process; None: as much as there is room for."""

    write_key: Rate | None = None
    api_key: Rate | None = None


class Callers:
    """Tells callers by their keys, and counts what they send. One per gateway."""

    def __init__(
        self,
        write_keys: WriteKeys,
        api_keys: ApiKeys,
        rates: Rates,
        clock: Clock,
        metrics: GatewayMetrics,
    ) -> None:
        self._write_keys = write_keys
        self._api_keys = api_keys
        self._rates = rates
        self._clock = clock
        self._metrics = metrics
        self._buckets: dict[Caller, Bucket] = {}

    def of_header(self, header: str | None) -> Caller | None:
        """The caller of an Authorization header; None where there is none, or it names nobody.

        Raises:
            Problem: 401 where it names an unknown key.
        """
        token = bearer(header)
        if token is not None:
            found = self._of_api_key(token)
            if found is None:
                raise unauthorized()
            return found
        return self.of_key(basic_user(header))

    def of_key(self, key: str | None) -> Caller | None:
        """The caller of a key; None without a key.

        Raises:
            Problem: 401 for an unknown one.
        """
        if not key:
            return None
        source = self._write_keys.source(key)
        if source is not None:
            return Caller(source, "write_key", EVENTS)
        found = self._of_api_key(key)
        if found is None:
            raise unauthorized()
        return found

    def with_scope(self, header: str | None, scope: Scope) -> Caller:
        """The caller of a request to the API, who has this scope and may send now.

        Raises:
            Problem: 401 without a good API key, 403 without the scope, 429 where they sent too much.
        """
        token = bearer(header)
        try:
            key = token if token is not None else basic_user(header)
            caller = self.of_key(key)
        except Problem:
            caller = None
        if caller is None:
            raise Problem(
                401,
                "unauthorized",
                "unknown or missing API key: send it as Authorization: Bearer",
                headers=_BEARER,
            )
        self.check(caller, scope)
        return caller

    def check(self, caller: Caller, scope: Scope) -> None:
        """Return where the caller has the scope and may send now.

        Raises:
            Problem: 403 without the scope, 429 with Retry-After where they sent too much.
        """
        if scope not in caller.scopes:
            what = "a write key" if caller.kind == "write_key" else f"the API key {caller.name!r}"
            raise Problem(403, "forbidden", f"{what} has no scope {scope}", extra={"scope": scope})
        rate = self._rate(caller)
        if rate is None:
            return
        now_ms = self._clock.now_ms()
        wait = wait_ms(self._bucket(caller, rate, now_ms), rate, now_ms)
        if wait:
            self._metrics.limited.labels(caller.kind, caller.name).inc()
            seconds = str(-(-wait // 1000))
            headers = {**self.told(caller), "retry-after": seconds}
            detail = f"more than {rate.per_second:g} a second: come again after {seconds} s"
            raise Problem(429, "too_many", detail, headers=headers)

    def spend(self, caller: Caller, cost: int) -> None:
        """Count what a request brought: its events, people or objects; at least 1."""
        rate = self._rate(caller)
        if rate is not None:
            now_ms = self._clock.now_ms()
            bucket = self._bucket(caller, rate, now_ms)
            self._buckets[caller] = spend(bucket, rate, min(max(cost, 1), rate.burst), now_ms)

    def told(self, caller: Caller) -> dict[str, str]:
        """The headers that tell a caller their limit; none where they have none."""
        rate = self._rate(caller)
        if rate is None:
            return {}
        now_ms = self._clock.now_ms()
        tokens, full_ms = left(self._bucket(caller, rate, now_ms), rate, now_ms)
        return {
            "ratelimit-limit": f"{rate.burst:.0f}",
            "ratelimit-remaining": str(tokens),
            "ratelimit-reset": str(-(-full_ms // 1000)),
        }

    def _of_api_key(self, key: str) -> Caller | None:
        found = self._api_keys.find(key)
        return None if found is None else Caller(found.name, "api_key", found.scopes)

    def _rate(self, caller: Caller) -> Rate | None:
        return self._rates.write_key if caller.kind == "write_key" else self._rates.api_key

    def _bucket(self, caller: Caller, rate: Rate, now_ms: int) -> Bucket:
        # There are as many as there are configured keys: it need not be bounded.
        return self._buckets.get(caller) or full(rate, now_ms)
