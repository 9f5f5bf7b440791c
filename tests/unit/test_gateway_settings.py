"""From settings and workspace to what a gateway is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from schemas.workspace import ConsentSettings, Segment, Workspace
from workers import gateway_settings
from workers.core.token_bucket import Rate
from workers.errors import Misconfigured
from workers.intake.keys import make_key
from workers.intake.settings import Asks, Topics
from workers.settings import from_env

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "s" * 32
KEY, CONFIGURED = make_key("crm", ["people:write"], b"r" * 32)
OTHER, SECOND = make_key("shop", ["objects:write", "events:write"], b"s" * 32)

WORKSPACE = Workspace(
    name="test",
    consent=ConsentSettings(topics={"news": "News"}),
    segments=(Segment(segment="vip", static=True),),
    templates={"a": {"channel": "in_app", "fields": {}}, "b": {"channel": "webhook", "fields": {}}},
)

KNOWN = gateway_settings.Known(lambda: WORKSPACE)
NOTHING = gateway_settings.Known(lambda: None)


def test_what_is_known_follows_the_workspace_in_force() -> None:
    """None yet, then one, then the next that was published: for the API and for the preference page."""
    running: list[Workspace | None] = [None]
    known = gateway_settings.Known(lambda: running[0])
    assert (known.definitions(), known.asks()) == (None, Asks())
    running[0] = WORKSPACE
    first = known.definitions()
    assert first is not None
    assert first.lists == {"vip": "user"}
    assert known.asks().topics == {"news": "News"}
    running[0] = Workspace(name="test", consent=ConsentSettings(topics={"tips": "Tips"}))
    second = known.definitions()
    assert second is not None
    assert second.consent_topics == {"tips"}
    assert not second.lists
    assert known.asks() == Asks(("email",), {"tips": "Tips"})
    assert known.definitions() is second


def test_keys_come_from_the_environment_and_from_a_file(tmp_path: Path) -> None:
    """Both together."""
    file = tmp_path / "keys"
    file.write_text(f"# ours\n{SECOND.line()}\n")
    env = {"BRIMFUL_API_KEYS": CONFIGURED.line(), "BRIMFUL_API_KEYS_FILE": str(file)}
    settings = gateway_settings.api_settings(from_env(env), KNOWN)
    assert settings is not None
    assert settings.keys == (CONFIGURED, SECOND)
    found = settings.definitions()
    assert found is not None
    assert found.consent_topics == {"news"}
    assert found.lists == {"vip": "user"}


def test_without_keys_there_is_no_api_and_without_a_workspace_no_checks() -> None:
    """Nothing is open that nobody configured."""
    assert gateway_settings.api_settings(from_env({}), KNOWN) is None
    settings = gateway_settings.api_settings(from_env({"BRIMFUL_API_KEYS": CONFIGURED.line()}), NOTHING)
    assert settings is not None
    assert settings.definitions() is None


def test_a_wrong_file_is_named_with_its_line(tmp_path: Path) -> None:
    """Whether it is not there or not right; what may be a key is not repeated."""
    file = tmp_path / "keys"
    settings = from_env({"BRIMFUL_API_KEYS_FILE": str(file)})
    with pytest.raises(Misconfigured, match="BRIMFUL_API_KEYS_FILE"):
        gateway_settings.api_settings(settings, NOTHING)
    file.write_text(f"{CONFIGURED.line()}\nshop={OTHER}\n")
    with pytest.raises(Misconfigured, match="line 2") as refused:
        gateway_settings.api_settings(settings, NOTHING)
    assert OTHER not in str(refused.value)


def test_links_know_the_former_secrets_and_the_channels_of_the_workspace() -> None:
    """E-mail always: every e-mail links to the page. Nobody reads a webhook."""
    settings = from_env({"BRIMFUL_SECRET": SECRET, "BRIMFUL_PREVIOUS_SECRETS": f"{'o' * 32},{'p' * 32}"})
    links = gateway_settings.message_links(settings, KNOWN)
    assert links.keys == (SECRET.encode(), b"o" * 32, b"p" * 32)
    assert links.asks() == Asks(("email", "in_app"), {"news": "News"})
    assert gateway_settings.message_links(settings, NOTHING).asks().channels == ("email",)
    assert SECRET not in repr(links)


def test_a_former_secret_must_be_long_too() -> None:
    """It signs nothing any more, but what it signed is still good."""
    with pytest.raises(Misconfigured, match="32 bytes"):
        gateway_settings.message_links(
            from_env({"BRIMFUL_SECRET": SECRET, "BRIMFUL_PREVIOUS_SECRETS": "short"}), NOTHING
        )


def test_callbacks_are_there_when_they_have_a_secret() -> None:
    """And verify with each of them."""
    assert gateway_settings.callback_settings(from_env({})) is None
    env = {"BRIMFUL_CALLBACK_SECRETS": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    settings = gateway_settings.callback_settings(from_env(env))
    assert settings is not None
    assert [provider.name for provider in settings.providers] == ["engagement"]


def test_rates_are_off_unless_set() -> None:
    """The burst is what may be sent in ten seconds."""
    assert gateway_settings.rates(from_env({})) == (None, None)
    env = {"BRIMFUL_WRITE_KEY_RATE": "100", "BRIMFUL_API_KEY_RATE": "0.05"}
    assert gateway_settings.rates(from_env(env)) == (Rate(100, 1000), Rate(0.05, 1))


def test_every_topic_gets_the_prefix() -> None:
    """One that did not would be written into somebody else's."""
    topics = gateway_settings.gateway_topics(lambda name: f"eu.{name}")
    plain = Topics()
    for name in Topics.__dataclass_fields__:
        assert getattr(topics, name) == f"eu.{getattr(plain, name)}"


@pytest.mark.parametrize("origin", ["app.example.com", "https://app.example.com/", "https://", "null"])
def test_a_wrong_origin_is_refused(origin: str) -> None:
    """It would match no page, and nobody would know why."""
    with pytest.raises(Misconfigured, match="BRIMFUL_CORS_ORIGINS"):
        from_env({"BRIMFUL_CORS_ORIGINS": origin})
    from_env({"BRIMFUL_CORS_ORIGINS": "https://app.example.com,http://localhost:3000"})
