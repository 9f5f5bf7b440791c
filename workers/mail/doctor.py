"""Whether mails of this set-up will be believed: SPF, DKIM, DMARC, MX, PTR, alignment, headers.

Every check is a function of what DNS says and of the settings, and gives findings with a remedy each.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from email import message_from_bytes
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from workers.mail.dkim import public_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from workers.mail.dkim import Signer

Level: TypeAlias = Literal["ok", "warning", "problem"]

SPF_LOOKUPS_MAX: Final = 10
"""RFC 7208, 4.6.4: with more, receivers give up."""

BITS_GOOD: Final = 2048


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of a subject, and what to do about it; no remedy where all is well."""

    level: Level
    subject: str
    text: str
    remedy: str = ""


class DnsFailed(Exception):
    """DNS does not answer; what it would say is unknown."""


class Resolver(Protocol):
    """DNS. Texts of TXT are joined; names have no dot at their end."""

    def lookup(self, name: str, kind: Literal["TXT", "MX", "A", "AAAA", "PTR"]) -> Sequence[str]:
        """The records; none where the name or the kind does not exist.

        Raises:
            DnsFailed: nobody answers.
        """
        ...


@dataclass(frozen=True, slots=True)
class Setup:
    """What is checked. ``server`` is the mail server's name; None where a provider sends."""

    from_domain: str
    return_domain: str
    signer: Signer | None
    server: str | None
    spf_include: str | None = None
    """What the provider asks for in SPF, such as ``amazonses.com``."""


def diagnose(setup: Setup, resolver: Resolver) -> list[Finding]:
    """All findings of DNS, subject by subject."""
    findings: list[Finding] = []
    for name, check in (
        ("SPF", _spf),
        ("DKIM", _dkim),
        ("DMARC", _dmarc),
        ("alignment", _alignment),
        ("MX", _mx),
        ("PTR", _ptr),
    ):
        try:
            findings += check(setup, resolver)
        except DnsFailed as failed:
            findings.append(Finding("problem", name, f"DNS does not answer: {failed}", "try again later"))
    return findings


def _spf(setup: Setup, resolver: Resolver) -> Iterator[Finding]:
    domain = setup.return_domain
    records = _records(resolver, domain, "v=spf1")
    want = f"include:{setup.spf_include}" if setup.spf_include else "the addresses of your mail server"
    if not records:
        remedy = f'add TXT "v=spf1 {want if setup.spf_include else "ip4:ADDRESS"} ~all" at {domain}'
        yield Finding("problem", "SPF", f"{domain} has no SPF record", remedy)
        return
    if len(records) > 1:
        yield Finding("problem", "SPF", f"{domain} has {len(records)} SPF records", "leave one of them")
        return
    terms = records[0].lower().split()[1:]
    if "+all" in terms or "all" in terms:
        yield Finding("problem", "SPF", "it lets everybody send (+all)", "end it in ~all or -all")
    elif not {"-all", "~all"} & set(terms) and not any(term.startswith("redirect=") for term in terms):
        yield Finding("warning", "SPF", "it says nothing of other servers", "end it in ~all or -all")
    lookups = _spf_lookups(terms, resolver, frozenset({domain}))
    yield Finding("ok", "SPF", f"{domain} has a record that takes {lookups} look-up(s)")
    if lookups > SPF_LOOKUPS_MAX:
        text = f"more than {SPF_LOOKUPS_MAX} look-ups: receivers give up"
        yield Finding("problem", "SPF", text, "replace includes by addresses, or send from a subdomain")
    if setup.spf_include and f"include:{setup.spf_include}" not in terms:
        yield Finding("problem", "SPF", f"{want} is missing", f"add {want} before its end")


def _spf_lookups(terms: Sequence[str], resolver: Resolver, seen: frozenset[str]) -> int:
    total = 0
    for term in terms:
        name, mark, value = term.lstrip("+-~?").partition("=" if term.startswith("redirect=") else ":")
        if name.partition("/")[0] in ("a", "mx", "ptr", "exists"):
            total += 1
        elif name in ("include", "redirect") and mark:
            total += 1
            if value not in seen and total <= SPF_LOOKUPS_MAX and "%" not in value:
                for record in _records(resolver, value, "v=spf1")[:1]:
                    total += _spf_lookups(record.lower().split()[1:], resolver, seen | {value})
    return total


def _dkim(setup: Setup, resolver: Resolver) -> Iterator[Finding]:
    signer = setup.signer
    if signer is None:
        remedy = "set BRIMFUL_DKIM_SELECTOR and BRIMFUL_DKIM_KEY_FILE, or let your mail server sign"
        yield Finding("warning", "DKIM", "mails are not signed here", remedy)
        return
    name = signer.record_name
    found = [tags for text in resolver.lookup(name, "TXT") if "p" in (tags := _tags(text))]
    if not found:
        yield Finding("problem", "DKIM", f"{name} has no key", f'add TXT "{signer.record}" there')
        return
    tags = found[0]
    if not tags["p"]:
        yield Finding("problem", "DKIM", f"the key at {name} is revoked", "publish a key")
        return
    try:
        same = base64.b64decode("".join(tags["p"].split())) == public_key(signer.key)
    except binascii.Error:
        same = False
    if not same:
        remedy = f'make it TXT "{signer.record}", or use the key that belongs to it'
        yield Finding("problem", "DKIM", f"{name} holds another key than BRIMFUL_DKIM_KEY_FILE", remedy)
        return
    if signer.key.key_size < BITS_GOOD:
        text = f"the key has {signer.key.key_size} bits"
        yield Finding("warning", "DKIM", text, "make one of 2048 bits under a new selector")
    if "y" in tags.get("t", "").split(":"):
        yield Finding("warning", "DKIM", "the record says t=y: a test", "take t=y away")
    yield Finding("ok", "DKIM", f"{name} holds our key")


