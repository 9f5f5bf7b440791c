"""What the documents of each provider look like, before and after rendering. ``docs/channels.md``.

The same shape is held against the file, whose leaves are templates, and against what was rendered, so that
mistakes are found when the workspace is linted. ``Any`` stands where a customer's own fields are.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import msgspec

Provider: TypeAlias = Literal["standard", "slack", "hubspot", "salesforce"]

Properties: TypeAlias = dict[str, Any]


class Shape(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Unknown fields are mistakes."""


class SlackMessage(Shape):
    """``text`` is what notifications show, and all there is without blocks. ``channel`` needs a bot token."""

    text: str
    channel: str | None = None
    blocks: list[dict[str, Any]] | None = None
    unfurl_links: bool | str = False
    thread_ts: str | None = None


class HubSpotContact(Shape):
    """Found by its e-mail address."""

    email: str
    properties: Properties = {}


class HubSpotCompany(Shape):
    """Found by its domain."""

    domain: str
    properties: Properties = {}


class HubSpotDeal(Shape):
    """One per message, found by the unique property ``id_property``."""

    properties: Properties
    id_property: str = "brimful_message_id"


class HubSpotTask(Shape):
    """One per message, found by the unique property ``id_property``; due some hours after the hand-off."""

    subject: str
    body: str = ""
    owner: str | None = None
    priority: str = "MEDIUM"
    type: str = "CALL"
    due_in_hours: int | float | str = 24
    id_property: str = "brimful_message_id"


class HubSpotChart(Shape):
    """Numbers, oldest first, with a title and the limit that they come close to, if there is one."""

    title: str
    values: Any
    limit: Any = None


class HubSpotNote(Shape):
    """One per message, found by the unique property ``id_property``; ``chart`` is drawn into it."""

    body: str
    chart: HubSpotChart | None = None
    id_property: str = "brimful_message_id"


class HubSpotDocument(Shape):
    """What is written, in this order; what comes later is associated with what came before."""

    contact: HubSpotContact | None = None
    company: HubSpotCompany | None = None
    deal: HubSpotDeal | None = None
    task: HubSpotTask | None = None
    note: HubSpotNote | None = None

    def __post_init__(self) -> None:
        if not any((self.contact, self.company, self.deal, self.task, self.note)):
            raise ValueError("name at least one of contact, company, deal, task, note")


class SalesforceRecord(Shape):
    """A record, found by the one external id in ``key``. ``links``: field -> object of a record before it."""

    object: str
    key: dict[str, str | int]
    fields: Properties = {}
    links: dict[str, str] = {}

    def __post_init__(self) -> None:
        if len(self.key) != 1:
            raise ValueError("`key` has one field, the external id, such as Brimful_Id__c")


class SalesforceDocument(Shape):
    """Records, written in this order."""

    records: list[SalesforceRecord]

    def __post_init__(self) -> None:
        if not 0 < len(self.records) <= RECORDS_MAX:
            raise ValueError(f"there are 1 to {RECORDS_MAX} records")
        before: set[str] = set()
        for record in self.records:
            for name in record.links.values():
                if name not in before:
                    raise ValueError(f"links to {name!r}, which is no record before it")
            before.add(record.object)


RECORDS_MAX: Final = 10

SHAPES: Final[dict[str, Any]] = {
    "standard": dict[str, Any],
    "slack": SlackMessage,
    "hubspot": HubSpotDocument,
    "salesforce": SalesforceDocument,
}
