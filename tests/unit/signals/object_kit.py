"""A shop: an engine of several partitions with objects, driven as the kernel drives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas import wire
from schemas.workspace import Workspace
from tests.unit.identity.kit import NOW, TOPICS, Cluster
from tests.unit.stream.kit import Waiting
from workers.core.compile import compile_workspace
from workers.engine import EngineLogic
from workers.state import FOLLOWERS, OBJECTS, TABLES
from workers.stream.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from schemas.fields import SubjectType
    from workers.core.objects.row import Relations
    from workers.state import ObjectRow

ITEMS = {"each": "products", "id": "product_id", "quantity": "quantity", "key": "order_id"}
PRODUCT: dict[str, Any] = {
    "object": "product",
    "attributes": {
        "name": "string",
        "category": "string",
        "price": "number",
        "in_stock": "boolean",
        "tags": "list",
        "launched": "date",
        "collection": {"object": "collection"},
    },
    "relationships": {
        "purchased": {
            "filled_by": [
                {"event": "Order Completed", **ITEMS},
                {"event": "Order Refunded", "does": "take_back", **ITEMS},
            ]
        },
        "wishlisted": {
            "filled_by": [
                {"event": "Product Added to Wishlist", "id": "product_id"},
                {"event": "Product Removed from Wishlist", "id": "product_id", "does": "take_back"},
            ]
        },
        "team_bought": {"of": "account", "filled_by": [{"event": "Order Completed", **ITEMS}]},
    },
}
COLLECTION: dict[str, Any] = {"object": "collection", "attributes": {"tier": "string", "title": "string"}}
PLAN: dict[str, Any] = {
    "object": "plan",
    "attributes": {"name": "string"},
    "relationships": {
        "subscribed_to": {
            "filled_by": [
                {"event": "Subscription Started", "id": "plan", "key": "subscription_id", "does": "set",
                 "status": "active"},
                {"event": "Subscription Paused", "key": "subscription_id", "does": "set", "status": "paused"},
                {"event": "Subscription Cancelled", "key": "subscription_id", "does": "end",
                 "status": "cancelled"},
            ]
        }
    },
}  # fmt: skip
TYPES = (PRODUCT, COLLECTION, PLAN)


class Rows:
    """The rows of a partition as the store gives them."""

    def __init__(self, rows: dict[bytes, bytes]) -> None:
        self._rows = rows
        self.get = rows.get

    def positions(self) -> dict[str, int]:
        """See :meth:`workers.stream.store.PartitionStore.positions`."""
        return {}

    def scan(self, prefix: bytes, start: bytes | None, most: int) -> list[tuple[bytes, bytes]]:
        """See :meth:`workers.stream.store.PartitionStore.scan`."""
        keys = sorted(key for key in self._rows if key.startswith(prefix) and key >= (start or prefix))
        return [(key, self._rows[key]) for key in keys[:most]]


class Shop(Cluster):
    """An engine whose workspace has objects."""

    def __init__(self, *journeys: Mapping[str, Any], partitions: int = 3, **content: Any) -> None:
        super().__init__(plan=_plan(journeys, content), partitions=partitions)
        first, *others = TOPICS
        self.topics = (first, "objects", *others)
        self._statements = 0
        self._open()

    def publish(self, *journeys: Mapping[str, Any], **content: Any) -> None:
        """Begin anew with other definitions."""
        self.plan = _plan(journeys, content)
        object.__setattr__(self.parts, "plan", self.plan)
        self.engines = [EngineLogic(number, self.parts) for number in range(self.partitions)]
        self._open()

    def _open(self) -> None:
        for number, engine in enumerate(self.engines):
            waiting = Waiting()
            waiting.begin(engine.opened(Rows(self.rows[number])))  # type: ignore[arg-type]
            while waiting:
                view = View(self.rows[number].get)
                waiting.turn(engine, view, self.now_ms)
                self._commit(number, view)
                waiting.more(view.effects)
        self.settle()

    def turn(self, number: int, most: int = 10**9, topics: tuple[str, ...] = ()) -> bool:
        """As the cluster's, with the topic of objects."""
        return super().turn(number, most, topics or self.topics)

    def tell(self, object_id: str, kind: str = "product", **attributes: Any) -> wire.ObjectAttributes:
        """A catalogue says what an object is like."""
        self._statements += 1
        fields: dict[str, Any] = {"id": f"s{self._statements}", "source": "catalogue", "at_ms": self.now_ms}
        told = wire.ObjectAttributes(object=kind, object_id=object_id, attributes=attributes, **fields)
        self.send("objects", f"{kind}:{object_id}", wire.encode(told))
        return told

    def buy(self, who: str, *products: str, order: str = "o", **more: Any) -> None:
        """Someone orders one of each."""
        items = [{"product_id": one, "quantity": 1} for one in products]
        self.track("Order Completed", userId=who, properties={"order_id": order, "products": items, **more})

    def wish(self, who: str, product: str) -> None:
        """Someone puts a product on the list."""
        self.track("Product Added to Wishlist", userId=who, properties={"product_id": product})

    def object(self, object_id: str, number: int, kind: str = "product") -> ObjectRow | None:
        """What a partition knows of an object."""
        stored = self.rows[number].get(OBJECTS.key(f"{kind}:{object_id}".encode()))
        return None if stored is None else OBJECTS.decode(stored)

    def relations(self, key: str, kind: SubjectType = "user") -> Relations | None:
        """Whom a subject is related to."""
        row: Relations | None = self.row(TABLES[kind].relations, key)
        return row

    def followers(self) -> list[tuple[str, str]]:
        """Everybody who follows some object, and of what kind they are."""
        found = [
            FOLLOWERS.decode(row)
            for rows in self.rows
            for key, row in rows.items()
            if key.startswith(FOLLOWERS.prefix)
        ]
        return sorted((one.subject, one.subject_type) for one in found)

    def entered(self, journey: str) -> list[str]:
        """Who was eligible for a journey, in order."""
        return [
            one.subject
            for one in self.of("scheduler")
            if isinstance(one, wire.Eligible) and one.journey == journey
        ]

    def crossings(self) -> list[tuple[str, str, str]]:
        """Who came into which segment, and who left."""
        return [(one.subject, one.segment, one.change) for one in self.of("segments")]


def _plan(journeys: Sequence[Mapping[str, Any]], content: Mapping[str, Any]) -> Any:
    plain = {"name": "shop", "journeys": list(journeys), "objects": list(TYPES), **content}
    return compile_workspace(Workspace.model_validate(plain))


def journey_on(**fields: Any) -> dict[str, Any]:
    """A journey of users that waits; its name and its entry are to be said."""
    return {"subject": "user", "steps": [{"wait": "1d"}], **fields}


__all__ = ["NOW", "Shop", "journey_on"]