def _dmarc(setup: Setup, resolver: Resolver) -> Iterator[Finding]:
    for domain in _and_above(setup.from_domain):
        records = _records(resolver, f"_dmarc.{domain}", "v=dmarc1")
        if len(records) > 1:
            text = f"_dmarc.{domain} has {len(records)} records, which count as none"
            yield Finding("problem", "DMARC", text, "leave one of them")
            return
        if records:
            tags = _tags(records[0])
            if tags.get("p", "").lower() not in ("none", "quarantine", "reject"):
                yield Finding("problem", "DMARC", "the record has no valid policy", "add p=none or stricter")
            elif tags["p"].lower() == "none":
                remedy = "read the reports, then go to p=quarantine"
                yield Finding("warning", "DMARC", "p=none protects nobody from forged mails", remedy)
            if "rua" not in tags:
                yield Finding("warning", "DMARC", "no reports are asked for", "add rua=mailto:ADDRESS")
            yield Finding("ok", "DMARC", f"_dmarc.{domain} has a record")
            return
    remedy = f'add TXT "v=DMARC1; p=none; rua=mailto:ADDRESS" at _dmarc.{setup.from_domain}'
    yield Finding("problem", "DMARC", f"{setup.from_domain} has none; Gmail and Yahoo want one", remedy)


def _alignment(setup: Setup, resolver: Resolver) -> Iterator[Finding]:
    del resolver
    by_spf = _related(setup.from_domain, setup.return_domain)
    by_dkim = setup.signer is not None and _related(setup.from_domain, setup.signer.domain)
    if not by_spf and not by_dkim:
        text = f"neither return path nor signature belongs to {setup.from_domain}"
        yield Finding("problem", "alignment", text, "sign with the sender's domain, or let bounces go to it")
    else:
        ways = " and ".join([*(["SPF"] if by_spf else []), *(["DKIM"] if by_dkim else [])])
        yield Finding("ok", "alignment", f"{setup.from_domain} is vouched for by {ways}")


def _mx(setup: Setup, resolver: Resolver) -> Iterator[Finding]:
    for domain in dict.fromkeys((setup.from_domain, setup.return_domain)):
        hosts = resolver.lookup(domain, "MX")
        if hosts and not any(host.strip(".") for host in hosts):
            yield Finding("problem", "MX", f"{domain} says that it takes no mail", "add an MX record")
        elif not hosts and not _addresses(resolver, domain):
            remedy = "add an MX record: replies and bounces go there"
            yield Finding("problem", "MX", f"{domain} has no mail server", remedy)
        else:
            yield Finding("ok", "MX", f"{domain} takes mail")


def _ptr(setup: Setup, resolver: Resolver) -> Iterator[Finding]:
    addresses = _addresses(resolver, setup.server) if setup.server is not None else []
    for address in addresses:
        if not ip_address(address).is_global:
            text = f"{address} is a private address"
            yield Finding("warning", "PTR", text, "check the public address that it sends from")
            continue
        names = resolver.lookup(ip_address(address).reverse_pointer, "PTR")
        if any(address in _addresses(resolver, name) for name in names):
            yield Finding("ok", "PTR", f"{address} is {names[0]}, and back")
        else:
            text = f"{address} has no name that leads back to it"
            yield Finding("problem", "PTR", text, "ask who gives you the address for a PTR record")


def check_headers(mail: bytes) -> list[Finding]:
    """What a promotional mail of ours has for unsubscribing (RFC 8058)."""
    head = message_from_bytes(mail)
    ways = str(head.get("List-Unsubscribe", ""))
    signed = "".join(str(head.get("DKIM-Signature", "")).split()).partition(";h=")[2].partition(";")[0]
    if "<https://" not in ways or head.get("List-Unsubscribe-Post") != "List-Unsubscribe=One-Click":
        text = "mails carry no https address for one-click unsubscribe"
        return [Finding("problem", "headers", text, "set BRIMFUL_PUBLIC_URL to the gateway's https address")]
    if signed and not {"list-unsubscribe", "list-unsubscribe-post"} <= set(signed.split(":")):
        return [Finding("problem", "headers", "the signature leaves them out", "sign them")]
    return [Finding("ok", "headers", "one-click unsubscribe" + (", signed" if signed else ""))]


def _records(resolver: Resolver, name: str, start: str) -> list[str]:
    found = [text.strip() for text in resolver.lookup(name, "TXT")]
    return [text for text in found if text.lower().startswith(start)]


def _tags(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(";"))
    return {name.strip().lower(): value.strip() for name, mark, value in pairs if mark}


def _and_above(domain: str) -> Iterator[str]:
    """The domain and those above it, but for the top level."""
    labels = domain.split(".")
    yield from (".".join(labels[at:]) for at in range(len(labels) - 1))


def _related(one: str, other: str) -> bool:
    """Whether one is the other or below it: relaxed alignment without a list of suffixes."""
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def _addresses(resolver: Resolver, name: str) -> list[str]:
    try:
        return [str(ip_address(name))]
    except ValueError:
        return [*resolver.lookup(name, "A"), *resolver.lookup(name, "AAAA")]
