"""What a workspace wants to know of what people do with its e-mails."""

from __future__ import annotations

from typing import Literal, TypeAlias

LinkTracking: TypeAlias = Literal["off", "clicks", "all"]
"""``off``: nothing. ``clicks``: which links were followed. ``all``: that, and opens by a pixel."""
