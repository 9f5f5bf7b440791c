"""Settings from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from workers.errors import Misconfigured
from workers.settings import Settings, from_env

SECRET = "s" * 32


def test_nothing_set_is_a_worker_on_this_machine() -> None:
    """Every setting has a default, except for the secret; other programs' variables are none of ours."""
    settings = from_env({"PATH": "/bin", "KAFKA": "x"})
    assert settings == Settings()
    assert settings.kafka == "127.0.0.1:9092"
    assert settings.secret is None


def test_what_is_set_is_read_in_its_type() -> None:
    """Numbers, paths, lists and pairs from plain texts."""
    settings = from_env(
        {
            "BRIMFUL_KAFKA": "a:9092,[::1]:9093",
            "BRIMFUL_STATE_DIR": "/var/lib/brimful",
            "BRIMFUL_BATCH_RECORDS": "100",
            "BRIMFUL_DEAD_LETTER_SHARE": "0.25",
            "BRIMFUL_CORS_ORIGINS": "https://a.example, https://b.example,",
            "BRIMFUL_WRITE_KEYS": "web=abc, backend=d=e",
            "BRIMFUL_STRIPE_WEBHOOK_SECRETS": "whsec_a, whsec_b",
            "BRIMFUL_STRIPE_ACCOUNT_FROM": "metadata.org,customer",
            "BRIMFUL_SECRET": SECRET,
            "BRIMFUL_TEST_REQUIRE": "1",
        }
    )
    assert settings.kafka == "a:9092,[::1]:9093"
    assert settings.state_dir == Path("/var/lib/brimful")
    assert (settings.batch_records, settings.dead_letter_share) == (100, 0.25)
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert {name: key.get_secret_value() for name, key in settings.write_keys.items()} == {
        "web": "abc",
        "backend": "d=e",
    }
    assert [one.get_secret_value() for one in settings.stripe_webhook_secrets] == ["whsec_a", "whsec_b"]
    assert settings.stripe_account_from == ("metadata.org", "customer")
    assert settings.secret_bytes() == SECRET.encode()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        # no port
        ("KAFKA", "broker", "is not host:port"),
        # a port that no machine has
        ("KAFKA", "a:1,b:65536", "is not host:port, with a port of 1 to 65535"),
        # a blank between the servers
        ("KAFKA", "a:1, b:2", "is not host:port"),
        ("KAFKA_SECURITY", "plain", "PLAINTEXT"),
        # a topic's name takes no slash
        ("TOPIC_PREFIX", "a/b", "pattern"),
        ("BATCH_RECORDS", "0", "greater than or equal to 1"),
        ("BATCH_RECORDS", "many", "valid integer"),
        # a share of nothing would stop at the first bad record
        ("DEAD_LETTER_SHARE", "0", "greater than 0"),
        ("DEAD_LETTER_SHARE", "1.5", "less than or equal to 1"),
        # below what brokers allow
        ("SESSION_TIMEOUT_S", "5", "greater than or equal to 6"),
        ("HTTP_PORT", "70000", "less than or equal to 65535"),
        ("WRITE_KEYS", "web", "SOURCE=KEY"),
        ("WRITE_KEYS", "=key", "SOURCE=KEY"),
        ("SECRET", "short", "at least 32 bytes"),
        ("SMTP", "mail.example.com:25", "must be smtp://"),
        ("STRIPE_SUBJECT", "company", "account"),
        ("STRIPE_ACCOUNT_FROM", "metadata", "is none of metadata.KEY"),
        ("STRIPE_ACCOUNT_FROM", ",", "must name at least one place"),
        ("LOG_LEVEL", "loud", "debug"),
    ],
)
def test_a_wrong_value_is_refused_with_its_variables_name(name: str, value: str, told: str) -> None:
    """And with what it must be."""
    with pytest.raises(Misconfigured, match="wrong settings") as caught:
        from_env({"BRIMFUL_" + name: value})
    assert f"BRIMFUL_{name}: " in str(caught.value)
    assert told in str(caught.value)


