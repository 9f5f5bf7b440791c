"""HubSpot and Salesforce: what is written, what a repeat changes, and what their refusals mean."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from tests.contract.test_webhook_channels import LOOPBACK, Bench, serving
from tests.support.http import http_server
from tests.support.providers import HubSpotServer, SalesforceServer, answer, now_ms
from workers.clock import FixedClock
from workers.errors import Misconfigured as MisconfiguredError
from workers.senders.channels.base import (
    Accepted,
    DeliveryResult,
    Misconfigured,
    Refused,
    RetryAfter,
)
from workers.senders.channels.salesforce import Salesforce
from workers.senders.connections import SalesforceConnection
from workers.senders.http.client import HttpClient

LEAD: dict[str, Any] = {
    "contact": {"email": "ada@example.com", "properties": {"firstname": "Ada", "plan": "pro"}},
    "company": {"domain": "example.com", "properties": {"mrr": 1200, "seats_full": True}},
    "deal": {"properties": {"dealname": "Example: more seats", "amount": 300.5, "hubspot_owner_id": "7"}},
    "task": {"subject": "Call Ada", "owner": "7", "due_in_hours": 4},
    "note": {
        "body": "Reached the limit of seats twice in 21 days.",
        "chart": {"title": "Seats", "values": [3, 4, 5], "limit": 5},
    },
}


async def test_hubspot_gets_all_records_and_their_associations() -> None:
    """Values as texts, the message's id on what there is one of per message."""
    async with serving("hubspot") as bench:
        result = await bench.send("m1", **LEAD)
        hub = bench.provider
        assert isinstance(hub, HubSpotServer)
        assert result == Accepted("notes:notes-1")
        (contact,), (company,) = hub.objects["contacts"].values(), hub.objects["companies"].values()
        (deal,), (task,) = hub.objects["deals"].values(), hub.objects["tasks"].values()
        assert contact == {"email": "ada@example.com", "firstname": "Ada", "plan": "pro"}
        assert company == {"domain": "example.com", "mrr": "1200", "seats_full": "true"}
        assert deal["brimful_message_id"] == task["brimful_message_id"] == "m1"
        assert (deal["amount"], task["hubspot_owner_id"]) == ("300.5", "7")
        assert abs(int(task["hs_timestamp"]) - now_ms() - 4 * 3_600_000) < 60_000
        assert hub.associations >= {
            ("contacts", "contacts-1", "companies", "companies-1"),
            ("deals", "deals-1", "contacts", "contacts-1"),
            ("deals", "deals-1", "companies", "companies-1"),
            ("tasks", "tasks-1", "deals", "deals-1"),
            ("notes", "notes-1", "deals", "deals-1"),
        }


async def test_a_lead_that_breaks_off_anywhere_is_completed_by_the_next_attempt() -> None:
    """The answer of each call in turn is lost: one of everything all the same."""
    async with serving("hubspot") as probe:
        await probe.send("m1", **LEAD)
        calls = len(probe.server.requests)
    assert calls > 12
    for cut in range(calls):
        async with serving("hubspot") as bench:
            hub = bench.provider
            assert isinstance(hub, HubSpotServer)
            seen = 0

            def lose(cut: int = cut) -> Any:
                nonlocal seen
                seen += 1
                return "cut_after" if seen == cut + 1 else None

            hub.chance = lose
            await bench.send("m1", **LEAD)
            assert isinstance(await bench.send("m1", **LEAD), Accepted)
            assert {kind: len(rows) for kind, rows in hub.objects.items()} == dict.fromkeys(
                ("contacts", "companies", "deals", "tasks", "notes"), 1
            )


