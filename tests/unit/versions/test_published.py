"""The topic put together: whole versions from records and parts, and what is missing told."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from schemas import wire
from workers.core.journeys.progress import Enrollment, Position, Progress, TriggerFacts
from workers.core.journeys.releases import Cell, Wishes
from workers.errors import Misconfigured
from workers.reading.topics import Found
from workers.state import ACCOUNTS, USERS
from workers.versions.active import Loader, NotUsable, name_of
from workers.versions.bundle import BadBundle, Bundle
from workers.versions.inside import count_inside
from workers.versions.published import Published, forgotten, key_of, version_records
from workers.versions.publishing import propose, rolled_back_to, said

if TYPE_CHECKING:
    from collections.abc import Iterable

NOW = 1_773_482_520_000
ENTRY = "subject: user\nentry:\n  on: {event: limit}\n"
MAIL = "channel: email\ntransactional: true\nsubject: Hello\nhtml: <p>Hello</p>\ntext: Hello\n"


def bundle(*steps: str, templates: Iterable[str] = ("mail",), name: str = "shop") -> Bundle:
    """A workspace of one journey with these steps; none: without it, but with another."""
    told = "".join(f"  - {step}\n" for step in steps)
    files = {f"templates/{template}.yaml": MAIL for template in templates}
    files["journeys/other.yaml"] = (
        f"journey: other\n{ENTRY}steps:\n  - send: {{email: {next(iter(templates))}}}\n"
    )
    if steps:
        files["journeys/upsell.yaml"] = f"journey: upsell\n{ENTRY}steps:\n{told}"
    return Bundle(name, files)


FIRST = bundle("wait: 2d", "send: {email: mail}")
SECOND = bundle("wait: 1d", "send: {email: mail}")


class Topic:
    """The topic in memory."""

    def __init__(self) -> None:
        self.published = Published()
        self.now_ms = NOW

    def write(self, records: Iterable[wire.WorkspaceRecord], forget: Iterable[bytes] = ()) -> None:
        """As a writer does."""
        for record in records:
            self.published.take(key_of(record), wire.encode(record))
        for key in forget:
            self.published.take(key, None)

    def publish(self, one: Bundle, people: dict[Cell, int] | None = None, **wishes: Any) -> Any:
        """Publish, whoever is stuck."""
        self.now_ms += 1_000
        publication = wire.Publication(version=one.version, at_ms=self.now_ms, by="me", message="")
        proposal = propose(self.published, one, publication, Wishes(**wishes), people or {})
        self.write(proposal.records, proposal.forget)
        return proposal


@pytest.mark.parametrize("part_bytes", [10, 100, 1_000_000])
def test_a_version_comes_whole_out_of_its_records(part_bytes: int) -> None:
    """However many parts it takes; the record that names them comes last."""
    topic = Topic()
    records = list(version_records(FIRST, NOW, part_bytes))
    assert isinstance(records[-1], wire.PublishedVersion)
    assert all(isinstance(one, wire.VersionPart) for one in records[:-1])
    assert (len(records) > 1) is (part_bytes < 1_000_000)
    topic.write(records)
    assert topic.published.bundle("shop", FIRST.version) == FIRST


def test_every_record_stays_below_what_kafka_takes() -> None:
    """A large workspace of texts that do not compress."""
    noise = hashlib.shake_256(b"noise").hexdigest(1_500_000)
    large = Bundle("shop", {"templates/a.html": noise})
    sizes = [len(wire.encode(one)) for one in version_records(large, NOW)]
    assert len(sizes) > 1
    assert max(sizes) < 1_000_000


def test_a_missing_or_damaged_part_is_told_by_its_number() -> None:
    """And the version is not used."""
    *parts, version = version_records(FIRST, NOW, 100)
    assert isinstance(version, wire.PublishedVersion)
    topic = Topic()
    topic.write([version, *parts[1:]])
    with pytest.raises(BadBundle, match=r"part 1 of \d+ is missing"):
        topic.published.bundle("shop", FIRST.version)
    assert isinstance(parts[0], wire.VersionPart)
    topic.write([msgspec.structs.replace(parts[0], data="QUJD")])
    with pytest.raises(BadBundle, match=r"part 1 of \d+ is damaged"):
        topic.published.bundle("shop", FIRST.version)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        (b"shop", b"{", "not readable"),
        (b"shop", b'{"v":1,"type":"other"}', "not readable"),
        (b"shop", wire.encode(next(version_records(FIRST, NOW))), "says that it is"),
    ],
)
def test_a_record_that_is_none_of_ours_is_refused(key: bytes, value: bytes, told: str) -> None:
    """What was known before stays."""
    topic = Topic()
    topic.publish(FIRST)
    with pytest.raises(Misconfigured, match=told):
        topic.published.take(key, value)
    assert topic.published.in_force["shop"].version == FIRST.version


def test_a_loader_runs_what_is_in_force_with_what_people_inside_need() -> None:
    """The newest templates, and of those that it has no more the older; each version is read once."""
    topic, loader = Topic(), Loader()
    topic.publish(FIRST)
    first = loader.load(topic.published, "shop")
    topic.publish(bundle("send: {email: new}", templates=("new",)), policies={"upsell": "pin"})
    active = loader.load(topic.published, "shop")
    assert (first.serial, active.serial) == (1, 2)
    assert set(active.templates) == {"mail", "new"}
    assert [journey for journey, _ in active.plan.user.pinned] == ["upsell"]
    assert set(first.templates) == {"mail"}


def test_what_cannot_be_run_is_refused_and_the_version_before_stays_usable() -> None:
    """A newer Brimful published what this one does not know."""
    topic, loader = Topic(), Loader()
    topic.publish(FIRST)
    loader.load(topic.published, "shop")
    broken = Bundle("shop", FIRST.files | {"journeys/upsell.yaml": "journey: upsell\nbrand_new: 1\n"})
    topic.write(version_records(broken, NOW))
    in_force = topic.published.in_force["shop"]
    topic.write([msgspec.structs.replace(in_force, version=broken.version, serial=2)])
    with pytest.raises(NotUsable, match="brand_new"):
        loader.load(topic.published, "shop")
    topic.write([in_force])
    assert loader.load(topic.published, "shop").version == FIRST.version


def test_a_worker_finds_its_workspace() -> None:
    """The only one, or the one it is told; else it asks."""
    topic = Topic()
    with pytest.raises(Misconfigured, match="no workspace is published"):
        name_of(topic.published, None)
    topic.publish(FIRST)
    assert name_of(topic.published, None) == "shop"
    topic.publish(Bundle("eu", FIRST.files))
    assert name_of(topic.published, "eu") == "eu"
    with pytest.raises(Misconfigured, match=r"eu, shop.*BRIMFUL_WORKSPACE_NAME"):
        name_of(topic.published, None)


def test_who_would_be_stuck_is_told_and_a_shadows_people_never_are() -> None:
    """The end of a shadow takes nothing from anybody."""
    topic = Topic()
    proposal = topic.publish(FIRST)
    version = proposal.in_force.journeys["upsell"].version
    people = {Cell("user", "upsell", version, ("0",)): 3, Cell("user", "upsell~shadow", "x", ("0",)): 2}
    stuck = topic.publish(bundle("send: {email: mail}"), people).stuck
    assert [(one.people, one.reason) for one in stuck] == [(3, "version_gone")]


def test_versions_beyond_the_history_are_forgotten_unless_somebody_needs_them() -> None:
    """The topic does not grow for ever, and nobody's version goes."""
    topic = Topic()
    topic.publish(FIRST)
    pinned = topic.publish(SECOND, policies={"upsell": "pin"}).in_force.journeys["upsell"]
    ((version, _),) = pinned.older.items()
    people = {Cell("user", "upsell", version, ("0",)): 1}
    for number in range(30):
        topic.publish(bundle("wait: 1d", f"wait: {number + 1}h"), people)
    kept = {version for _, version in topic.published.versions}
    assert FIRST.version in kept
    assert SECOND.version not in kept
    assert len(kept) == 26
    assert list(forgotten(topic.published, "shop", kept)) == []


