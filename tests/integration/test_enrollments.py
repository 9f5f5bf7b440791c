"""``brimful enrollments`` and ``brimful timers`` over a changelog on a real broker."""

from __future__ import annotations

import json
import random
import time

import pytest
from typer.testing import CliRunner

from schemas.topics import DEFAULT_PARTITIONS, load_topics
from tests.bench.people import DAY_MS, standing_rows
from tests.integration.changelog_kit import write_rows
from tests.unit.intake.kit import Gateway
from workers.assemble_gateway import standing_of
from workers.cli.main import cli
from workers.clock import FixedClock
from workers.intake.keys import make_key
from workers.intake.listing import BoundedPages
from workers.intake.settings import ApiSettings
from workers.intake.standing import BoundedReader, NotNow
from workers.reading.enrollments import Pages
from workers.settings import from_env
from workers.state import IDENTITIES, USERS, Identity
from workers.stream.admin import apply_topics
from workers.stream.partitioner import partition_of

PEOPLE = 20


def call(*words: str) -> list[dict[str, object]]:
    """The objects that a command prints."""
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


@pytest.mark.kafka
def test_what_is_committed_is_found_and_nothing_else(
    kafka: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest row of each person counts; one that is deleted, or was aborted, is not there."""
    monkeypatch.setenv("BRIMFUL_KAFKA", kafka)
    monkeypatch.setenv("BRIMFUL_TOPIC_PREFIX", topic_prefix)
    monkeypatch.delenv("BRIMFUL_WORKSPACE", raising=False)
    apply_topics(kafka, load_topics(), prefix=topic_prefix, partitions=DEFAULT_PARTITIONS)
    rng, now_ms = random.Random(7), int(time.time() * 1000)  # noqa: S311 - repeatable rows, not a secret
    rows = {number: standing_rows(number, 2, now_ms, rng) for number in range(PEOPLE)}
    keys = {number: f"user-{number:07d}".encode() for number in rows}
    by_partition: dict[int, dict[bytes, bytes | None]] = {}
    for number, one in rows.items():
        by_partition.setdefault(partition_of(keys[number], DEFAULT_PARTITIONS), {}).update(one)
    for partition, some in by_partition.items():
        write_rows(kafka, f"{topic_prefix}brimful-engine", partition, some, commit=True)
    gone: dict[bytes, bytes | None] = {USERS.progress.key(keys[0]): None}
    write_rows(
        kafka, f"{topic_prefix}brimful-engine", partition_of(keys[0], DEFAULT_PARTITIONS), gone, commit=True
    )
    kept: dict[bytes, bytes | None] = {USERS.progress.key(keys[1]): None}
    write_rows(
        kafka, f"{topic_prefix}brimful-engine", partition_of(keys[1], DEFAULT_PARTITIONS), kept, commit=False
    )

    found = call("enrollments", "list", "--journey", "w1", "--limit", "0", "--json")
    assert {one["subject"] for one in found} == {key.decode() for key in keys.values()} - {"user-0000000"}
    soon = call("timers", "--due-before", "29d", "--json")
    later = call("timers", "--due-before", "31d", "--journey", "w0", "--json")
    assert soon == []
    assert {one["subject"] for one in later} == {one["subject"] for one in found}
    assert {one["kind"] for one in later} == {"enrollment"}
    shown = CliRunner().invoke(cli, ["enrollments", "show", "user-0000001", "--decisions", "1d", "--json"])
    item = json.loads(shown.stdout)
    assert [one["journey"] for one in item["enrollments"]] in (["w0", "w1"], ["w1", "w0"])
    assert all(one["due_ms"] == one["entered_at_ms"] + 30 * DAY_MS for one in item["enrollments"])
    assert item["decisions"] == []


@pytest.mark.kafka
async def test_the_api_tells_what_is_committed_of_one_subject(kafka: str, topic_prefix: str) -> None:
    """Of who was merged what the other id has; what nobody committed, or was deleted, is not there."""
    apply_topics(kafka, load_topics(), prefix=topic_prefix, partitions=DEFAULT_PARTITIONS)
    rng, now_ms = random.Random(7), int(time.time() * 1000)  # noqa: S311 - repeatable rows, not a secret
    for number, commit in ((0, True), (1, True), (2, False)):
        rows = standing_rows(number, 2, now_ms, rng)
        owner = partition_of(f"user-{number:07d}".encode(), DEFAULT_PARTITIONS)
        write_rows(kafka, f"{topic_prefix}brimful-engine", owner, rows, commit=commit)
    gone: dict[bytes, bytes | None] = {USERS.progress.key(b"user-0000001"): None}
    write_rows(
        kafka,
        f"{topic_prefix}brimful-engine",
        partition_of(b"user-0000001", DEFAULT_PARTITIONS),
        gone,
        commit=True,
    )
    merged = {IDENTITIES.key(b"anonymous"): IDENTITIES.encode(Identity(merged_into="user-0000000"))}
    write_rows(
        kafka,
        f"{topic_prefix}brimful-engine",
        partition_of(b"anonymous", DEFAULT_PARTITIONS),
        merged,
        commit=True,
    )

    key, configured = make_key("ops", ["journeys:read"], b"r" * 32)
    settings = from_env({"BRIMFUL_KAFKA": kafka, "BRIMFUL_TOPIC_PREFIX": topic_prefix})
    reader = BoundedReader(standing_of(settings, FixedClock(now_ms), lambda: None))
    listed = BoundedPages(reader, Pages(settings, lambda: None, lambda: now_ms).page)
    gateway = Gateway(more={"api": ApiSettings((configured,)), "standing": reader, "pages": listed})
    answers = {
        person: await gateway.client.get(
            f"/v1/people/{person}/enrollments", headers={"authorization": f"Bearer {key}"}
        )
        for person in ("user-0000000", "user-0000001", "user-0000002", "anonymous")
    }
    assert [one.status_code for one in answers.values()] == [200, 404, 404, 200]
    item = answers["user-0000000"].json()
    assert {one["journey"] for one in item["enrollments"]} == {"w0", "w1"}
    assert answers["anonymous"].json() == {"merged_from": "anonymous"} | item
    inside = await gateway.client.get(
        "/v1/journeys/w1/enrollments", headers={"authorization": f"Bearer {key}"}
    )
    assert [one["subject"] for one in inside.json()["enrollments"]] == ["user-0000000"]
    assert inside.json()["next"] is None
    slow = BoundedReader(standing_of(settings, FixedClock(now_ms), lambda: None), limit_s=-1)
    with pytest.raises(NotNow, match="takes longer"):
        await slow.read("user", "user-0000000")