def test_all_wrong_values_are_told_at_once() -> None:
    """Nobody starts a process five times for five mistakes."""
    with pytest.raises(Misconfigured) as caught:
        from_env({"BRIMFUL_KAFKA": "x", "BRIMFUL_HTTP_PORT": "x"})
    assert "BRIMFUL_KAFKA" in str(caught.value)
    assert "BRIMFUL_HTTP_PORT" in str(caught.value)


def test_a_refused_secret_is_not_shown() -> None:
    """An error message ends in logs."""
    with pytest.raises(Misconfigured) as caught:
        from_env({"BRIMFUL_SECRET": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_an_unknown_setting_is_refused() -> None:
    """A typo would silently be the default."""
    with pytest.raises(Misconfigured, match="BRIMFUL_KAFFKA"):
        from_env({"BRIMFUL_KAFFKA": "a:1"})


def test_secrets_are_not_shown() -> None:
    """Settings may be printed and logged."""
    settings = from_env(
        {
            "BRIMFUL_SECRET": SECRET,
            "BRIMFUL_KAFKA_PASSWORD": "hunter2",
            "BRIMFUL_WRITE_KEYS": "web=wk-123",
            "BRIMFUL_STRIPE_WEBHOOK_SECRETS": "whsec_a",
        }
    )
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert SECRET not in shown
        assert "hunter2" not in shown
        assert "wk-123" not in shown
        assert "whsec_a" not in shown


def test_settings_do_not_change() -> None:
    """They are read once."""
    with pytest.raises(ValidationError):
        Settings().kafka = "b:2"  # type: ignore[misc]  # that is what is tested


def test_links_cannot_be_signed_without_a_secret() -> None:
    """Whoever needs it is told which variable to set."""
    with pytest.raises(Misconfigured, match="BRIMFUL_SECRET"):
        Settings().secret_bytes()


def test_former_secrets_come_after_the_present_one() -> None:
    """The first signs; all are read by."""
    settings = from_env({"BRIMFUL_SECRET": SECRET, "BRIMFUL_PREVIOUS_SECRETS": f"{'a' * 32},{'b' * 32}"})
    assert settings.signing_keys() == (SECRET.encode(), b"a" * 32, b"b" * 32)


def test_topics_carry_the_prefix() -> None:
    """So that several installations share a cluster."""
    assert from_env({"BRIMFUL_TOPIC_PREFIX": "eu."}).topic("product-events") == "eu.product-events"


def test_all_clients_get_the_same_security() -> None:
    """librdkafka, aiokafka and Faust: user, password, mechanism, TLS."""
    settings = from_env(
        {
            "BRIMFUL_KAFKA_SECURITY": "SASL_SSL",
            "BRIMFUL_KAFKA_MECHANISM": "SCRAM-SHA-256",
            "BRIMFUL_KAFKA_USERNAME": "brimful",
            "BRIMFUL_KAFKA_PASSWORD": "hunter2",
        }
    )
    assert settings.librdkafka() == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "brimful",
        "sasl.password": "hunter2",
    }
    options = settings.aiokafka()
    assert (options["security_protocol"], options["sasl_mechanism"]) == ("SASL_SSL", "SCRAM-SHA-256")
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("brimful", "hunter2")
    assert options["ssl_context"] is not None
    credentials = settings.faust_credentials()
    assert (credentials.username, credentials.password) == ("brimful", "hunter2")
    assert credentials.protocol.value == "SASL_SSL"


def test_a_cluster_without_security_gets_none() -> None:
    """The default, for a machine of one's own."""
    settings = Settings()
    assert settings.librdkafka() == {"security.protocol": "PLAINTEXT"}
    assert settings.aiokafka() == {"security_protocol": "PLAINTEXT", "ssl_context": None}
    assert settings.faust_credentials() is None
