"""What a reader does when a partition has no leader for a moment, and when something else is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError, KafkaException

from workers.reading import topics as topic_reader
from workers.reading.topics import asked

if TYPE_CHECKING:
    from collections.abc import Callable


def failing(code: int, times: int) -> Callable[[], str]:
    """A question that is answered with an error some times, and then rightly."""
    answers = iter([KafkaException(KafkaError(code))] * times)

    def ask() -> str:
        error = next(answers, None)
        if error is not None:
            raise error
        return "answer"

    return ask


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_reader, "AGAIN_SECONDS", 0.001)


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.OFFSET_NOT_AVAILABLE,
    ],
)
def test_a_partition_whose_leader_is_not_known_yet_is_asked_again(code: int) -> None:
    """Just after a topic was created, and while leaders change, a broker refuses for a moment."""
    assert asked(failing(code, times=3)) == "answer"


def test_an_error_that_lasts_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brokers are asked for a limited time only."""
    monkeypatch.setattr(topic_reader, "TIMEOUT_SECONDS", 0.01)
    with pytest.raises(KafkaException):
        asked(failing(KafkaError.NOT_LEADER_FOR_PARTITION, times=10_000))


def test_an_error_that_does_not_pass_is_told_at_once() -> None:
    """What a client may not read stays so."""
    with pytest.raises(KafkaException, match="TOPIC_AUTHORIZATION_FAILED"):
        asked(failing(KafkaError.TOPIC_AUTHORIZATION_FAILED, times=1))
