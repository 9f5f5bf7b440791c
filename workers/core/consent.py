"""What a person has agreed to: one row per person, with the latest word on each channel and topic.

A word is about everything, about a channel, or about a topic over a channel. Of the same thing the later
word counts, by when it was said and not by when it arrives; of two of the same moment the refusal.
"""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003  msgspec reads the module's names at run time
from typing import Any, Final, NamedTuple, get_args

import msgspec

from schemas.fields import Channel

TRAIT: Final = "consent"
"""The trait that says it: true or false for everything, or by channel, or by channel and topic."""

OPT_IN_CHANNELS: Final = frozenset({"sms"})
"""Channels that need a yes. Over the others nothing said is consent; push needs a token, which a person's
device gives only when they allow it."""

CHOICES_MAX: Final = 256
"""Words kept of one person: 20 kB. Beyond it a refusal of one more topic is taken for its whole channel, and
one more yes is not kept."""

TOPIC_MAX_CHARS: Final = 64
"""Longest name of a topic, as of all names in a workspace."""

CHANNELS: Final = frozenset(get_args(Channel))

STATES: Final[dict[str, bool | None]] = {"opted_in": True, "opted_out": False, "unknown": None}
"""What records call a word."""


_WEIGHT: Final[dict[bool | None, int]] = {None: 0, True: 1, False: 2}
"""Of two words of one moment the heavier counts."""


class Choice(msgspec.Struct, array_like=True, frozen=True):
    """One word: yes, no, or None, which takes the word before back. ``source`` says who brought it."""

    opted_in: bool | None
    at_ms: int
    source: str

    def outweighs(self, other: Choice) -> bool:
        """Whether this word counts and not the other, both being about the same thing."""
        mine, others = (self.at_ms, _WEIGHT[self.opted_in]), (other.at_ms, _WEIGHT[other.opted_in])
        return mine > others


class Consents(msgspec.Struct, array_like=True):
    """State row of a person: the words by what they are about (see :func:`place`)."""

    choices: dict[str, Choice] = {}


class Said(NamedTuple):
    """What a word is about, and the word. ``channel`` None: everything; ``topic`` None: the whole channel."""

    channel: str | None
    topic: str | None
    opted_in: bool | None


def place(channel: str | None, topic: str | None) -> str:
    """The key of a word in the row: ``""`` for everything, ``email``, ``email/product_news``."""
    if channel is None:
        return ""
    return channel if topic is None else f"{channel}/{topic}"


def take(row: Consents, said: Said, at_ms: int, source: str) -> bool:
    """Take a word into the row (changes it); False where that changes nothing that counts."""
    key = place(said.channel, said.topic)
    if key not in row.choices and len(row.choices) >= CHOICES_MAX:
        if said.topic is None or said.opted_in is not False:
            return False
        key = place(said.channel, None)
    choice, held = Choice(said.opted_in, at_ms, source), row.choices.get(key)
    if held is not None and not choice.outweighs(held):
        return False
    row.choices[key] = choice
    return held is None or held.opted_in is not choice.opted_in


def consents(row: Consents, channel: str, topic: str | None) -> bool | None:
    """Whether the person agrees to messages over a channel about a topic; None where they never said.

    The narrowest word counts: a yes to a channel does not undo the refusal of one of its topics. A wider
    refusal that is not older than it counts instead: who unsubscribes from all e-mail has no topic left.
    """
    counts: Choice | None = None
    for key in dict.fromkeys((place(channel, topic), channel, "")):
        choice = row.choices.get(key)
        if choice is None or choice.opted_in is None:
            continue
        if counts is None or (choice.opted_in is False and choice.at_ms >= counts.at_ms):
            counts = choice
    return None if counts is None else counts.opted_in


def allows(channel: str, said: bool | None) -> bool:
    """Whether a message may go over a channel, by what :func:`consents` found."""
    return said is True or (said is None and channel not in OPT_IN_CHANNELS)


def of_trait(value: Any) -> Iterator[Said]:
    """The words of the trait ``consent``. Null says nothing; all but ``true`` and null is a refusal.

    Channels that do not exist are passed over, and topics that no workspace could name.
    """
    if not isinstance(value, dict):
        if value is not None:
            yield Said(None, None, value is True)
        return
    for channel, by_topic in value.items():
        if channel not in CHANNELS or by_topic is None:
            continue
        if not isinstance(by_topic, dict):
            yield Said(channel, None, by_topic is True)
            continue
        for topic, word in by_topic.items():
            if word is not None and len(topic) <= TOPIC_MAX_CHARS:
                yield Said(channel, topic, word is True)


def known(row: Consents | None, trait: Any) -> Consents:
    """The row; of a person who has none, what their trait says, as said long ago.

    Persons have no row who said it when the trait was all that was kept.
    """
    if row is not None:
        return row
    made = Consents({})
    for said in of_trait(trait):
        take(made, said, 0, "trait")
    return made


def merge(mine: Consents, theirs: Consents) -> Consents:
    """The words of two ids that are one person: of each the one that counts."""
    choices = dict(mine.choices)
    for key, choice in theirs.choices.items():
        held = choices.get(key)
        if held is None or choice.outweighs(held):
            choices[key] = choice
    return Consents(choices)