async def test_a_chart_is_attached_to_the_note() -> None:
    """A private file of its own per message; numbers that cannot be drawn stop the message."""
    async with serving("hubspot") as bench:
        hub = bench.provider
        assert isinstance(hub, HubSpotServer)
        await bench.send("m1", **LEAD)
        await bench.send("m1", **LEAD)
        (note,) = hub.objects["notes"].values()
        assert note["hs_attachment_ids"] == "usage-m1.svg"
        ((name, svg),) = hub.files.items()
        assert name == "usage-m1.svg"
        assert svg.startswith(b"<svg")
        assert svg.endswith(b"</svg>")
        for values in (["many"], [], "text", [-1]):
            wrong = {"note": {"body": "x", "chart": {"title": "t", "values": values}}}
            assert await bench.send("m2", **wrong) == Refused("hubspot_chart", "soft")


async def test_two_messages_are_two_deals_of_one_company() -> None:
    """The company is found by its domain and updated."""
    async with serving("hubspot") as bench:
        await bench.send("m1", **LEAD)
        await bench.send("m2", **{**LEAD, "company": {"domain": "example.com", "properties": {"mrr": 1500}}})
        hub = bench.provider
        assert isinstance(hub, HubSpotServer)
        assert {kind: len(rows) for kind, rows in hub.objects.items()} == {
            "contacts": 1, "companies": 1, "deals": 2, "tasks": 2, "notes": 2,
        }  # fmt: skip
        assert hub.objects["companies"]["companies-1"]["mrr"] == "1500"


HUBSPOT: list[tuple[int, Any, DeliveryResult]] = [
    (429, {"policyName": "SECONDLY"}, RetryAfter(1_000, "hubspot_429_secondly", "rate")),
    (
        429,
        {"policyName": "TEN_SECONDLY_ROLLING"},
        RetryAfter(10_000, "hubspot_429_ten_secondly_rolling", "rate"),
    ),
    (429, {"policyName": "DAILY"}, RetryAfter(3_600_000, "hubspot_429_daily", "rate")),
    (429, None, RetryAfter(30_000, "hubspot_429_rate", "rate")),
    (400, {"errors": [{"code": "PROPERTY_DOESNT_EXIST"}]}, Misconfigured("hubspot_property", "message")),
    (400, {"category": "VALIDATION_ERROR"}, Refused("hubspot_invalid", "soft")),
    (409, {"category": "CONFLICT"}, RetryAfter(250, "hubspot_409", "message")),
    (207, {"errors": [{"category": "VALIDATION_ERROR"}]}, Refused("hubspot_invalid", "soft")),
]


@pytest.mark.parametrize(("status", "body", "expected"), HUBSPOT)
async def test_a_refusal_of_hubspot_has_its_meaning(status: int, body: Any, expected: DeliveryResult) -> None:
    """One row, one rule."""
    async with serving("hubspot") as bench:
        bench.provider.faults.append(answer(status, body))
        assert await bench.send() == expected


async def test_a_property_that_does_not_exist_stops_this_template_only() -> None:
    """Others of the connection leave."""
    async with serving("hubspot") as bench:
        assert isinstance(bench.provider, HubSpotServer)
        bench.provider.properties.add("plan")
        wrong = {"deal": {"properties": {"plan": "pro"}}}
        assert await bench.send("m1", **wrong) == Misconfigured("hubspot_property", "message")
        assert isinstance(await bench.send("m2"), Accepted)


RECORDS: dict[str, Any] = {
    "records": [
        {"object": "Account", "key": {"Brimful_Id__c": "acme/1"}, "fields": {"Name": "Acme", "MRR__c": 1200}},
        {"object": "Contact", "key": {"Brimful_Id__c": "u1"}, "links": {"AccountId": "Account"}},
        {
            "object": "Task",
            "key": {"Brimful_Id__c": "m1"},
            "fields": {"Subject": "Call Ada", "OwnerId": "005"},
            "links": {"WhatId": "Account", "WhoId": "Contact"},
        },
    ]
}


