"""One request to erase, from the record that asks to the report that proves."""

from __future__ import annotations

import time
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Producer

from schemas import wire
from schemas.topics import DAY_MS, ERASURE_LIMIT_MS, load_topics
from schemas.workspace.sends import SENDERS
from workers.clock import SystemClock
from workers.erasure.answers import Answers
from workers.erasure.proof import Names, Reader
from workers.errors import Retryable

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

    from workers.erasure.proof import Looked
    from workers.settings import Settings

STATES: Final = (
    "brimful-engine-changelog",
    "brimful-senders-changelog",
    "brimful-insights-changelog",
    "feeds",
)
"""The compacted topics that keep state: what their newest values say is what is kept."""

_LOOK_S = 0.5
_SEND_S = 30.0


@dataclass(frozen=True)
class Wish:
    """What a person at the command line asks for. ``suppress_ms``: how long nothing may bring them back."""

    person: str
    accounts: tuple[str, ...] = ()
    reason: str | None = None
    suppress_ms: int | None = None
    wait_s: float = 60.0


def erase(settings: Settings, wish: Wish) -> dict[str, Any]:
    """Erase a person and report: what was asked, who answered, what was looked through, what is left.

    ``complete`` is True when every place has answered and no newest value of any state names the person.

    Raises:
        Misconfigured: the topics are not there.
        Retryable: the brokers did not answer in time; asking again does no harm.
    """
    clock = SystemClock()
    reader = Reader(settings.kafka, settings.librdkafka())
    starts = reader.ends(settings.topic("identity"))
    asked_ms = clock.now_ms()
    request = uuid.uuid4().hex
    place = _ask(settings, wish, request, asked_ms)
    channels = tuple(settings.topic(f"messages.{channel}") for channel in SENDERS)
    deadline = time.monotonic() + wish.wait_s
    while True:
        answers, answered = _answers(reader, settings, wish, request, channels, starts)
        looked: list[Looked] = []
        if not answers.missing:
            names = Names(answers.ids)
            looked = [reader.look(settings.topic(topic), names) for topic in STATES]
            if not any(one.left for one in looked):
                break
        if time.monotonic() >= deadline:
            break
        time.sleep(_LOOK_S)
    left = [asdict(value) for one in looked for value in one.left]
    return {
        "person": wish.person,
        "request": request,
        "reason": wish.reason,
        "complete": not answers.missing and not left,
        "asked": {**place, "at_ms": asked_ms},
        "ids": answers.ids,
        "answers": answered,
        "missing": [{"app": app, "place": where, "id": one} for app, where, one in answers.missing],
        "looked_through": [
            {key: value for key, value in asdict(one).items() if key != "left"} for one in looked
        ],
        "left": left,
        "suppressed_until_ms": asked_ms + wish.suppress_ms if wish.suppress_ms is not None else None,
        "finished_at_ms": clock.now_ms(),
        "gone_by": gone_by(settings, clock.now_ms()),
    }


def gone_by(settings: Settings, now_ms: int) -> list[dict[str, Any]]:
    """For each topic when its last record about the person is gone, by the declared retention.

    Records of deleted topics go with their segment, a day later at most; superseded values of compacted
    topics within :data:`schemas.topics.ERASURE_LIMIT_MS`. A workspace names no people.
    """
    found = []
    for topic in load_topics():
        if topic.name == "workspace":
            continue
        kept_ms = ERASURE_LIMIT_MS if topic.retention_ms is None else topic.retention_ms + DAY_MS
        how = "compaction" if topic.retention_ms is None else "retention"
        found.append({"topic": settings.topic(topic.name), "by": how, "at_ms": now_ms + kept_ms})
    return found


def _ask(settings: Settings, wish: Wish, request: str, asked_ms: int) -> dict[str, Any]:
    """Write the record that asks; where it lies."""
    record = wire.Erase(
        id=request,
        request=request,
        subject=wish.person,
        accounts=list(wish.accounts),
        reason=wish.reason,
        suppress_until_ms=asked_ms + wish.suppress_ms if wish.suppress_ms is not None else None,
        at_ms=asked_ms,
    )
    written: list[Message] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is None:
            written.append(message)

    producer = Producer(
        {
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "log_level": 3,
            **settings.librdkafka(),
            "bootstrap.servers": settings.kafka,
        }
    )
    topic = settings.topic("scheduler")
    producer.produce(topic, key=wish.person.encode(), value=wire.encode(record), on_delivery=delivered)
    producer.flush(_SEND_S)
    if not written:
        raise Retryable(f"the request could not be written to {topic} within {_SEND_S:.0f} s: try again")
    return {"topic": topic, "partition": written[0].partition(), "offset": written[0].offset()}


def _answers(
    reader: Reader,
    settings: Settings,
    wish: Wish,
    request: str,
    channels: tuple[str, ...],
    starts: dict[int, int],
) -> tuple[Answers, list[dict[str, Any]]]:
    """All answers that came since the request, with where they lie.

    The engine's come first: they name the ids that the senders answer for, in whatever order they came.
    """
    answers = Answers(request, wish.person, channels)
    told: list[dict[str, Any]] = []
    came = [
        (wire.decode_identity(message.value), message)
        for message in reader.read(settings.topic("identity"), starts)
    ]
    came.sort(key=lambda one: getattr(one[0], "app", "") != "engine")
    for record, message in came:
        if answers.add(record):
            assert isinstance(record, wire.PersonErased)
            told.append(
                {
                    "app": record.app,
                    "place": record.place if record.account is None else f"account {record.account}",
                    "id": record.subject,
                    "rows": record.rows,
                    "partition": message.partition,
                    "offset": message.offset,
                    "at_ms": record.at_ms,
                }
            )
    return answers, told
