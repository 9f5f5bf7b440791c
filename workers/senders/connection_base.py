"""What the connections of all providers have."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from workers.senders.http.guard import Forbidden, parse_url
from workers.senders.limits import Limits

SLOW_S: Final = 2.0
"""A call that took longer is not counted among those at once: few providers take so long when they answer."""


class BaseConnection(BaseModel):
    """What all connections have. ``per_second`` None: as fast as the provider answers.

    A call that hangs does so for ``deadline_s``; from :data:`SLOW_S` on it lets others begin beside it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    calls_at_once: int = Field(16, ge=1, le=256)
    per_second: float | None = Field(None, gt=0, le=10_000)
    deadline_s: float = Field(15.0, gt=0, le=60)

    @property
    def limits(self) -> Limits:
        """What the connection bears."""
        return Limits(self.calls_at_once, self.per_second, slow_s=SLOW_S)


def is_url(value: SecretStr | str) -> SecretStr | str:
    """The value, which is a URL that may be called; raises :class:`ValueError` where it is none."""
    try:
        parse_url(value.get_secret_value() if isinstance(value, SecretStr) else value)
    except Forbidden as forbidden:
        raise ValueError(f"is no URL that can be called: {forbidden.reason}") from None
    return value
