"""What a person's answer to a text message says. Pure.

Only a message that is one of these words and nothing else is a command, as carriers require (CTIA Messaging
Principles, 5.1.3; the words are Twilio's default ones): "non-stop" and "please stop by" are answers to read.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

Word: TypeAlias = Literal["stop", "start", "help"]

STOP: Final = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"})
START: Final = frozenset({"START", "YES", "UNSTOP"})
HELP: Final = frozenset({"HELP", "INFO"})

_WORDS: Final[dict[str, Word]] = {
    **dict.fromkeys(STOP, "stop"),
    **dict.fromkeys(START, "start"),
    **dict.fromkeys(HELP, "help"),
}


def word_of(text: str) -> Word | None:
    """The command that a text is; None where it is none. Case and the white space around it do not matter."""
    return _WORDS.get(text.strip().upper())
