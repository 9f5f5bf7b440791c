"""``brimful template``: what it shows, whom it sends to, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import threading
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from tests.support.smtp import SmtpServer, smtp_server
from workers.cli.templates import allowed, cli
from workers.errors import Misconfigured
from workers.settings import from_env

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = {
    "journeys/hello.yaml": """
journey: hello
subject: user
entry:
  on: {event: limit}
  require: [{performed: limit, at_least: 3, within: 14d}]
goal: {event: upgraded, within: 14d}
steps:
  - send: {email: mail}
""",
    "tracking_plan.yaml": """
events:
  limit: {properties: {kind: {type: string, enum: [seats]}}}
  upgraded: {}
""",
    "templates/mail.yaml": """
channel: email
subject: "{{ event.kind }} used up"
fallback: plain
html: |
  <p>{{ evidence.count }} times in {{ evidence.days }} days, {{ user.first_name | default('you') }}.</p>
  <p>{{ event.price | money('EUR') }}</p>
  <p><a href="{{ unsubscribe_url }}">No more</a></p>
""",
    "templates/mail.de.yaml": """
subject: "{{ event.kind }} aufgebraucht"
html: |
  <p>{{ event.price | money('EUR') }}</p><p><a href="{{ unsubscribe_url }}">Abmelden</a></p>
""",
    "templates/plain.yaml": "channel: email\nsubject: Plain\ntransactional: true\nhtml: <p>Plain</p>\n",
    "templates/text.yaml": "channel: sms\ntext: 'Hi {{ user.first_name }}'\n",
    "templates/note.yaml": "channel: in_app\nform: banner\ntitle: '{{ event.x }}'\nbody: b\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace, which the settings name."""
    for name, text in FILES.items():
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setenv("BRIMFUL_WORKSPACE", str(tmp_path / "shop"))
    return tmp_path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmtpServer]:
    """A mail server in a thread of its own, as the command runs a loop of its own."""
    found: list[SmtpServer] = []
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with smtp_server() as one:
            found.append(one)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    monkeypatch.setenv("BRIMFUL_SMTP", f"smtp://127.0.0.1:{found[0].port}")
    yield found[0]
    done.set()
    thread.join(10)


def call(*words: str) -> Any:
    """The command's result; an error of ours is raised."""
    result = CliRunner().invoke(cli, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_preview_needs_nothing_but_the_workspace(folder: Path) -> None:
    """The tracking plan and the journey say what values look like."""
    said = call("preview", "mail").stdout
    assert said.startswith("Subject: seats used up\n")
    assert "3 times in 14 days, Ada." in said
    assert "€1,234.50" in said


def test_a_locale_shows_its_variant(folder: Path) -> None:
    """With its prices."""
    said = call("preview", "mail", "--locale", "de-AT").stdout
    assert said.startswith("Subject: seats aufgebraucht\n")
    assert "€\u00a01.234,50" in said


def test_files_are_written_for_a_browser_and_for_programs(folder: Path) -> None:
    """One of each part, named after the template and the locale."""
    out = folder / "out"
    call("preview", "mail", "--locale", "de", "--out", str(out))
    assert sorted(path.name for path in out.iterdir()) == ["mail.de.html", "mail.de.json", "mail.de.txt"]
    assert "Abmelden</a>" in (out / "mail.de.html").read_text()
    assert json.loads((out / "mail.de.json").read_text())["subject"] == "seats aufgebraucht"
    call("preview", "note", "--out", str(out))
    assert json.loads((out / "note.json").read_text())["form"] == "banner"


def test_a_sample_of_ones_own_fills_in_what_it_says(folder: Path) -> None:
    """What it leaves out is made up."""
    sample = folder / "sample.json"
    sample.write_text('{"event": {"price": 5}, "user": {"first_name": "Grace"}}')
    said = call("preview", "mail", "--sample", str(sample)).stdout
    assert "Grace" in said
    assert "€5.00" in said
    assert said.startswith("Subject: seats used up")


def test_a_fallback_is_said_to_be_one(folder: Path) -> None:
    """Or nobody would notice what is wrong with the template."""
    sample = folder / "sample.json"
    sample.write_text('{"event": {"price": "much"}}')
    result = call("preview", "mail", "--sample", str(sample))
    assert result.stdout.startswith("Subject: Plain")
    assert "a number is formatted, not a str: this is the fallback plain" in result.stderr


def test_values_that_give_no_message_are_an_error(folder: Path) -> None:
    """With the value that is at fault."""
    sample = folder / "sample.json"
    sample.write_text('{"event": {"x": ""}}')
    result = call("preview", "note", "--sample", str(sample))
    assert result.exit_code == 1
    assert "failed: event.x is blank" in result.stderr


def test_a_test_mail_is_marked_and_has_no_effects(
    folder: Path, server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No header takes consent back, none leads a report to a message, and its link is no person's."""
    monkeypatch.setenv("BRIMFUL_TEST_RECIPIENTS", "ada@example.com")
    said = call("send-test", "mail", "--to", "ada@example.com").stdout
    assert said == "sent to ada@example.com: [Test] seats used up\n"
    (mail,) = server.script.mails
    assert isinstance(mail.content, bytes)
    read = message_from_bytes(mail.content, policy=policy.default)
    assert read["Subject"] == "[Test] seats used up"
    assert {"List-Unsubscribe", "List-Unsubscribe-Post", "X-Brimful-Message"}.isdisjoint(read.keys())
    body = read.get_body(("html",))
    assert body is not None
    assert 'href="http://127.0.0.1:8080/u/test"' in body.get_content()


@pytest.mark.parametrize(
    ("to", "allows", "address"),
    [
        ("ada@example.com", "ada@example.com", "ada@example.com"),
        ("Ada <ADA@Example.com>", "ada@example.com", "ADA@example.com"),
        ("ada@example.com", "@example.com,grace@a.example", "ada@example.com"),
        ("ada@example.com", "", "may not get test mails: BRIMFUL_TEST_RECIPIENTS has nobody"),
        ("ada@sub.example.com", "@example.com", "may not get test mails"),
        ("ada@anexample.com", "@example.com", "may not get test mails"),
        ("ada", "@example.com", "is no address"),
        ("a@example.com\nBcc: b@example.com", "@example.com", "is no address"),
    ],
)
def test_only_who_is_allowed_gets_test_mails(
    to: str, allows: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody sends a draft to customers by a slip."""
    settings = from_env({"BRIMFUL_TEST_RECIPIENTS": allows} if allows else {})
    if "@" in address and " " not in address:
        assert allowed(settings, to) == address
        return
    with pytest.raises(Misconfigured, match=address):
        allowed(settings, to)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("preview", "nope"), "there is no template 'nope'; there are mail, note, plain, text"),
        (("preview", "mail", "--locale", "German"), "'German' is no locale"),
        (("preview", "mail", "--sample", "/nowhere.json"), "No such file"),
        (("send-test", "text", "--to", "a@example.com"), "'text' is for sms: only e-mails"),
    ],
)
def test_what_cannot_be_done_is_said(
    folder: Path, words: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is sent."""
    monkeypatch.setenv("BRIMFUL_TEST_RECIPIENTS", "@example.com")
    with pytest.raises(Misconfigured, match=says):
        call(*words)
