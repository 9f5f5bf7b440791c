"""Which URLs and addresses are called."""

from __future__ import annotations

import pickle
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.senders.http.guard import Forbidden, check_address, is_allowed, parse_url

TAKEN = [
    ("https://hooks.example.com/a?b=c", ("https", "hooks.example.com", 443, "/a?b=c")),
    ("https://EXAMPLE.com", ("https", "example.com", 443, "/")),
    ("https://example.com.:8443/x", ("https", "example.com", 8443, "/x")),
    ("http://example.com/", ("http", "example.com", 80, "/")),
    ("https://bücher.example/", ("https", "xn--bcher-kva.example", 443, "/")),
    ("https://[2606:4700::1111]/x", ("https", "2606:4700::1111", 443, "/x")),
    ("https://93.184.216.34/", ("https", "93.184.216.34", 443, "/")),
    ("https://my_host.example.com/", ("https", "my_host.example.com", 443, "/")),
    ("https://example.com/a#part", ("https", "example.com", 443, "/a")),
]


@pytest.mark.parametrize(("url", "parts"), TAKEN, ids=[url for url, _ in TAKEN])
def test_a_usual_url_is_taken_apart(url: str, parts: tuple[str, str, int, str]) -> None:
    """Host in ASCII and lower case, the scheme's port, no fragment."""
    target = parse_url(url)
    assert (target.scheme, target.host, target.port, target.path) == parts


REFUSED = [
    ("ftp://example.com/", "url_scheme"),
    ("file:///etc/passwd", "url_scheme"),
    ("gopher://127.0.0.1:25/", "url_scheme"),
    ("//example.com/", "url_scheme"),
    ("example.com", "url_scheme"),
    ("https://user@example.com/", "url_user"),
    ("https://user:password@example.com/", "url_user"),
    ("https://example.com@169.254.169.254/", "url_user"),
    ("https://example.com%40evil.example/", "url_host"),
    ("https://example.com:0/", "url_port"),
    ("https://example.com:99999/", "url_unreadable"),
    ("https://example.com:x/", "url_unreadable"),
    ("https:///path", "url_host"),
    ("https://2130706433/", "url_host"),
    ("https://0x7f000001/", "url_host"),
    ("https://0x7f.0.0.1/", "url_host"),
    ("https://0177.0.0.1/", "url_host"),
    ("https://127.1/", "url_host"),
    ("https://127.0.0.1.5/", "url_host"),
    ("https://017700000001/", "url_host"),
    ("https://example.0x10/", "url_host"),
    ("https://[::1%25lo]/", "url_host"),
    ("https://exa mple.com/", "url_characters"),
    ("https://example.com\\@evil.example/", "url_characters"),
    ("https://example.com/\r\nHost: evil", "url_characters"),
    ("https://example.com/\t", "url_characters"),
    ("https://example.com/ä", "url_characters"),
    ("https://exam\u200bple.com/", "url_characters"),
    ("https://-example.com/", "url_host"),
    ("https://ex..ample.com/", "url_host"),
    ("https://" + "a." * 130 + "com/", "url_host"),
    ("https://example.com/" + "a" * 3_000, "url_too_long"),
]


@pytest.mark.parametrize(("url", "reason"), REFUSED, ids=[url[:50] for url, _ in REFUSED])
def test_an_odd_url_is_refused(url: str, reason: str) -> None:
    """What two parsers may read differently is read by none."""
    with pytest.raises(Forbidden) as refused:
        parse_url(url)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "host",
    [
        "\uff11\uff12\uff17.\uff10.\uff10.\uff11",
        "127\u30020\u30020\u30021",
        "\u2460\u2461\u2466.0.0.1",
        "\u24dbocalhost",
        "127.0.0.1.",
    ],
    ids=ascii,
)
def test_a_host_in_other_characters_is_what_it_looks_like(host: str) -> None:
    """It becomes plain ASCII before it is judged: what it resolves to is then checked as any other."""
    target = parse_url(f"https://{host}/")
    assert target.host in {"127.0.0.1", "localhost"}


PRIVATE = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",  # noqa: S104 - it must be refused
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.1.2.3",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "not an address",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_on_the_internet_is_refused(address: str) -> None:
    """Whatever notation it comes in."""
    with pytest.raises(Forbidden):
        check_address(address, ())


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "172.32.0.1"],
)
def test_an_address_on_the_internet_is_called(address: str) -> None:
    """Also inside an IPv6 address."""
    check_address(address, ())


def test_a_network_that_was_allowed_is_called_and_its_neighbours_are_not() -> None:
    """Receivers inside the platform are named by their network."""
    networks = (ip_network("10.1.0.0/16"), ip_network("fd12::/16"))
    for allowed in ("10.1.2.3", "::ffff:10.1.2.3", "fd12::5"):
        check_address(allowed, networks)
        assert is_allowed(allowed, networks)
    for other in ("10.2.0.1", "169.254.169.254", "fd00:ec2::254", "127.0.0.1"):
        assert not is_allowed(other, networks)
        with pytest.raises(Forbidden):
            check_address(other, networks)


@given(st.ip_addresses(network="10.0.0.0/8") | st.ip_addresses(network="127.0.0.0/8"))
def test_wrapping_an_address_hides_nothing(address: object) -> None:
    """Every way to write an IPv4 address into an IPv6 one."""
    number = int(address)  # type: ignore[call-overload]
    high, low = number >> 16, number & 0xFFFF
    for wrapped in (
        f"::ffff:{address}",
        f"64:ff9b::{high:x}:{low:x}",
        f"2002:{high:x}:{low:x}::1",
        f"::{high:x}:{low:x}",
    ):
        with pytest.raises(Forbidden):
            check_address(wrapped, ())


def test_a_refusal_tells_its_reason_and_survives_a_process() -> None:
    """The reason is a code; the address is not in it."""
    refused = pickle.loads(pickle.dumps(Forbidden("url_user")))  # noqa: S301 - our own bytes
    assert (refused.reason, str(refused)) == ("url_user", "url_user")
