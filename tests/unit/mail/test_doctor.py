"""What is found of a set-up, by what DNS says; each finding has its remedy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from tests.support.smtp import smtp_server
from tests.unit.mail.test_dkim import SIGNER, mail
from tests.unit.test_email_settings import settings
from workers.cli.mail import _server, examine
from workers.mail.doctor import DnsFailed, Setup, check_headers, diagnose
from workers.senders.channels.smtp_pool import SmtpSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

GOOD = {
    ("example.com", "TXT"): ["google-site-verification=x", "v=spf1 ip4:192.0.2.1 include:a.example -all"],
    ("a.example", "TXT"): ["v=spf1 a mx ~all"],
    (SIGNER.record_name, "TXT"): [SIGNER.record],
    ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=reject; rua=mailto:d@example.com"],
    ("example.com", "MX"): ["mx.example.com"],
    ("mx.example.com", "A"): ["8.8.8.8"],
    ("8.8.8.8.in-addr.arpa", "PTR"): ["mx.example.com"],
}
SETUP = Setup("example.com", "example.com", SIGNER, "mx.example.com")


@dataclass
class Dns:
    """A resolver that knows what it is told, and fails for some names."""

    records: dict[tuple[str, str], list[str]] = field(default_factory=lambda: dict(GOOD))
    broken: frozenset[str] = frozenset()

    def lookup(self, name: str, kind: str) -> Sequence[str]:
        """As the real one."""
        if name in self.broken:
            raise DnsFailed(f"{kind} of {name}")
        return self.records.get((name, kind), [])


def test_a_good_set_up_has_nothing_to_mend() -> None:
    """Each subject is looked at."""
    findings = diagnose(SETUP, Dns())
    assert {one.level for one in findings} == {"ok"}
    assert [one.subject for one in findings] == ["SPF", "DKIM", "DMARC", "alignment", "MX", "PTR"]


TXT = "TXT"
SPF, DMARC, KEY = ("example.com", TXT), ("_dmarc.example.com", TXT), (SIGNER.record_name, TXT)
LOOP = [f"v=spf1 {' '.join(f'a:h{n}.example' for n in range(11))} -all"]


@pytest.mark.parametrize(
    ("place", "records", "level", "text"),
    [
        (SPF, [], "problem", "no SPF record"),
        (SPF, ["v=spf1 -all"] * 2, "problem", "2 SPF records"),
        (SPF, ["v=spf1 +all"], "problem", "everybody"),
        (SPF, ["v=spf1 mx"], "warning", "other servers"),
        (SPF, LOOP, "problem", "more than 10"),
        (SPF, ["v=spf1 include:example.com -all"], "ok", "1 look-up(s)"),
        (KEY, [], "problem", "has no key"),
        (KEY, ["v=DKIM1; p="], "problem", "revoked"),
        (KEY, ["v=DKIM1; p=AAAA"], "problem", "another key"),
        (KEY, ["v=DKIM1; p=!"], "problem", "another key"),
        (KEY, [f"{SIGNER.record}; t=y"], "warning", "t=y"),
        (DMARC, [], "problem", "has none"),
        (DMARC, ["v=DMARC1; p=none; rua=mailto:x@y.z"], "warning", "p=none"),
        (DMARC, ["v=DMARC1; p=reject"], "warning", "no reports"),
        (DMARC, ["v=DMARC1"], "problem", "no valid policy"),
        (DMARC, ["v=DMARC1; p=none"] * 2, "problem", "count as none"),
        (("example.com", "MX"), [], "problem", "no mail server"),
        (("example.com", "MX"), ["."], "problem", "takes no mail"),
        (("8.8.8.8.in-addr.arpa", "PTR"), [], "problem", "leads back"),
        (("8.8.8.8.in-addr.arpa", "PTR"), ["other.example"], "problem", "leads back"),
        (("mx.example.com", "A"), ["10.0.0.1"], "warning", "private"),
    ],
)
def test_each_fault_is_found(place: tuple[str, str], records: list[str], level: str, text: str) -> None:
    """With what to do about it; the rest stays as it is."""
    dns = Dns({**GOOD, place: records})
    (found,) = [one for one in diagnose(SETUP, dns) if text in one.text]
    assert found.level == level
    assert bool(found.remedy) is (level != "ok")


def test_a_policy_of_the_domain_above_counts() -> None:
    """As DMARC has it; so does alignment."""
    setup = replace(SETUP, from_domain="mail.example.com")
    found = {
        one.subject: one.level for one in diagnose(setup, Dns({**GOOD, ("mail.example.com", "MX"): ["m"]}))
    }
    assert found["DMARC"] == found["alignment"] == "ok"


def test_a_sender_that_nobody_vouches_for_is_a_problem() -> None:
    """Neither signature nor return path."""
    setup = replace(SETUP, from_domain="example.org", signer=None)
    found = {one.subject: one.level for one in diagnose(setup, Dns())}
    assert (found["DKIM"], found["alignment"]) == ("warning", "problem")


def test_a_dns_that_fails_is_no_missing_record() -> None:
    """The other checks go on."""
    found = {one.subject: one for one in diagnose(SETUP, Dns(broken=frozenset({"example.com"})))}
    assert "does not answer" in found["SPF"].text
    assert found["DKIM"].level == "ok"


def test_headers_are_checked_in_a_signed_mail() -> None:
    """A mail without them, or with them unsigned, does not pass."""
    signed = mail()
    assert [one.level for one in check_headers(signed)] == ["ok"]
    assert check_headers(signed.replace(b"List-Unsubscribe-Post:", b"X:"))[0].level == "problem"
    assert check_headers(signed.replace(b"list-unsubscribe-post", b"x"))[0].level == "problem"


async def test_the_mail_server_is_tried() -> None:
    """One that is there, one without TLS, and one that is away."""
    async with smtp_server() as server:
        plain = SmtpSettings(host="127.0.0.1", port=server.port, tls="none")
        assert [one.level for one in await _server(plain)] == ["ok"]
        (found,) = await _server(replace(plain, tls="starttls"))
        assert (found.level, "smtp_tls" in found.text) == ("problem", True)
        assert server.script.mails == []
    (found,) = await _server(plain)
    assert "smtp_connect_unreachable" in found.text


def test_settings_are_examined_as_a_whole() -> None:
    """The sample's unsubscribe page must be https."""
    some = settings(smtp="smtp://127.0.0.1:1", mail_from="a@example.com", public_url="http://h.example")
    found = {one.subject: one.level for one in examine(some, Dns(), 0)}
    assert found["headers"] == found["server"] == "problem"
    assert found["SPF"] == "ok"
