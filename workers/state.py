"""The engine's tables: what is known of people and accounts, a row per subject, in one partition store.

Users and accounts share the stores but never a key: the prefixes of accounts are the capitals of those
of users. Whatever is kept of a person is merged and erased by :mod:`workers.identity`, which knows each
table of :data:`PERSONAL`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from schemas.fields import SubjectType  # noqa: TC001  msgspec reads it at run time
from workers.core.activity.acted_for import ActedFor, Turn
from workers.core.activity.backfill import Book
from workers.core.activity.row import Activity
from workers.core.consent import Consents
from workers.core.devices import Devices
from workers.core.engaged import EngagementRow
from workers.core.gate.grants import Grants
from workers.core.gate.held import HeldRequests
from workers.core.journeys.progress import Progress
from workers.core.journeys.recipients import MemberScores
from workers.core.objects.row import Relations
from workers.core.scoring.row import Scores
from workers.core.segments import Memberships
from workers.step_counts import moves
from workers.stream.tables import Table

if TYPE_CHECKING:
    from workers.core.plan import SubjectPlan
    from workers.stream.view import View


class Profile(msgspec.Struct, array_like=True):
    """What is known of a subject.

    ``traits`` are a user's or an account's own. ``accounts`` holds the traits of a user's accounts, as the
    partition of each sent them; an account that has not told them yet is not in it. Which accounts are the
    user's, and which one is the present one, says ``Activity.accounts``. ``members`` maps the users of an
    account to their role (``""`` where none is known); empty for a user. ``account_segments``: by account of
    a user, which segments it said to be in or not to be in. ``joined`` is of who has only ever been in one
    account: from which offset of the user's partition of ``product-events`` on it was the present one; of
    others a row of :data:`ACTED_FOR` says it.
    """

    traits: dict[str, Any] = msgspec.field(default_factory=dict)
    accounts: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    members: dict[str, str] = msgspec.field(default_factory=dict)
    account_segments: dict[str, dict[str, bool]] = msgspec.field(default_factory=dict)
    joined: dict[str, int] = msgspec.field(default_factory=dict)


def _profile_of_one_account(plain: list[Any]) -> list[Any]:
    """Version 1 knew one account of a user: traits, account, its traits, members."""
    traits, account, account_traits, members = plain
    return [traits, {account: account_traits} if account is not None and account_traits else {}, members]


class Identity(msgspec.Struct, array_like=True):
    """Which ids are one person. An id has such a row only when it has to do with another.

    ``merged_into``: all that was kept of this id is kept of that one now, and its events go there (None: it
    stands for itself). ``sources`` are the ids that came into this one; ``asked`` are those that were asked
    to, with the id of this person that they were asked into. An id with ``merged_into`` has no other rows:
    ``acted_for`` keeps which account it acted for until then, and ends with where it went (``UNKNOWN``).
    ``since``: what came of the id before this offset of ``product-events`` stayed with another person.
    """

    merged_into: str | None = None
    sources: list[str] = msgspec.field(default_factory=list)
    asked: dict[str, str] = msgspec.field(default_factory=dict)
    acted_for: list[Turn] = msgspec.field(default_factory=list)
    since: int = 0


class Erased(msgspec.Struct, array_like=True):
    """A person was erased, named by a keyed hash of the id: nothing up to ``at_ms`` is counted again.

    Until ``suppressed_until_ms`` nothing at all is counted.
    """

    at_ms: int
    suppressed_until_ms: int = 0


class ObjectRow(msgspec.Struct, array_like=True):
    """What is known of an object.

    The partition of its key keeps all its ``attributes``, with when each source spoke last (``at_ms``) and
    the newest statements' ids (``seen``); the others keep what definitions read, as that one tells them.
    ``followed``: some subject of this partition may follow it. While these are told, ``told_from`` is where
    to go on. Where it changed meanwhile, the round begins again at its end (``told_again``) and stops at
    ``told_until``.
    """

    attributes: dict[str, Any] = msgspec.field(default_factory=dict)
    at_ms: dict[str, int] = msgspec.field(default_factory=dict)
    seen: list[str] = msgspec.field(default_factory=list)
    followed: bool = False
    told_from: bytes | None = None
    told_until: bytes | None = None
    told_again: bool = False


class Follower(msgspec.Struct, array_like=True, frozen=True):
    """A subject of this partition whom changes of an object concern; the key begins with the object's."""

    subject_type: SubjectType
    subject: str


class Swept(msgspec.Struct, array_like=True):
    """How far the segments of all subjects of a kind are those of the workspace.

    ``version``: of all segments, as everybody has been looked at under; ``lineages`` those of each. While a
    sweep is under way, it is for ``target`` and began at ``since_ms``, and who has a storage key below
    ``cursor`` has been looked at.
    """

    version: str = ""
    lineages: dict[str, str] = msgspec.field(default_factory=dict)
    target: str = ""
    cursor: bytes = b""
    since_ms: int = 0


class Telling(msgspec.Struct, array_like=True, frozen=True):
    """How far an account's members were told of its segments: those up to the id ``after`` were.

    ``by_definition`` goes into the records (``AccountSegments``).
    """

    after: str
    by_definition: bool = False


