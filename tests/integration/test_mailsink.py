"""The mail sink with the real Sendria."""

from __future__ import annotations

import smtplib
from email import message_from_string, policy
from email.message import EmailMessage
from typing import TYPE_CHECKING

import httpx
import pytest

from workers.errors import Retryable
from workers.local.mailsink import MailSink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNSUBSCRIBE = "<https://example.com/u/token>, <mailto:unsubscribe@example.com>"


@pytest.fixture(scope="module")
def sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailSink]:
    """One running sink for the tests that only add messages."""
    with MailSink(tmp_path_factory.mktemp("mail")) as running:
        yield running


def message(subject: str) -> EmailMessage:
    """A multipart message with one-click unsubscribe headers."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "brimful@example.com", "user-1-0@example.com", subject
    mail["List-Unsubscribe"] = UNSUBSCRIBE
    mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content("Your seats are full.")
    mail.add_alternative("<p>Your <b>seats</b> are full.</p>", subtype="html")
    return mail


def send(sink: MailSink, *mails: EmailMessage) -> None:
    """Sends the messages over one connection."""
    with smtplib.SMTP(sink.smtp_host, sink.smtp_port, timeout=10) as smtp:
        for mail in mails:
            smtp.send_message(mail)


def eventually(sink: MailSink, count: int) -> None:
    """Sendria stores what it accepted a moment later; each look is a request to it."""
    for _ in range(2000):
        if sink.count() >= count:
            break
    assert sink.count() == count


def test_a_multipart_message_is_kept_with_both_parts_and_its_unsubscribe_headers(sink: MailSink) -> None:
    """What a person would have received can be read part by part, headers included."""
    before = sink.count()
    send(sink, message("Seats are full"))
    eventually(sink, before + 1)
    listed = httpx.get(f"{sink.http_url}/api/messages/", trust_env=False).json()["data"]
    number = next(item["id"] for item in listed if item["subject"] == "Seats are full")
    part = {
        kind: httpx.get(f"{sink.http_url}/api/messages/{number}.{kind}", trust_env=False).text
        for kind in ("plain", "html", "source")
    }
    assert "Your seats are full." in part["plain"]
    assert "<b>seats</b>" in part["html"]
    source = message_from_string(part["source"], policy=policy.default)
    assert source["List-Unsubscribe"].strip() == UNSUBSCRIBE
    assert source["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert source.get_content_type() == "multipart/alternative"


def test_the_address_shown_to_people_is_a_web_page(sink: MailSink) -> None:
    """A browser pointed at ``http_url`` gets Sendria's page and its scripts."""
    page = httpx.get(sink.http_url, trust_env=False)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "/static/" in page.text


def test_more_than_one_page_of_messages_is_counted(sink: MailSink) -> None:
    """The count is that of all messages, not of the hundred that one answer lists."""
    before = sink.count()
    send(sink, *(message(f"number {number}") for number in range(105)))
    eventually(sink, before + 105)


def test_messages_outlive_a_restart_and_a_stopped_sink_says_so(tmp_path: Path) -> None:
    """Stopping is clean and may be repeated; what was received is there after the next start."""
    sink = MailSink(tmp_path / "mail")
    with sink:
        send(sink, message("kept"))
        eventually(sink, 1)
    sink.stop()
    with pytest.raises(Retryable, match="does not answer"):
        sink.count()
    with sink:
        assert sink.count() == 1


def test_the_home_folder_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sendria's own configuration file goes into the data folder."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    with MailSink(tmp_path / "mail"):
        pass
    assert list(home.iterdir()) == []