def test_rolling_back_goes_to_the_version_before_or_to_the_one_that_is_named() -> None:
    """By how it begins; what is ambiguous or unknown is asked for."""
    topic = Topic()
    topic.publish(FIRST)
    with pytest.raises(Misconfigured, match="there are: none"):
        rolled_back_to(topic.published, "shop", None)
    topic.publish(SECOND)
    assert rolled_back_to(topic.published, "shop", None) == FIRST.version
    assert rolled_back_to(topic.published, "shop", FIRST.version[:6]) == FIRST.version
    with pytest.raises(Misconfigured, match="begins with 'zz'"):
        rolled_back_to(topic.published, "shop", "zz")


def test_a_pause_is_counted_from_its_beginning_however_often_it_is_said() -> None:
    """What fell due since then is what is spread when it ends."""
    topic = Topic()
    topic.publish(FIRST)
    for at_ms, state, began_ms in [(1, "paused", 1), (2, "paused", 1), (3, "running", 1), (9, "paused", 9)]:
        record = said(topic.published, "shop", "upsell", state, 0, "me", at_ms)  # type: ignore[arg-type]
        assert record.paused_at_ms == began_ms
        topic.write([record])
    with pytest.raises(Misconfigured, match="there are: other, upsell"):
        said(topic.published, "shop", "upsel", "paused", 0, "me", 1)


