"""Which places have to answer a request to erase, and which have not yet. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from schemas import wire

if TYPE_CHECKING:
    from collections.abc import Sequence

Place: TypeAlias = tuple[str, str, str]
"""Application, what it forgets (``state``, ``account NAME``, or a topic of messages), and the id."""


@dataclass
class Answers:
    """The answers to ``request`` for ``person``.

    An answer of the engine names further ids and accounts, which answer too. ``channels`` are the topics of
    messages whose senders answer for each id; their answers name no request, so only those count that came
    after the request was made.
    """

    request: str
    person: str
    channels: Sequence[str]
    taken: list[wire.PersonErased] = field(default_factory=list)
    _needed: dict[Place, None] = field(default_factory=dict)
    _came: set[Place] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._needed[("engine", "state", self.person)] = None

    @property
    def ids(self) -> list[str]:
        """All ids of the person that are known so far, the one asked for first."""
        return list(
            dict.fromkeys(one for app, place, one in self._needed if (app, place) == ("engine", "state"))
        )

    @property
    def missing(self) -> list[Place]:
        """The places that have not answered yet."""
        return [place for place in self._needed if place not in self._came]

    def add(self, record: wire.IdentityRecord) -> bool:
        """Take a record of the topic ``identity``; False where it is no answer to this request."""
        if not isinstance(record, wire.PersonErased):
            return False
        if record.app == "engine":
            if record.request != self.request:
                return False
            self._engine(record)
        elif record.subject not in self.ids:
            # Senders may be quicker than the answer that names the id: see again when it is known.
            return False
        else:
            self._came.add((record.app, record.place, record.subject))
        self.taken.append(record)
        return True

    def _engine(self, record: wire.PersonErased) -> None:
        subject = record.subject
        if record.account is not None:
            self._came.add(("engine", f"account {record.account}", subject))
            return
        self._came.add(("engine", "state", subject))
        for other in record.ids:
            self._needed[("engine", "state", other)] = None
        for account in record.accounts:
            self._needed[("engine", f"account {account}", subject)] = None
        if record.place == "state":
            for channel in self.channels:
                self._needed[("senders", channel, subject)] = None
