"""Every error of the workers, named by the reaction it demands.

======================  =========================================================================
error                   reaction
======================  =========================================================================
:class:`Refused`        the record goes to ``dead-letters`` with its reason; the partition goes on
:class:`Retryable`      try again later; nothing is lost, nothing was done
:class:`Fenced`         another worker owns the partition: drop it, keep nothing
:class:`Misconfigured`  stop and tell a person; the message says what to change
:class:`TooManyDead`    stop the worker: most of a topic is bad, and a person must look
======================  =========================================================================
"""

from __future__ import annotations


class BrimfulError(Exception):
    """Base of all errors that Brimful raises on purpose."""


class Refused(BrimfulError):
    """A record that cannot be used: ``reason`` is a dead-letter reason, ``detail`` is for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[Refused], tuple[str, str]]:
        return (Refused, (self.reason, self.detail))


class Retryable(BrimfulError):
    """Something outside did not answer in time; the same call may work later."""


class Fenced(BrimfulError):
    """The partition's transactional id was taken over by another worker."""


class Misconfigured(BrimfulError):
    """Settings, workspace or cluster do not fit. Operator action: the message says what to change."""


class TooManyDead(BrimfulError):
    """The dead-letter limit of a topic was reached.

    Operator action: read the newest records of ``dead-letters``; fix the producer or raise the limit,
    then start the worker again. Nothing is lost: the records are dead-lettered up to the limit, and
    the rest was not consumed.
    """

    def __init__(self, topic: str, dead: int, of: int) -> None:
        super().__init__(
            f"{dead} of the last {of} records of topic {topic!r} were dead-lettered; the worker stops before "
            f"it empties the topic into dead-letters. Look at the newest records of dead-letters.",
        )
        self.topic = topic
        self.dead = dead
        self.of = of

    def __reduce__(self) -> tuple[type[TooManyDead], tuple[str, int, int]]:
        return (TooManyDead, (self.topic, self.dead, self.of))