def test_who_is_inside_is_counted_by_the_newest_row_of_each() -> None:
    """Users and accounts apart; who left, or was erased, is nowhere; who stands at two steps is one."""

    def row(key: bytes, *enrollments: Enrollment) -> Found:
        return Found(0, 0, USERS.progress.encode(Progress("u", enrollments)) if enrollments else b"", key)

    def inside(step: str, journey: str = "upsell") -> Enrollment:
        places = tuple(Position(path, 0) for path in step.split())
        return Enrollment("e", journey, "v1", 0, TriggerFacts("", "", 0, {}), "0", positions=places)

    ended = msgspec.structs.replace(inside("2"), state="ended")
    rows = [
        row(USERS.progress.key(b"a"), inside("1")),
        row(USERS.progress.key(b"b"), inside("1"), inside("0", "other")),
        row(USERS.progress.key(b"a"), inside("2")),
        row(USERS.progress.key(b"c"), inside("1")),
        row(USERS.progress.key(b"c"), ended),
        row(USERS.progress.key(b"d"), inside("1")),
        row(USERS.progress.key(b"d")),
        row(ACCOUNTS.progress.key(b"a"), inside("1")),
        row(USERS.progress.key(b"e"), inside("3.1.0 3.0.0")),
        row(USERS.progress.key(b"e"), inside("3.1.0 3.0.0")),
        Found(0, 0, b"anything", USERS.activity.key(b"a")),
    ]
    assert count_inside(rows) == {
        Cell("user", "upsell", "v1", ("1",)): 1,
        Cell("user", "upsell", "v1", ("2",)): 1,
        Cell("user", "other", "v1", ("0",)): 1,
        Cell("account", "upsell", "v1", ("1",)): 1,
        Cell("user", "upsell", "v1", ("3.0.0", "3.1.0")): 1,
        Cell("user", "upsell", "v1", ("3.0.0", "3.1.0")): 1,
    }


def test_a_version_that_nobody_can_run_does_not_keep_people_from_publishing() -> None:
    """Its people follow; those of the journeys that can be read are where they were."""
    topic = Topic()
    topic.publish(FIRST)
    topic.publish(SECOND, policies={"upsell": "pin"})
    (older,) = topic.published.in_force["shop"].journeys["upsell"].older
    topic.write([], [f"shop@{FIRST.version}".encode(), f"shop@{SECOND.version}".encode()])
    people = {Cell("user", "upsell", older, ("0",)): 1}
    proposal = topic.publish(bundle("wait: 3d", "send: {email: mail}"), people)
    ((fate),) = proposal.fates
    assert (fate.version, fate.steps) == (proposal.in_force.journeys["upsell"].version, ("0",))
    assert Loader().load(topic.published, "shop").serial == 3
