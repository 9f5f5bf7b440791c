"""Consent as files and commands say it: topics, what lint refuses, lists of other systems."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pytest reads it at run time
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from typer.testing import CliRunner

from schemas import wire
from tests.unit.workspace.test_workspace import GOOD, folder
from workers.cli import consent as consent_commands
from workers.cli.consent import changes, cli
from workers.errors import Misconfigured
from workers.workspace.files import BadWorkspace, load_workspace

if TYPE_CHECKING:
    from workers.imports.rows import Sent

TOPICS = "consent:\n  topics:\n    product_news: News about the product\n"


def workspace(tmp_path: Path, condition: str, journey: str = GOOD, settings: str = TOPICS) -> Path:
    """A workspace whose journey asks for this."""
    path = folder(tmp_path, journey.replace("steps:", f"  require: [{condition}]\nsteps:", 1))
    (path / "workspace.yaml").write_text(settings)
    return path


def test_a_journey_asks_for_a_topic_that_is_declared(tmp_path: Path) -> None:
    """Topics have names for definitions and titles for people."""
    loaded = load_workspace(workspace(tmp_path, "{consent: {channel: email, topic: product_news}}"))
    assert loaded.workspace.consent.topics == {"product_news": "News about the product"}


@pytest.mark.parametrize(
    ("condition", "settings", "field", "says"),
    [
        (
            "{consent: {channel: email, topic: product_new}}",
            TOPICS,
            "entry.require[0].consent.topic",
            "no consent topic 'product_new' in workspace.yaml; there are product_news",
        ),
        ("{consent: {channel: email, topic: x}}", "", "entry.require[0].consent.topic", "there are none"),
        ("{consent: {channel: fax}}", TOPICS, "entry.require[0].consent.channel", "'email', 'sms'"),
        ("{trait: x, eq: 1}", "consent: {topics: {News: n}}", "consent.topics.News", "small letters"),
        ("{trait: x, eq: 1}", "consent: {topics: {news: ''}}", "consent.topics.news", "at least 1 character"),
    ],
)
def test_what_consent_cannot_be_is_refused_at_its_place(
    tmp_path: Path, condition: str, settings: str, field: str, says: str
) -> None:
    """A topic with a typo would let nobody in, or everybody."""
    with pytest.raises(BadWorkspace) as refused:
        load_workspace(workspace(tmp_path, condition, settings=settings or "timezone: UTC"))
    (problem,) = refused.value.problems
    assert problem.field == field
    assert says in problem.detail


def test_accounts_do_not_consent(tmp_path: Path) -> None:
    """Each member does."""
    journey = GOOD.replace("subject: user", "subject: account\nrecipients: {role: owner}", 1)
    with pytest.raises(BadWorkspace, match="people consent, accounts do not"):
        load_workspace(workspace(tmp_path, "{consent: {channel: email}}", journey))


def test_the_same_list_gives_the_same_records() -> None:
    """So that a command that broke off may be given again."""
    first = list(changes(["u1", "u2"], "opted_out", "sms", None, "list", 7))
    assert first == list(changes(["u1", "u2"], "opted_out", "sms", None, "list", 7))
    assert len({one.id for one in first}) == 2


class _Output:
    """Remembers what would be produced."""

    sent: ClassVar[list[Sent]] = []

    def __init__(self, *_: Any) -> None:
        type(self).sent = []

    def send(self, chunk: list[Sent]) -> None:
        """Remember."""
        self.sent.extend(chunk)


def test_a_list_becomes_a_record_for_each_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keyed by the person, with the moment that they said it."""
    monkeypatch.setattr(consent_commands, "KafkaOutput", _Output)
    ids = tmp_path / "ids"
    ids.write_text("u1\n\nu2\n")
    result = CliRunner().invoke(
        cli, ["opt-out", str(ids), "--channel", "email", "--at", "2026-03-14T10:00:00"]
    )
    assert result.exit_code == 0, result.output
    records: list[Any] = [wire.decode_scheduler(one.value) for one in _Output.sent]
    assert [one.key for one in _Output.sent] == [b"u1", b"u2"]
    assert {(one.state, one.channel, one.at_ms) for one in records} == {
        ("opted_out", "email", 1_773_482_400_000)
    }


def test_a_list_of_an_unknown_channel_or_topic_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is sent."""
    ids = tmp_path / "ids"
    ids.write_text("u1\n")
    assert CliRunner().invoke(cli, ["opt-in", str(ids), "--channel", "fax"]).exit_code == 2
    assert CliRunner().invoke(cli, ["opt-in", str(ids), "--topic", "news"]).exit_code == 2
    monkeypatch.setenv("BRIMFUL_WORKSPACE", str(workspace(tmp_path, "{trait: x, eq: 1}")))
    asked = ["opt-in", str(ids), "--channel", "email", "--topic", "offers"]
    with pytest.raises(Misconfigured, match="there are product_news"):
        CliRunner().invoke(cli, asked, catch_exceptions=False)
