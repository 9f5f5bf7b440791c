"""What the partition's producer makes of the client's errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError, KafkaException

from workers.errors import Fenced, Retryable
from workers.stream.transaction import PartitionProducer

if TYPE_CHECKING:
    from collections.abc import Callable

FENCED = KafkaException(KafkaError(KafkaError._FENCED, "fenced by a newer instance", fatal=True))
SLOW = KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer"))


class RefusingProducer(PartitionProducer):
    """A producer whose client answers a flush with an error, without any broker."""

    def __init__(self, answer: Callable[[], object]) -> None:
        self.transactional_id = "app-0"
        self._answer = answer

    def flush(self) -> int:
        """Ask the client."""
        return int(self._try(self._answer))


def _raises(error: BaseException, cause: BaseException | None = None) -> Callable[[], object]:
    def answer() -> object:
        raise error from cause

    return answer


@pytest.mark.parametrize(
    ("error", "cause", "becomes"),
    [
        (FENCED, None, Fenced),
        (SLOW, None, Retryable),
        (BufferError("queue full"), None, Retryable),
        (SystemError("a delivery report returned a result with an exception set"), FENCED, Fenced),
        (SystemError("a delivery report returned a result with an exception set"), SLOW, Retryable),
    ],
)
def test_an_error_of_the_client_is_fenced_or_retryable(
    error: BaseException, cause: BaseException | None, becomes: type[Exception]
) -> None:
    """Also one that a delivery report came upon: a zombie must learn that it is one, not stop."""
    with pytest.raises(becomes, match="app-0"):
        RefusingProducer(_raises(error, cause)).flush()


def test_an_error_of_python_itself_is_not_taken_for_kafkas() -> None:
    """A SystemError of another cause is a bug to be seen."""
    with pytest.raises(SystemError):
        RefusingProducer(_raises(SystemError("bad call"))).flush()
