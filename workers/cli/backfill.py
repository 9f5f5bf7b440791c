"""``brimful backfill``: give new windows the past that the topic still has."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from prometheus_client import CollectorRegistry

from schemas import wire
from schemas.workspace import format_duration
from workers.clock import SystemClock
from workers.core.activity.backfill import FOR_EVER, families
from workers.core.compile import compile_workspace
from workers.errors import Misconfigured
from workers.imports.output import KafkaOutput
from workers.imports.rows import Sent
from workers.reading.past import Past, wanted
from workers.reading.topics import read_topic
from workers.settings import from_env
from workers.state import BOOKS, USERS
from workers.stream.admin import partitions_of
from workers.tracking import TrackingPlanGuard
from workers.workspace.files import load_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from schemas.fields import SubjectType
    from schemas.wire import ProductEvent
    from schemas.workspace import TrackingPlan
    from workers.core.plan import Plan, SubjectPlan
    from workers.reading.past import Books, Refusal
    from workers.settings import Settings

CHANGELOG = "brimful-engine-changelog"
CHUNK = 10_000

Record = TypeVar("Record")

cli: typer.Typer = typer.Typer()

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be filled.")]


@cli.command()
def backfill(dry_run: DryRun = False) -> None:
    """Fill windows that a changed workspace has begun, from the product events that are still in the topic.

    Run it when the workers run the new workspace; they go on meanwhile. It may be broken off and given again.
    """
    settings = from_env(os.environ)
    if settings.workspace is None:
        raise Misconfigured("BRIMFUL_WORKSPACE is not set: name the folder that the engine runs.")
    workspace = load_workspace(settings.workspace).workspace
    plan = compile_workspace(workspace)
    options = {"bootstrap.servers": settings.kafka, **settings.librdkafka()}
    books, accounts = read_books(settings, options)
    check_runs(plan, books)
    slots = {kind: wanted(books, kind) for kind in books}
    if not any(slots.values()):
        typer.echo("nothing to fill: every window has counted from the start, or was filled")
        return
    for kind, ids in slots.items():
        for line in described(_of(plan, kind), ids):
            typer.echo(f"to fill: {kind}s, {line}", err=True)
    if dry_run:
        return
    now_ms = SystemClock().now_ms()
    partitions = partitions_of(settings.kafka, settings.topic("product-events"), settings.librdkafka())
    past = Past(plan, books, partitions, accounts, now_ms)
    _read(past, books, settings, options, workspace.tracking_plan)
    sent = _send(past, settings, now_ms)
    typer.echo(f"\n{past.counted} event(s) of the past, {sent} record(s) sent to the engine", err=True)
    for kind, ids in slots.items():
        for line in exact_from(_of(plan, kind), ids, past.oldest_ms or now_ms, now_ms):
            typer.echo(f"{kind}s, {line}")


def _read(
    past: Past,
    books: Books,
    settings: Settings,
    options: Mapping[str, object],
    tracking_plan: TrackingPlan | None,
) -> None:
    guard = TrackingPlanGuard(tracking_plan, CollectorRegistry()) if tracking_plan is not None else None
    refused = refusal_of(guard)
    for found in read_topic(options, settings.topic("product-events"), None, _progress("product-events")):
        past.take(found, refused)
    noted_ms = [mark.since_ms for book in books["account"].values() for mark in book.slots.values()]
    since_ms = min(filter(None, noted_ms), default=None)
    if past.wanted["account"] and since_ms is not None:
        topic = settings.topic("account-events")
        for found in read_topic(options, topic, since_ms, _progress("account-events")):
            past.take_bundle(found)


def read_books(settings: Settings, options: Mapping[str, object]) -> tuple[Books, dict[str, str]]:
    """The engine's books from its changelog; and the account of each user who is in only one.

    Raises:
        Misconfigured: there is no changelog.
        Retryable: no broker answers.
    """
    books: Books = {"user": {}, "account": {}}
    accounts: dict[str, str] = {}
    changelog = settings.topic(CHANGELOG)
    for found in read_topic(options, changelog, None, _progress("state"), deletions=True):
        key = found.key or b""
        if key in (BOOKS.key(b"user"), BOOKS.key(b"account")) and found.value:
            kind: SubjectType = "user" if key == BOOKS.key(b"user") else "account"
            books[kind][found.partition] = BOOKS.decode(found.value)
        elif key.startswith(USERS.activity.prefix):
            user = key[1:].decode()
            row = USERS.activity.decode(found.value) if found.value else None
            if row is not None and len(row.accounts) == 1:
                accounts[user] = row.accounts[0]
            else:
                accounts.pop(user, None)
    return books, accounts


def check_runs(plan: Plan, books: Books) -> None:
    """Refuse to fill windows that some partition does not count yet: it could not tell past from present.

    Raises:
        Misconfigured: the message names the partitions.
    """
    for kind, by_partition in books.items():
        slots = families(_of(plan, kind)).keys()
        others = sorted(
            number
            for number, book in by_partition.items()
            if book.slots.keys() != slots or any(mark.missed for mark in book.slots.values())
        )
        if others:
            names = ", ".join(map(str, others))
            raise Misconfigured(
                f"partition(s) {names} run another workspace than {plan.name}, or an earlier one: start the "
                "workers with this one first, and wait until they are ready"
            )


def refusal_of(guard: TrackingPlanGuard | None) -> Refusal:
    """What the tracking plan keeps from being counted."""

    def refused(event: ProductEvent, payload: bytes) -> bool:
        violations = guard.check(event) if guard is not None else ()
        return (
            bool(violations) and guard is not None and guard.refusal(event, payload, violations) is not None
        )

    return refused


def described(plan: SubjectPlan, slot_ids: frozenset[int]) -> list[str]:
    """The slots for people."""
    return [_line(plan, slot_id) for slot_id in sorted(slot_ids, key=lambda one: plan.slot_parts[one])]


def exact_from(plan: SubjectPlan, slot_ids: frozenset[int], oldest_ms: int, now_ms: int) -> list[str]:
    """From when on each slot is exact: now, where the topic reaches back as far as the slot."""
    lines = []
    kept = families(plan)
    for slot_id in sorted(slot_ids, key=lambda one: plan.slot_parts[one]):
        retention_ms = kept[slot_id].retention_ms
        if retention_ms == FOR_EVER:
            said = f"counts from {_moment(oldest_ms)}, where the topic begins"
        elif oldest_ms <= now_ms - retention_ms:
            said = "exact from now on"
        else:
            said = f"exact from {_moment(oldest_ms + retention_ms)}: the topic begins at {_moment(oldest_ms)}"
        lines.append(f"{_line(plan, slot_id)}: {said}")
    return lines


def _line(plan: SubjectPlan, slot_id: int) -> str:
    kind, *parts, length = plan.slot_parts[slot_id]
    what = (
        " ".join(part for part in parts if part not in ("lately", "ever")) if kind == "measure" else parts[0]
    )
    where = f" where {parts[1]}" if kind == "slot" and parts[1] else ""
    return f"{what}{where}, {'for ever' if length == 'None' else format_duration(int(length))}"


def _send(past: Past, settings: Settings, now_ms: int) -> int:
    output = KafkaOutput(settings.kafka, settings.topic, settings.librdkafka())
    sent = 0
    for records in (past.records(now_ms), past.endings(now_ms)):
        for some in batched(records, CHUNK):
            output.send([Sent("scheduler", key.encode(), wire.encode(record)) for key, record in some])
            sent += len(some)
            typer.echo(f"\rsent: {sent}", err=True, nl=False)
    return sent


def batched(records: Iterator[Record], most: int) -> Iterator[list[Record]]:
    """The same records in lists of at most ``most``."""
    while some := list(islice(records, most)):
        yield some


def _of(plan: Plan, kind: SubjectType) -> SubjectPlan:
    return plan.user if kind == "user" else plan.account


def _progress(what: str) -> Callable[[int, int], None]:
    return lambda read, total: typer.echo(f"\r{what}: {read} of {total} records", err=True, nl=False)


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")
