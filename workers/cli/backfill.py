"""``brimful backfill``: give windows the past that the topic still has, and what files have."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from prometheus_client import CollectorRegistry

from schemas import wire
from schemas.workspace import format_duration
from workers.cli.backfill_files import check_reach, given_files, moment, read_archive, tell_archive
from workers.cli.in_force import Folder  # noqa: TC001  typer reads it at run time
from workers.clock import SystemClock
from workers.core.activity.backfill import FOR_EVER, families
from workers.errors import Misconfigured
from workers.imports.output import KafkaOutput
from workers.imports.rows import Sent
from workers.reading.archive import Archive
from workers.reading.members import Members
from workers.reading.past import Past
from workers.reading.topics import begins_of, read_topic
from workers.settings import from_env
from workers.state import BOOKS
from workers.stream.admin import partitions_of
from workers.tracking import TrackingPlanGuard
from workers.versions.running import in_force

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from schemas.fields import SubjectType
    from schemas.wire import ProductEvent
    from workers.core.plan import Plan, SubjectPlan
    from workers.reading.gathered import Wanted
    from workers.reading.past import Books, Brought, Refusal
    from workers.settings import Settings

CHANGELOG = "brimful-engine-changelog"
CHUNK = 10_000

Record = TypeVar("Record")

cli: typer.Typer = typer.Typer()

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would be filled; with --files, read them too.")
]
Files = Annotated[
    list[str] | None,
    typer.Option(
        "--files",
        help="NDJSON files of product events (also .gz), folders or patterns of them, or - for standard "
        "input; may be given several times. Name all of them at once: a window takes from files once.",
    ),
]
Before = Annotated[
    str | None,
    typer.Option("--before", help="Of files only what happened before this time; 24 hours ago by default."),
]
NoTopic = Annotated[
    bool,
    typer.Option("--no-topic", help="With --files: leave what the topic has of the past to another run."),
]


@cli.command()
def backfill(
    dry_run: DryRun = False,
    files: Files = None,
    before: Before = None,
    no_topic: NoTopic = False,
    workspace: Folder = None,
) -> None:
    """Fill windows that a changed workspace has begun, from the product events that are still in the topic.

    With --files also from archives of what came before Brimful did, or has left the topic; what stands in
    both counts once. Run it when the workers run the workspace; they go on meanwhile. It may be broken off
    and given again.
    """
    if not files and (before is not None or no_topic):
        raise typer.BadParameter("--before and --no-topic are about files: name them by --files")
    settings = from_env(os.environ)
    named = given_files(files) if files else None
    running = in_force(settings, workspace)
    plan = running.plan
    options = {"bootstrap.servers": settings.kafka, **settings.librdkafka()}
    books, members = read_books(settings, options, plan)
    check_runs(plan, books)
    now_ms = SystemClock().now_ms()
    partitions = partitions_of(settings.kafka, settings.topic("product-events"), settings.librdkafka())
    past = Past(plan, books, partitions, members, now_ms, archived=bool(named))
    slots = dict.fromkeys(past.wanted, frozenset[int]()) if no_topic else past.wanted
    archive = None
    if named:
        topic = settings.topic("product-events")
        before_ms = check_reach(books, lambda: begins_of(options, topic), before, now_ms)
        archive = Archive(plan, books, members, now_ms, before_ms)
    if not _told(plan, slots, archive):
        typer.echo("nothing to fill: every window has counted from the start, or was filled")
        return
    if dry_run and archive is None:
        return
    guard = TrackingPlanGuard(running.tracking_plan, CollectorRegistry()) if running.tracking_plan else None
    refused = refusal_of(guard)
    _read(past, archive, books, settings, options, refused)
    for line in untold(past) if any(slots.values()) else ():
        typer.echo(line, err=True)
    if archive is not None:
        read_archive(archive, named or [], refused)
        tell_archive(archive, past.oldest_ms)
    if dry_run:
        return
    sent = 0
    if archive is not None:
        sent += _send(settings, archive.records(now_ms), archive.endings(partitions, now_ms))
    if any(slots.values()):
        of_files = archive.last_accounts() if archive is not None else {}
        sent += _send(settings, past.records(now_ms, of_files), past.endings(now_ms))
    counted = (0 if no_topic else past.counted) + (archive.counted if archive is not None else 0)
    typer.echo(f"\n{counted} event(s) of the past, {sent} record(s) sent to the engine", err=True)
    _tell_exact(plan, past, slots, archive, now_ms)


def _told(plan: Plan, slots: Wanted, archive: Archive | None) -> bool:
    """Say what is to be filled; whether there is anything."""
    for kind, ids in slots.items():
        for line in described(_of(plan, kind), ids):
            typer.echo(f"to fill: {kind}s, {line}", err=True)
    from_files = archive.wanted if archive is not None else {}
    for kind, ids in from_files.items():
        for line in described(_of(plan, kind), ids):
            typer.echo(f"to fill from files: {kind}s, {line}", err=True)
    if archive is not None and not any(from_files.values()):
        typer.echo("nothing to fill from files: every window has taken from files already", err=True)
    return any(slots.values()) or any(from_files.values())


def _tell_exact(plan: Plan, past: Past, slots: Wanted, archive: Archive | None, now_ms: int) -> None:
    """From when on each window that was filled is exact; a window of both begins with what begins first."""
    topic_ms = past.oldest_ms if past.oldest_ms is not None else now_ms
    for kind, ids in past.wanted.items():
        from_files = archive.wanted[kind] if archive is not None else frozenset()
        if archive is not None and archive.oldest_ms is not None:
            oldest_ms = min(topic_ms, archive.oldest_ms)
            for line in exact_from(_of(plan, kind), from_files, oldest_ms, now_ms, "the past"):
                typer.echo(f"{kind}s, {line}")
        for line in exact_from(_of(plan, kind), (ids & slots[kind]) - from_files, topic_ms, now_ms):
            typer.echo(f"{kind}s, {line}")


def untold(past: Past) -> list[str]:
    """What is said of events of which nobody tells any more for whom they count: a line of each kind."""
    lines = []
    if past.untold:
        lines.append(
            f"{past.untold.total()} event(s) of {len(past.untold)} user(s) count for no account: they name "
            "none, and which one these users acted for then is not known any more (docs/backfill.md)"
        )
    if past.strangers:
        lines.append(
            f"{past.strangers.total()} event(s) of {len(past.strangers)} id(s) count for no user: "
            "the ids have gone to another person since (shared devices)"
        )
    return lines


def _read(
    past: Past,
    archive: Archive | None,
    books: Books,
    settings: Settings,
    options: Mapping[str, object],
    refused: Refusal,
) -> None:
    for found in read_topic(options, settings.topic("product-events"), None, _progress("product-events")):
        past.take(found, refused)
        if archive is not None:
            archive.know(found)
    noted_ms = [mark.since_ms for book in books["account"].values() for mark in book.slots.values()]
    since_ms = min(filter(None, noted_ms), default=None)
    if past.wanted["account"] and since_ms is not None:
        topic = settings.topic("account-events")
        for found in read_topic(options, topic, since_ms, _progress("account-events")):
            past.take_bundle(found)


def read_books(settings: Settings, options: Mapping[str, object], plan: Plan) -> tuple[Books, Members]:
    """The engine's books from its changelog; and, where accounts have windows, whom users acted for.

    Raises:
        Misconfigured: there is no changelog.
        Retryable: no broker answers.
    """
    books: Books = {"user": {}, "account": {}}
    members = Members(accounts=bool(plan.account.slot_parts))
    changelog = settings.topic(CHANGELOG)
    for found in read_topic(options, changelog, None, _progress("state"), deletions=True):
        key = found.key or b""
        if key in (BOOKS.key(b"user"), BOOKS.key(b"account")) and found.value:
            kind: SubjectType = "user" if key == BOOKS.key(b"user") else "account"
            books[kind][found.partition] = BOOKS.decode(found.value)
        else:
            members.take(key, found.value)
    return books, members


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


def exact_from(
    plan: SubjectPlan, slot_ids: frozenset[int], oldest_ms: int, now_ms: int, what: str = "the topic"
) -> list[str]:
    """From when on each slot is exact: now, where the topic reaches back as far as the slot."""
    lines = []
    kept = families(plan)
    for slot_id in sorted(slot_ids, key=lambda one: plan.slot_parts[one]):
        retention_ms = kept[slot_id].retention_ms
        if retention_ms == FOR_EVER:
            said = f"counts from {moment(oldest_ms)}, where {what} begins"
        elif oldest_ms <= now_ms - retention_ms:
            said = "exact from now on"
        else:
            said = f"exact from {moment(oldest_ms + retention_ms)}: {what} begins at {moment(oldest_ms)}"
        lines.append(f"{_line(plan, slot_id)}: {said}")
    return lines


def _line(plan: SubjectPlan, slot_id: int) -> str:
    kind, *parts, length = plan.slot_parts[slot_id]
    what = (
        " ".join(part for part in parts if part not in ("lately", "ever")) if kind == "measure" else parts[0]
    )
    where = f" where {parts[1]}" if kind == "slot" and parts[1] else ""
    return f"{what}{where}, {'for ever' if length == 'None' else format_duration(int(length))}"


def _send(settings: Settings, *parts: Iterator[Brought]) -> int:
    """Send one part after the other, each when all of the one before is kept; how many records."""
    output = KafkaOutput(settings.kafka, settings.topic, settings.librdkafka())
    sent = 0
    for records in parts:
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
