"""What a run came to, read back from Kafka read-committed: every state row, timer and output record."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from confluent_kafka import Consumer, TopicPartition

from tests.faults.engine_worker import workspace
from workers.core.activity import windows
from workers.core.compile import compile_workspace
from workers.signals.account_events import Counted, Departed, Item, Occurred, decode
from workers.state import ACCOUNTS, ACTED_FOR, IDENTITIES, USERS
from workers.stream.store import META

if TYPE_CHECKING:
    from workers.core.activity.acted_for import Turn

OUTPUTS = (
    "scheduler",
    "messages.email",
    "messages.in_app",
    "decisions",
    "conversions",
    "segments",
    "identity",
    "dead-letters",
)

FORWARDED = "forwarded"
"""An event of an id that was merged, on its way. Whether it came before the rows left is a race of topics;
that it counts once is not, and is seen in the rows."""

_PLAN = compile_workspace(workspace().workspace)
_RETENTIONS = {**_PLAN.user.retentions_ms, **_PLAN.account.retentions_ms}


@dataclass(frozen=True)
class Outcome:
    """``rows`` by partition and key, with timers; ``outputs`` by topic; ``to_accounts`` as a multiset."""

    rows: dict[tuple[int, bytes], Any]
    outputs: dict[str, Counter[tuple[bytes, str]]]
    to_accounts: Counter[tuple[Any, ...]]


def outcome(bootstrap: str, prefix: str, partitions: int) -> Outcome:
    """Read everything that a run left behind."""
    rows: dict[tuple[int, bytes], Any] = {}
    for partition, key, value in read(bootstrap, f"{prefix}brimful-engine-changelog", partitions):
        assert key is not None, "a changelog record has a key"
        if key.startswith(META):
            continue
        if value is None:
            rows.pop((partition, key), None)
        else:
            rows[partition, key] = _plain(key, value)
    outputs: dict[str, Counter[tuple[bytes, str]]] = {}
    for topic in OUTPUTS:
        # dead-letters has a number of partitions of its own
        records = read(bootstrap, prefix + topic, 4 if topic == "dead-letters" else partitions)
        plain = ((key or b"", _unprefixed(value, prefix)) for _, key, value in records)
        outputs[topic] = Counter(record for record in plain if record[1] != FORWARDED)
    to_accounts = Counter(
        fact
        for partition, _, value in read(bootstrap, f"{prefix}account-events", partitions)
        for item in decode(value or b"")
        for fact in _facts(partition, item)
    )
    return Outcome(rows, outputs, to_accounts)


def same(found: Outcome, right: Outcome) -> None:
    """Compare record by record, and say what differs first."""
    assert found.rows.keys() == right.rows.keys()
    for key, row in right.rows.items():
        assert found.rows[key] == row, key
    for topic, records in right.outputs.items():
        extra, missing = list(found.outputs[topic] - records), list(records - found.outputs[topic])
        assert extra == [], f"too much in {topic}, and missing: {missing[:3]}"
        assert missing == [], f"missing in {topic}"
    assert found.to_accounts == right.to_accounts


def _plain(key: bytes, value: bytes) -> Any:
    """A row without what may rightly differ: from where a window counts depends on batch boundaries."""
    for tables in (USERS, ACCOUNTS):
        if key.startswith(tables.activity.prefix):
            row = tables.activity.decode(value)
            held = {slot: _occurrences(slot, window) for slot, window in row.windows.items()}
            return held, row.accounts, row.seen_since_ms, _ids(row.seen), _ids(row.seen_before)
    if key.startswith(ACCOUNTS.profiles.prefix):
        # Members come from several partitions, in the order in which those happened to get there.
        profile = ACCOUNTS.profiles.decode(value)
        return profile.traits, sorted(profile.members.items())
    # A merge is noted at the product event that comes next in its partition: which one that is, is a race.
    if key.startswith(USERS.profiles.prefix):
        profile = USERS.profiles.decode(value)
        return msgspec.structs.replace(profile, joined=dict.fromkeys(profile.joined, 0))
    if key.startswith(ACTED_FOR.prefix):
        return _accounts(ACTED_FOR.decode(value).turns)
    if key.startswith(IDENTITIES.prefix):
        identity = IDENTITIES.decode(value)
        return msgspec.structs.replace(identity, acted_for=[], since=0), _accounts(identity.acted_for)
    return value


def _accounts(turns: list[Turn]) -> list[str | None]:
    return [account for _, account in turns]


def _occurrences(slot: int, window: bytes) -> tuple[int, tuple[int, ...]]:
    """All occurrences counted, and the exact ones: when more are folded depends on batch boundaries too."""
    held = windows.decode(window, _RETENTIONS[slot])
    total = len(held.singles) + sum(number for _, number in held.buckets)
    return total, held.singles[-windows.EXACT_OCCURRENCES :]


def _ids(seen: bytes) -> list[bytes]:
    """The message ids seen; whose come first after a merge depends on what came before the rows left."""
    return sorted(seen[at : at + 8] for at in range(0, len(seen), 8))


def _unprefixed(value: bytes | None, prefix: str) -> str:
    record = json.loads(value or b"null")
    if isinstance(record, dict) and "app" in record:
        # A dead letter names its application and topic, and its id is made of them.
        record = {**record, "id": "", "app": "", "topic": record["topic"].removeprefix(prefix)}
    if isinstance(record, dict) and record.get("type") == "account_facts":
        # Whether a member came before the account's traits depends on which partition got there first.
        record.pop("changed", None)
    if isinstance(record, dict) and "change" in record:
        # Of who comes into a segment by a merge, a late event is counted before or right after it.
        record.pop("values", None)
    if isinstance(record, dict) and record.get("type") == "merged":
        # The rows as they were when they left: compared where they are taken in.
        record.pop("rows")
    if isinstance(record, dict) and record.get("type") == "forwarded":
        return FORWARDED
    return json.dumps(record, sort_keys=True)


def _facts(partition: int, item: Item) -> list[tuple[Any, ...]]:
    if isinstance(item, Counted):
        return [(partition, item.account, item.event, at_ms) for at_ms in item.times_ms]
    if isinstance(item, Occurred):
        return [(partition, item.account, item.event, item.at_ms, item.user, item.message_id)]
    if isinstance(item, Departed):
        return [(partition, item.account, item.user, "departed")]
    return [
        (partition, item.account, item.user, item.role, item.at_ms, json.dumps(item.traits, sort_keys=True))
    ]


def read(bootstrap: str, topic: str, partitions: int) -> list[tuple[int, bytes | None, bytes | None]]:
    """The committed records of a topic: partition, key and value."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "fault-tests",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    found: list[tuple[int, bytes | None, bytes | None]] = []
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    open_ = set(range(partitions))
    while open_:
        for message in consumer.consume(5_000, 1.0):
            error = message.error()
            if error is None:
                found.append((message.partition() or 0, message.key(), message.value()))
            elif error.code() == -191:  # the end of a partition
                open_.discard(message.partition())
            else:
                raise AssertionError(error)
    consumer.close()
    return found
