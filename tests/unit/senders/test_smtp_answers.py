"""What a mail server's answers mean, as one table."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from workers.errors import Misconfigured as MisconfiguredError
from workers.senders.channels.base import DeliveryResult, Misconfigured, Refused, RetryAfter, Unknown
from workers.senders.channels.smtp_answers import Phase, lost, meaning
from workers.senders.channels.smtp_pool import SmtpSettings

MEANINGS: list[tuple[Phase, int, str, DeliveryResult]] = [
    # the server will not talk to us
    ("connect", 554, "no service for 10.0.0.1", Misconfigured("smtp_connect_554")),
    ("connect", 421, "4.7.0 too many connections", RetryAfter(60_000, "smtp_connect_421_4.7.0", "provider")),
    ("tls", 454, "4.7.0 tls not available", RetryAfter(60_000, "smtp_tls_454_4.7.0", "provider")),
    ("tls", 501, "no", Misconfigured("smtp_tls_501")),
    ("auth", 535, "5.7.8 bad credentials", Misconfigured("smtp_auth_535_5.7.8")),
    # the sender
    ("sender", 553, "5.7.1 sender not owned", Misconfigured("smtp_sender_553_5.7.1")),
    ("sender", 552, "5.3.4 too big", Refused("smtp_sender_552_5.3.4", "soft")),
    # the address is no good
    ("recipient", 550, "5.1.1 no such user", Refused("smtp_recipient_550_5.1.1", "hard")),
    ("recipient", 556, "5.1.10 null mx", Refused("smtp_recipient_556_5.1.10", "hard")),
    ("recipient", 550, "5.2.1 disabled", Refused("smtp_recipient_550_5.2.1", "hard")),
    ("recipient", 553, "bad mailbox name", Refused("smtp_recipient_553", "hard")),
    # the address may be good
    ("recipient", 550, "5.7.1 blocked", Refused("smtp_recipient_550_5.7.1", "soft")),
    ("recipient", 552, "5.2.2 full", Refused("smtp_recipient_552_5.2.2", "soft")),
    ("recipient", 554, "relay access denied", Refused("smtp_recipient_554", "soft")),
    ("recipient", 530, "5.7.0 authenticate first", Misconfigured("smtp_recipient_530_5.7.0")),
    ("recipient", 450, "4.2.0 greylisted", RetryAfter(300_000, "smtp_recipient_450_4.2.0")),
    ("recipient", 452, "4.5.3 too many", RetryAfter(60_000, "smtp_recipient_452_4.5.3")),
    # the mail
    ("body", 554, "5.7.1 spam", Refused("smtp_body_554_5.7.1", "soft")),
    ("body", 451, "4.3.0 later", RetryAfter(60_000, "smtp_body_451_4.3.0")),
    ("data", 503, "bad sequence", Misconfigured("smtp_data_503")),
    # an enhanced code that contradicts the code is not believed
    ("recipient", 550, "2.1.5 ok", Refused("smtp_recipient_550", "hard")),
    # answers that are neither yes nor no
    ("recipient", 299, "", RetryAfter(60_000, "smtp_recipient_299")),
    ("body", -1, "garbage", Unknown("smtp_body_-1")),
]


@pytest.mark.parametrize(("phase", "code", "text", "expected"), MEANINGS)
def test_an_answer_means_one_thing(phase: Phase, code: int, text: str, expected: DeliveryResult) -> None:
    """Where in the conversation it comes, its code and its enhanced code decide."""
    assert meaning(phase, code, text) == expected


def test_only_after_the_mail_went_out_is_a_lost_connection_unknown() -> None:
    """Everything before is certainly not sent and tried again."""
    phases: list[Phase] = ["connect", "tls", "auth", "sender", "recipient", "data"]
    for number, phase in enumerate(phases):
        # Up to the login it is the server's fault, then perhaps this mail's.
        about: Literal["message", "provider"] = "provider" if number <= 2 else "message"
        assert lost(phase, "disconnected") == RetryAfter(60_000, f"smtp_{phase}_disconnected", about)
        assert lost(phase, "timeout") == RetryAfter(60_000, f"smtp_{phase}_timeout", "provider")
    assert lost("body", "timeout") == Unknown("smtp_body_timeout")


BAD_SETTINGS = [
    ({"port": 0}, "port 0"),
    ({"host": ""}, "mail server ''"),
    ({"tls": "maybe"}, "tls is none, starttls or implicit"),
    ({"username": "u"}, "come together"),
    ({"username": "u", "password": "p", "tls": "none"}, "password is not sent without tls"),
    ({"connections": 0}, "connections is 0"),
    ({"deadline_ms": 0}, "deadline_ms is 0"),
]


@pytest.mark.parametrize(("changes", "text"), BAD_SETTINGS)
def test_a_wrong_setting_is_refused_with_its_name(changes: dict[str, Any], text: str) -> None:
    """A worker with a wrong mail server says so when it starts."""
    with pytest.raises(MisconfiguredError, match=text):
        SmtpSettings(**{"host": "mail.example.com", "port": 587, **changes})
