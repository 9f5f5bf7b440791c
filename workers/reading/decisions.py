"""The decisions on a journey and on its shadow, put in the order of their subjects in a temporary file.

The topic mixes subjects, and an account's journey has decisions on its members in other partitions. So what
concerns the journey goes to a file first, and comes back a subject at a time: memory is bounded by what one
subject has, whatever there is in all.
"""

from __future__ import annotations

import sqlite3
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from schemas import wire
from workers.core.journeys.lineage import SHADOW_MARK
from workers.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from workers.reading.topics import Found

CHUNK: Final = 5_000
"""Rows that are written at once."""


class OfSubject(NamedTuple):
    """The decisions on one subject, or an account with its members, in the order of their time.

    They are those of the shadow, and those of the version in force.
    """

    subject_type: str
    subject: str
    shadow: list[wire.Decision]
    running: list[wire.Decision]


class Decisions:
    """Gathers decisions, and hands them out by subject. Its file goes with it."""

    def __init__(self, journey: str) -> None:
        self.journey = journey
        self.read = 0
        self.unreadable = 0
        self._types: dict[bool, set[str]] = {True: set(), False: set()}
        self._db = sqlite3.connect("")  # SQLite's name for a private file that is deleted by itself
        self._db.execute("pragma journal_mode = off")  # nothing is ever taken back
        self._db.execute(
            "create table kept (id text primary key, subject text, account text, at_ms integer, "
            "number integer, body blob) without rowid"
        )

    def take(self, found: Iterable[Found]) -> None:
        """Keep those of the records that are about the journey; one that comes again counts once.

        What is no decision, or another journey's, is passed over; ``unreadable`` counts the former.
        """
        rows = []
        name = self.journey.encode()
        for record in found:
            if name not in record.value:
                continue
            try:
                one = wire.decode_decision(record.value)
            except msgspec.DecodeError:
                self.unreadable += 1
                continue
            if one.journey.removesuffix(SHADOW_MARK) != self.journey:
                continue
            self.read += 1
            if one.kind == "entry":
                self._types[one.journey.endswith(SHADOW_MARK)].add(one.subject_type)
            account = one.account if one.subject_type == "user" else one.subject
            rows.append((one.id, one.subject, account, one.at_ms, self.read, record.value))
            if len(rows) == CHUNK:
                self._write(rows)
        self._write(rows)

    def by_subject(self) -> Iterator[OfSubject]:
        """Subject after subject.

        Raises:
            Misconfigured: one version is of accounts, and the other of users.
        """
        types = self._types[True] | self._types[False]
        if len(types) > 1:
            raise Misconfigured(
                f"{self.journey} is a journey of users in one version and of accounts in the other: "
                "there is nothing to compare"
            )
        subject_type = next(iter(types), "user")
        # Decisions on members stand with their account's, by which they were asked for.
        whose = "coalesce(account, subject)" if subject_type == "account" else "subject"
        found = self._db.execute(f"select {whose}, body from kept order by 1, at_ms, number")  # noqa: S608
        for subject, rows in groupby(found, key=lambda row: str(row[0])):
            of = OfSubject(subject_type, subject, [], [])
            for _, body in rows:
                one = wire.decode_decision(body)
                (of.shadow if one.journey.endswith(SHADOW_MARK) else of.running).append(one)
            yield of

    def _write(self, rows: list[tuple[str, str, str | None, int, int, bytes]]) -> None:
        self._db.executemany("insert or ignore into kept values (?, ?, ?, ?, ?, ?)", rows)
        rows.clear()
