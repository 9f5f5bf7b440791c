"""What other systems write: the CRM, mail providers, lists, the catalogue, and who uses the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import wire
from tests.simulation.actions import HOUR, Produced
from tests.simulation.words import BUSY, LISTS, ORDERS, PLANS, PRODUCTS, TOPIC

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from schemas.fields import EngagementType, SubjectType
    from schemas.wire_base import Record
    from tests.simulation.workspaces import Versions

ENGAGEMENTS: tuple[EngagementType, ...] = ("opened", "opened", "clicked", "replied", "bounced", "complained")
"""What providers tell of."""


class Systems:
    """Draws what systems say. ``people`` gives who may still be spoken of; ``next_id`` a new id."""

    def __init__(
        self,
        random: Random,
        versions: Versions,
        accounts: list[str],
        partitions: int,
        people: Callable[[], list[str]],
        next_id: Callable[[], str],
    ) -> None:
        self._random = random
        self._versions = versions
        self._accounts = accounts
        self._partitions = partitions
        self._people = people
        self._id = next_id

    def acts(self) -> dict[str, tuple[int, Callable[[int], list[Produced]]]]:
        """For each kind of record how often it comes, and how it is drawn."""
        return {
            "account_traits": (5, self._account_traits),
            "engagement": (5, self._engagement),
            "consent": (1, self._consent),
            "suppress": (1, self._suppress),
            "list": (2, self._list),
            "product": (2 if self._versions.have_objects else 0, self._product),
            "enroll": (2, self._enroll),
            "enroll_segment": (1, self._enroll_segment),
            "exit": (2, self._exit),
            "exit_all": (1 if self._random.random() < 0.2 else 0, self._exit_all),
        }

    # -- of people and accounts

    def _account_traits(self, at_ms: int) -> list[Produced]:
        account = self._random.choice(self._accounts)
        traits = {"plan": self._random.choice(PLANS), "seats": self._random.randrange(50)}
        told = wire.AccountTraits(
            id=self._id(),
            account=account,
            traits=traits,
            source=self._random.choice(["billing", "crm"]),
            at_ms=at_ms - self._random.randrange(HOUR),
        )
        return [_record(at_ms, "account-traits", account, told)]

    def _engagement(self, at_ms: int) -> list[Produced]:
        def about(person: str) -> Record:
            return wire.Engagement(
                id=self._id(),
                type=self._random.choice(ENGAGEMENTS),
                person=person,
                message_id="m",
                channel="email",
                journey="journey_0",
                at_ms=at_ms,
            )

        return self._of_someone(at_ms, "engagement", about)

    def _consent(self, at_ms: int) -> list[Produced]:
        def about(person: str) -> Record:
            return wire.ConsentChange(
                id=self._id(),
                subject=person,
                channel=self._random.choice(["email", "in_app", None]),
                topic=self._random.choice([TOPIC, None]),
                state=self._random.choice(["opted_in", "opted_out", "opted_out", "unknown"]),
                source="page",
                at_ms=at_ms,
            )

        return self._of_someone(at_ms, "scheduler", about)

    def _suppress(self, at_ms: int) -> list[Produced]:
        def about(person: str) -> Record:
            return wire.Suppress(
                id=self._id(),
                subject=person,
                channel=self._random.choice(["email", "in_app"]),
                list_name="do_not_contact",
                suppressed=self._random.random() < 0.7,
                at_ms=at_ms,
            )

        return self._of_someone(at_ms, "scheduler", about)

    def _list(self, at_ms: int) -> list[Produced]:
        kind, subject = self._subject()
        entry = wire.ListEntry(
            id=self._id(),
            subject_type=kind,
            subject=subject,
            segment=LISTS[kind],
            member=self._random.random() < 0.7,
            at_ms=at_ms,
        )
        return [_record(at_ms, "scheduler", subject, entry)] if subject else []

    # -- of products

    def _product(self, at_ms: int) -> list[Produced]:
        product = self._random.choice(PRODUCTS)
        attributes = {"in_stock": self._random.random() < 0.5, "price": self._random.randrange(5, 20)}
        told = wire.ObjectAttributes(
            id=self._id(),
            object="product",
            object_id=product,
            attributes=attributes,
            source="shop",
            at_ms=at_ms,
        )
        return [_record(at_ms, "objects", f"product:{product}", told)]

    # -- requests

    def _enroll(self, at_ms: int) -> list[Produced]:
        kind, subject = self._subject()
        journeys = self._versions.journeys(kind)
        if not subject or not journeys:
            return []
        number = self._id()
        asked = wire.EnrollRequest(
            id=number,
            journey=self._random.choice(journeys),
            subject_type=kind,
            subject=subject,
            properties={"order": self._random.choice(ORDERS), "asked": number, "size": 5},
            at_ms=at_ms,
        )
        times = self._random.choice([1, 1, 2])
        return [_record(at_ms, "scheduler", subject, asked)] * times

    def _enroll_segment(self, at_ms: int) -> list[Produced]:
        kind = self._kind()
        journeys = self._versions.journeys(kind)
        if not journeys:
            return []
        asked = wire.EnrollSegment(
            id=self._id(),
            journey=self._random.choice(journeys),
            subject_type=kind,
            segment=self._random.choice([BUSY, LISTS])[kind],
            rate=self._random.choice([1, 100]),
            at_ms=at_ms,
        )
        return self._to_all(at_ms, asked)

    def _exit(self, at_ms: int) -> list[Produced]:
        kind, subject = self._subject()
        journeys = self._versions.journeys(kind)
        if not subject or not journeys:
            return []
        asked = wire.ExitRequest(
            id=self._id(),
            journey=self._random.choice(journeys),
            subject_type=kind,
            subject=subject,
            reason="asked by phone",
            at_ms=at_ms,
        )
        return [_record(at_ms, "scheduler", subject, asked)]

    def _exit_all(self, at_ms: int) -> list[Produced]:
        kind = self._kind()
        journeys = self._versions.journeys(kind)
        if not journeys:
            return []
        asked = wire.ExitBatch(
            id=self._id(),
            journey=self._random.choice(journeys),
            subject_type=kind,
            rate=self._random.choice([1, 1_000]),
            at_ms=at_ms,
        )
        return self._to_all(at_ms, asked)

    # --

    def _kind(self) -> SubjectType:
        return "user" if self._random.random() < 0.7 else "account"

    def _subject(self) -> tuple[SubjectType, str]:
        """A user, or an account; the empty text where nobody is left."""
        kind = self._kind()
        some = self._people() if kind == "user" else self._accounts
        return kind, self._random.choice(some) if some else ""

    def _of_someone(self, at_ms: int, topic: str, about: Callable[[str], Record]) -> list[Produced]:
        some = self._people()
        if not some:
            return []
        person = self._random.choice(some)
        return [_record(at_ms, topic, person, about(person))]

    def _to_all(self, at_ms: int, asked: Record) -> list[Produced]:
        """A record that each partition gets."""
        value = wire.encode(asked)
        return [Produced(at_ms, "scheduler", None, value, number) for number in range(self._partitions)]


def _record(at_ms: int, topic: str, key: str, record: Record) -> Produced:
    return Produced(at_ms, topic, key, wire.encode(record))
