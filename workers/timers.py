"""What the engine's timers carry: whose they are, and what they wake."""

from __future__ import annotations

import msgspec

from schemas.fields import SubjectType  # noqa: TC001  msgspec reads it at run time


class TimerPayload(msgspec.Struct, array_like=True, frozen=True):
    """What a timer carries: whose it is, and the enrollment that it wakes, or what else (below)."""

    subject_type: SubjectType
    subject: str
    enrollment: str


SEGMENTS, SCORES, TELLING, TELLING_TRAITS = "segments", "scores", "telling", "telling traits"
"""In the place of an enrollment, whose id is never so short: the timer is for all segments, for all scores,
or for members who are still to be told of their account's segments, or of its traits."""

encode_payload = msgspec.msgpack.Encoder().encode
decode_payload = msgspec.msgpack.Decoder(TimerPayload).decode