class TraitRound(msgspec.Struct, array_like=True, frozen=True):
    """How far an account's members were told that the traits ``changed`` have other values.

    ``message_id`` brought the newest of them, at ``at_ms``. Members are told in the circle of their ids: up
    to ``after`` they were, and up to ``until`` they are to be once the circle ``has_wrapped``.
    """

    changed: list[str]
    message_id: str
    at_ms: int
    after: str = ""
    until: str = ""
    has_wrapped: bool = False


@dataclass(frozen=True, slots=True)
class SubjectTables:
    """The rows of a subject."""

    activity: Table[Activity]
    profiles: Table[Profile]
    progress: Table[Progress]
    memberships: Table[Memberships]
    scores: Table[Scores]
    relations: Table[Relations]

    def read_by(self, plan: SubjectPlan, *, objects: bool) -> tuple[bytes, ...]:
        """The prefixes of the rows that a decision on a subject reads, its activity's first.

        A workspace without segments, scores or ``objects`` asks for no rows of those.
        """
        tables: list[Table[Any]] = [self.activity, self.profiles, self.progress]
        tables += [self.memberships] if plan.segments.ordered else []
        tables += [self.scores] if plan.scores.scores else []
        tables += [self.relations] if objects else []
        return tuple(table.prefix for table in tables)


USERS = SubjectTables(
    Table("user_activity", b"a", Activity),
    Table("user_profiles", b"p", Profile, 2, {1: _profile_of_one_account}),
    Table("user_progress", b"e", Progress, watch=moves("user")),
    Table("user_memberships", b"s", Memberships),
    Table("user_scores", b"c", Scores),
    Table("user_relations", b"r", Relations),
)
ACCOUNTS = SubjectTables(
    Table("account_activity", b"A", Activity),
    Table("account_profiles", b"P", Profile, 2, {1: _profile_of_one_account}),
    Table("account_progress", b"E", Progress, watch=moves("account")),
    Table("account_memberships", b"S", Memberships),
    Table("account_scores", b"C", Scores),
    Table("account_relations", b"R", Relations),
)

BOOKS = Table("slot_books", b"b", Book)
"""A row for users and one for accounts: no person's."""

DEVICES = Table("devices", b"y", Devices)
CONSENTS = Table("consents", b"k", Consents)
ENGAGEMENT = Table("engagement", b"g", EngagementRow)
HELD_REQUESTS = Table("held_requests", b"h", HeldRequests)
GRANTS = Table("account_grants", b"H", Grants)
IDENTITIES = Table("identities", b"m", Identity)
ACTED_FOR = Table("user_acted_for", b"j", ActedFor)
ERASED = Table("erased", b"x", Erased)


READ_BY_GATE: dict[SubjectType, tuple[bytes, ...]] = {
    "user": (ENGAGEMENT.prefix, CONSENTS.prefix),
    "account": (),
}
"""The prefixes of what the gate reads of a subject, beside its own rows."""


OBJECTS = Table("objects", b"o", ObjectRow)
FOLLOWERS = Table("object_followers", b"O", Follower)

OBJECTS_SWEPT = Table("objects_swept", b"u", str)
"""The version of what is known of objects that all rows of a kind were looked at under."""

SWEPT = Table("segments_swept", b"v", Swept, version=2, upcast={1: lambda _: []})
"""Its key is a kind of subjects. Of the first version only the version of all segments is left out."""

MEMBER_SCORES = Table("member_scores", b"q", MemberScores)
"""Of accounts: what their members' scores are."""

TELLINGS = Table("account_tellings", b"Q", Telling)
"""Of accounts with many members: how far those have been told of its segments."""

TRAIT_ROUNDS = Table("account_trait_rounds", b"T", TraitRound)
"""Of accounts with many members: how far those have been told of its traits."""

PERSONAL: tuple[Table[Any], ...] = (
    USERS.activity,
    USERS.profiles,
    USERS.progress,
    USERS.memberships,
    USERS.scores,
    CONSENTS,
    DEVICES,
    USERS.relations,
    ENGAGEMENT,
    HELD_REQUESTS,
    IDENTITIES,
    ACTED_FOR,
)
"""All rows whose key is a person's id. What is kept of them under other keys (:data:`FOLLOWERS`) goes with
the row that says so."""

TABLES: dict[SubjectType, SubjectTables] = {"user": USERS, "account": ACCOUNTS}


def is_swept(view: View, kind: SubjectType, key: bytes, plan: SubjectPlan) -> bool:
    """Whether the sweep for the plan's segments has looked at a subject, or at all that there were."""
    swept = view.table(SWEPT).get(kind.encode())
    if swept is None or swept.target != plan.segments.version:
        return False
    return swept.version == swept.target or TABLES[kind].activity.key(key) < swept.cursor


def is_by_definition(view: View, kind: SubjectType, key: bytes, plan: SubjectPlan, segment: str) -> bool:
    """Whether a subject may cross a segment because its definition is another, and not by what happened.

    So it is until the sweep has looked at the subject. Who is seen for the first time meanwhile cannot be
    told from who was there before.
    """
    swept = view.table(SWEPT).get(kind.encode())
    if swept is None:
        return True
    if swept.lineages.get(segment) == plan.segments.lineages.get(segment):
        return False
    return swept.target != plan.segments.version or TABLES[kind].activity.key(key) >= swept.cursor
