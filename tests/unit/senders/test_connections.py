"""The file of connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from workers.clock import FixedClock
from workers.core.templates.compile import TemplateSource, compile_templates
from workers.errors import Misconfigured
from workers.senders.connections import read_connections
from workers.senders.webhooks import Webhooks, check_connections

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = """
crm_sync:
  provider: standard
  url: https://receiver.example.com/brimful
  secrets: ["${NEW_SECRET}", whsec_b2xkb2xkb2xkb2xkb2xkb2xkb2xk]
  headers: {X-Api-Key: "${API_KEY}"}
  per_second: 50
sales_slack: {provider: slack, token: "${SLACK_TOKEN}", channel: C0123}
alerts_slack: {provider: slack, url: https://hooks.slack.com/services/T/B/x}
hubspot: {provider: hubspot, token: "${HUBSPOT_TOKEN}", calls_at_once: 4}
salesforce:
  provider: salesforce
  login: https://acme.my.salesforce.com
  client_id: 3MVG
  client_secret: "${SALESFORCE_SECRET}"
"""

ENV = {
    "NEW_SECRET": "whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3",
    "API_KEY": "k",
    "SLACK_TOKEN": "xoxb-SECRET",
    "HUBSPOT_TOKEN": "pat-SECRET",
    "SALESFORCE_SECRET": "SECRET",
}


def written(tmp_path: Path, text: str) -> Path:
    """A file with this text."""
    path = tmp_path / "connections.yaml"
    path.write_text(text)
    return path


async def test_connections_are_read_and_become_channels(tmp_path: Path) -> None:
    """Each with the secrets of the environment, which nobody sees."""
    connections = read_connections(written(tmp_path, WHOLE), ENV)
    webhooks = Webhooks(connections, (), FixedClock(0))
    assert {name: channel.provider for name, channel in webhooks.channels.items()} == {
        "crm_sync": "webhook",
        "sales_slack": "slack",
        "alerts_slack": "slack",
        "hubspot": "hubspot",
        "salesforce": "salesforce",
    }
    limits = {name: channel.limits for name, channel in webhooks.channels.items()}
    assert limits["crm_sync"].per_second == 50
    assert limits["sales_slack"].per_second == 1
    assert limits["hubspot"].calls_at_once == 4
    assert "SECRET" not in repr(connections)
    assert "hooks.slack.com" not in repr(connections)
    await webhooks.close()


MOBILE = """
sms:
  provider: twilio
  account_sid: AC00000000000000000000000000000000
  auth_token: "${SLACK_TOKEN}"
  senders: {US: "+14155550100", GB: ACME, "*": MG11111111111111111111111111111111}
push:
  provider: push
  web: {private_key: "${VAPID}", contact: "mailto:ops@example.com"}
"""

VAPID = "nHUn6GhJpuFEEg_XL7-CKAi6EqUSNYV9ZKBHIyPxKmY"


async def test_text_messages_and_push_have_one_connection_each(tmp_path: Path) -> None:
    """By the names of their channels."""
    connections = read_connections(written(tmp_path, MOBILE), {**ENV, "VAPID": VAPID})
    webhooks = Webhooks(connections, (), FixedClock(0))
    named = {name: (channel.name, channel.provider) for name, channel in webhooks.channels.items()}
    assert named == {"sms": ("sms", "twilio"), "push": ("push", "push")}
    assert VAPID not in repr(connections)
    await webhooks.close()


_SID = "account_sid: AC00000000000000000000000000000000, auth_token: x"
WRONG = [
    ("a: {provider: twilio}", "a: a connection to twilio is called sms"),
    ("sms: {provider: slack, token: x}", "sms: a connection to twilio is called sms"),
    ("push: {provider: push}", "give fcm, web or both"),
    ("push: {provider: push, fcm: {service_account: '{}'}}", "service_account has no project_id"),
    ("push: {provider: push, fcm: {service_account: x}}", "service_account is not the JSON"),
    ("push: {provider: push, web: {private_key: x, contact: ops}}", "push.*contact"),
    ("sms: {provider: twilio, " + _SID + ", senders: {}}", "sms.*senders"),
    ("sms: {provider: twilio, " + _SID + ", senders: {usa: '+1'}}", "a country is two capitals"),
    ("sms: {provider: twilio, " + _SID + ", senders: {US: 'A sender too long'}}", "a sender is"),
    ("sms: {provider: twilio, " + _SID + ", senders: {US: ACME}, api_key: SK1}", "api_key"),
    ("- a", "connections are a mapping"),
    ("a: [", "this is not YAML"),
    ("a: {provider: teams}", "a.*'standard', 'slack'"),
    ("email: {provider: slack, token: x}", "email: a name has"),
    ("A-b: {provider: slack, token: x}", "A-b: a name has"),
    ("a: {provider: slack}", "give a token or a url"),
    ("a: {provider: slack, token: x, url: 'https://hooks.slack.com/x'}", "give a token or a url"),
    ("a: {provider: slack, url: 'https://user@hooks.slack.com/x'}", "url_user"),
    ("a: {provider: slack, token: '${NOBODY}'}", "a.token: the environment has no variable NOBODY"),
    ("a: {provider: standard, url: 'https://e.example/', secrets: []}", "a.secrets"),
    ("a: {provider: standard, url: 'https://0x7f.1/', secrets: [whsec_eA==]}", "a.url.*url_host"),
    ("a: {provider: hubspot, token: x, per_second: 0}", "a.per_second"),
    ("a: {provider: hubspot, token: x, tokn: y}", "a.tokn"),
    ("a: {provider: salesforce, login: 'https://a.example', client_id: x}", "give a client_secret"),
    (
        "a: {provider: salesforce, login: 'https://a.example', client_id: x, private_key: y}",
        "comes with a username",
    ),
    (
        "a: {provider: salesforce, login: 'https://a.example', client_id: x, client_secret: y, version: 62}",
        "a.version",
    ),
]


@pytest.mark.parametrize(("text", "detail"), WRONG, ids=[detail for _, detail in WRONG])
def test_a_wrong_file_names_what_is_wrong(tmp_path: Path, text: str, detail: str) -> None:
    """The connection and the field, never the value."""
    with pytest.raises(Misconfigured, match=detail) as refused:
        read_connections(written(tmp_path, text), {})
    assert "user@" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With its path."""
    with pytest.raises(Misconfigured, match=r"gone\.yaml is not readable"):
        read_connections(tmp_path / "gone.yaml", {})


async def test_a_secret_that_is_none_is_refused_at_the_start(tmp_path: Path) -> None:
    """Not when the first message leaves."""
    text = "a: {provider: standard, url: 'https://e.example/', secrets: [not-base64!]}"
    connections = read_connections(written(tmp_path, text), {})
    with pytest.raises(Misconfigured, match="whsec_"):
        Webhooks(connections, (), FixedClock(0))


def test_each_webhook_has_a_connection_to_its_provider(tmp_path: Path) -> None:
    """A worker does not start with a workspace whose webhooks cannot leave."""
    connections = read_connections(written(tmp_path, WHOLE), ENV)

    def hook(name: str, connection: str) -> TemplateSource:
        fields = {"provider": "slack", "connection": connection, "body": {"text": "x"}}
        return TemplateSource(name, "webhook", fields)

    check_connections(compile_templates([hook("a", "sales_slack")]), connections)
    wrong = compile_templates([hook("a", "sales_slack"), hook("b", "nobody"), hook("c", "hubspot")])
    with pytest.raises(Misconfigured) as refused:
        check_connections(wrong, connections)
    text = str(refused.value)
    assert "'b': there is no connection 'nobody'" in text
    assert "'c' is for slack, and the connection 'hubspot' for hubspot" in text
    assert "'a'" not in text
