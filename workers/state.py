"""The engine's tables: what is known of people and accounts, a row per subject, in one partition store.

Users and accounts share the stores but never a key: the prefixes of accounts are the capitals of those
of users. Whatever is kept of a person is merged and erased by :mod:`workers.identity`, which knows each
table of :data:`PERSONAL`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from workers.core.activity import Activity
from workers.core.engaged import EngagementRow
from workers.core.grants import Grants
from workers.core.held import HeldRequests
from workers.core.progress import Progress
from workers.core.scores import Scores
from workers.core.segments import Memberships
from workers.stream.tables import Table

if TYPE_CHECKING:
    from schemas.fields import SubjectType


class Profile(msgspec.Struct, array_like=True):
    """What is known of a subject.

    ``traits`` are a user's or an account's own. ``account`` is the account that a user acted for last,
    with ``account_traits`` as that account's partition sent them. ``members`` maps the users of an account
    to their role (``""`` where none is known); empty for a user.
    """

    traits: dict[str, Any] = msgspec.field(default_factory=dict)
    account: str | None = None
    account_traits: dict[str, Any] = msgspec.field(default_factory=dict)
    members: dict[str, str] = msgspec.field(default_factory=dict)


class Identity(msgspec.Struct, array_like=True):
    """Which ids are one person. An id has such a row only when it has to do with another.

    ``merged_into``: all that was kept of this id is kept of that one now, and its events go there (None: it
    stands for itself). ``sources`` are the ids that came into this one; ``asked`` are those that were asked
    to, with the id of this person that they were asked into. An id with ``merged_into`` has no other rows.
    """

    merged_into: str | None = None
    sources: list[str] = msgspec.field(default_factory=list)
    asked: dict[str, str] = msgspec.field(default_factory=dict)


class Erased(msgspec.Struct, array_like=True):
    """A person was erased, named by a keyed hash of the id: nothing up to ``at_ms`` is counted again.

    Until ``suppressed_until_ms`` nothing at all is counted.
    """

    at_ms: int
    suppressed_until_ms: int = 0


@dataclass(frozen=True, slots=True)
class SubjectTables:
    """The rows of a subject."""

    activity: Table[Activity]
    profiles: Table[Profile]
    progress: Table[Progress]
    memberships: Table[Memberships]
    scores: Table[Scores]

    def rows_of(self, key: bytes) -> tuple[bytes, bytes, bytes, bytes, bytes]:
        """The storage keys of all of a subject's rows: what a decision on it reads."""
        return (
            self.activity.prefix + key,
            self.profiles.prefix + key,
            self.progress.prefix + key,
            self.memberships.prefix + key,
            self.scores.prefix + key,
        )


USERS = SubjectTables(
    Table("user_activity", b"a", Activity),
    Table("user_profiles", b"p", Profile),
    Table("user_progress", b"e", Progress),
    Table("user_memberships", b"s", Memberships),
    Table("user_scores", b"c", Scores),
)
ACCOUNTS = SubjectTables(
    Table("account_activity", b"A", Activity),
    Table("account_profiles", b"P", Profile),
    Table("account_progress", b"E", Progress),
    Table("account_memberships", b"S", Memberships),
    Table("account_scores", b"C", Scores),
)

ENGAGEMENT = Table("engagement", b"g", EngagementRow)
HELD_REQUESTS = Table("held_requests", b"h", HeldRequests)
GRANTS = Table("account_grants", b"H", Grants)
IDENTITIES = Table("identities", b"m", Identity)
ERASED = Table("erased", b"x", Erased)

PERSONAL: tuple[Table[Any], ...] = (
    USERS.activity,
    USERS.profiles,
    USERS.progress,
    USERS.memberships,
    USERS.scores,
    ENGAGEMENT,
    HELD_REQUESTS,
    IDENTITIES,
)
"""All rows whose key is a person's id."""

TABLES: dict[SubjectType, SubjectTables] = {"user": USERS, "account": ACCOUNTS}