async def test_salesforce_gets_records_that_refer_to_each_other() -> None:
    """Each by its external id, with one login for all."""
    async with serving("salesforce") as bench:
        force = bench.provider
        assert isinstance(force, SalesforceServer)
        result = await bench.send(**RECORDS)
        assert result == Accepted(force.ids["Task", "m1"])
        assert force.records["Task", "m1"] == {
            "Subject": "Call Ada",
            "OwnerId": "005",
            "WhatId": force.ids["Account", "acme/1"],
            "WhoId": force.ids["Contact", "u1"],
        }
        assert force.records["Account", "acme/1"]["MRR__c"] == 1200
        await bench.send(**RECORDS)
        assert len(force.records) == 3
        assert force.issued == 1


async def test_a_session_that_ended_is_renewed_once() -> None:
    """Nobody notices; a session that is refused again at once is a matter for a person."""
    async with serving("salesforce") as bench:
        force = bench.provider
        assert isinstance(force, SalesforceServer)
        assert isinstance(await bench.send(), Accepted)
        force.expire()
        assert isinstance(await bench.send("m2"), Accepted)
        assert force.issued == 2
        force.faults.extend([answer(401, [{"errorCode": "INVALID_SESSION_ID"}])] * 2)
        assert await bench.send("m3") == Misconfigured("salesforce_invalid_session_id")
        assert force.issued == 3


async def test_a_login_that_is_refused_is_a_setting() -> None:
    """One that fails is tried again; nothing was sent in either case."""
    async with serving("salesforce") as bench:
        force = bench.provider
        assert isinstance(force, SalesforceServer)
        force.login_faults.extend([answer(500), "cut_after", answer(400, {"error": "invalid_grant"})])
        for expected in (RetryAfter, RetryAfter, Misconfigured, Accepted):
            assert type(await bench.send()) is expected


SALESFORCE: list[tuple[int, str, DeliveryResult]] = [
    (403, "REQUEST_LIMIT_EXCEEDED", RetryAfter(3_600_000, "salesforce_request_limit_exceeded", "rate")),
    (400, "UNABLE_TO_LOCK_ROW", RetryAfter(250, "salesforce_unable_to_lock_row", "message")),
    (503, "SERVER_UNAVAILABLE", RetryAfter(250, "salesforce_server_unavailable", "provider")),
    (400, "INVALID_FIELD", Misconfigured("salesforce_invalid_field", "message")),
    (404, "NOT_FOUND", Misconfigured("salesforce_not_found", "message")),
    (400, "REQUIRED_FIELD_MISSING", Misconfigured("salesforce_required_field_missing", "message")),
    (403, "API_DISABLED_FOR_ORG", Misconfigured("salesforce_api_disabled_for_org")),
    (400, "DUPLICATE_VALUE", RetryAfter(250, "salesforce_duplicate_value", "message")),
    (400, "DUPLICATES_DETECTED", Refused("salesforce_duplicates_detected", "soft")),
    (300, "", Misconfigured("http_300_redirect")),
]


@pytest.mark.parametrize(("status", "code", "expected"), SALESFORCE, ids=[row[1] for row in SALESFORCE])
async def test_a_refusal_of_salesforce_has_its_meaning(
    status: int, code: str, expected: DeliveryResult
) -> None:
    """One row, one rule."""
    async with serving("salesforce") as bench:
        bench.provider.faults.append(answer(status, [{"errorCode": code, "message": "secret words"}]))
        assert await bench.send() == expected


async def test_salesforce_by_a_signed_claim() -> None:
    """The JWT bearer flow; a key that is none is refused at the start."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    force = SalesforceServer()
    async with http_server(force.handle) as server:
        force.url = server.url
        client = HttpClient(LOOPBACK)
        fields: dict[str, Any] = {
            "provider": "salesforce",
            "login": server.url,
            "client_id": "c",
            "username": "u",
        }
        connection = SalesforceConnection(**fields, private_key=SecretStr(pem))
        channel = Salesforce(connection, client, FixedClock(now_ms()))
        result = await Bench(channel, force, server, lambda _: RECORDS).send()
        assert isinstance(result, Accepted)
        with pytest.raises(MisconfiguredError, match="RSA key"):
            Salesforce(SalesforceConnection(**fields, private_key=SecretStr("x")), client, FixedClock(0))
        await client.close()
