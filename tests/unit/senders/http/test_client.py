"""The HTTP client before a real server on loopback."""

from __future__ import annotations

import asyncio
import pickle
import socket
from ipaddress import ip_network
from typing import TYPE_CHECKING

import httpcore2
import pytest

from tests.support.http import Fault, Received, Reply, http_server
from workers.senders.http.client import HttpClient, NoAnswer, NotCalled, Request
from workers.senders.http.network import GuardedBackend, SystemResolver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

LOOPBACK = (ip_network("127.0.0.0/8"),)


async def handle(request: Received) -> Reply | Fault:
    """By the path."""
    match request.path.strip("/").split("/"):
        case ["fault", "cut"]:
            return "cut_after"
        case ["fault", "hang"]:
            return "hang"
        case ["big", size]:
            return Reply(body=b"x" * int(size))
        case ["to", status, *rest]:
            return Reply(
                int(status), headers={"Location": "/".join(["", *rest]) if rest else "http://10.0.0.1/"}
            )
        case ["elsewhere", port]:
            return Reply(308, headers={"Location": f"http://127.0.0.1:{port}/end"})
        case _:
            return Reply(201, b'{"ok": true}', {"X-Id": "7"})


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    """A client that may call this machine."""
    made = HttpClient(LOOPBACK)
    yield made
    await made.close()


async def test_a_call_gives_status_headers_and_body(client: HttpClient) -> None:
    """Of whatever status; the connection is used again."""
    async with http_server(handle) as server:
        for _ in range(3):
            answer = await client.call(Request("POST", f"{server.url}/x?y=1", {"X-A": "b"}, b"hello"))
        assert (answer.status, answer.headers["x-id"], answer.json()) == (201, "7", {"ok": True})
        last = server.requests[-1]
        assert (last.method, last.path, last.body, last.headers["x-a"]) == ("POST", "/x?y=1", b"hello", "b")
        assert last.headers["user-agent"].startswith("brimful/")
        assert server.connections == 1


async def test_a_lost_answer_may_have_been_sent(client: HttpClient) -> None:
    """The server had the request; nobody knows what became of it."""
    async with http_server(handle) as server:
        with pytest.raises(NoAnswer) as failed:
            await client.call(Request("POST", f"{server.url}/fault/cut", body=b"{}"))
    assert (failed.value.reason, failed.value.sent) == ("connection_lost", True)


async def test_a_server_that_never_answers_is_left_at_the_deadline(client: HttpClient) -> None:
    """And may have the request all the same."""
    async with http_server(handle) as server:
        with pytest.raises(NoAnswer) as failed:
            await client.call(Request("POST", f"{server.url}/fault/hang", body=b"{}", total_s=0.5))
        assert (failed.value.reason, failed.value.sent) == ("timeout", True)
        # The connection that hung is not used again.
        answer = await client.call(Request("GET", f"{server.url}/x"))
        assert answer.status == 201


async def test_a_server_that_is_not_there_got_nothing(client: HttpClient) -> None:
    """A refused connection is certain."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(NoAnswer) as failed:
        await client.call(Request("POST", f"http://127.0.0.1:{port}/", body=b"{}"))
    assert (failed.value.reason, failed.value.sent) == ("connect", False)


async def test_an_answer_over_the_limit_is_cut() -> None:
    """Its status counts; its body is not kept in memory, and is no JSON."""
    client = HttpClient(LOOPBACK, answer_bytes=1_000)
    async with http_server(handle) as server:
        answer = await client.call(Request("GET", f"{server.url}/big/5000000"))
        assert (answer.status, len(answer.body), answer.whole, answer.json()) == (200, 1_000, False, None)
        answer = await client.call(Request("GET", f"{server.url}/big/1000"))
        assert (len(answer.body), answer.whole) == (1_000, True)
    await client.close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://127.0.0.1/", "address_not_public"),
        ("https://localhost/", "address_not_public"),
        ("https://[::1]/", "address_not_public"),
        ("https://169.254.169.254/latest/meta-data/", "address_not_public"),
        ("http://127.0.0.1:9/", "url_not_https"),
        ("https://user@127.0.0.1/", "url_user"),
        ("https://0x7f000001/", "url_host"),
    ],
)
async def test_what_is_forbidden_is_not_called(url: str, reason: str) -> None:
    """Without allowed networks: only https, only the Internet."""
    client = HttpClient()
    with pytest.raises(NotCalled) as refused:
        await client.call(Request("GET", url))
    assert (refused.value.reason, refused.value.sent) == (reason, False)
    await client.close()


class Names:
    """A resolver whose answers change, as an attacker's do."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """The next answer; the last again and again."""
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Wire(httpcore2.AsyncMockBackend):
    """Remembers where a connection went, and makes none."""

    def __init__(self) -> None:
        super().__init__([])
        self.connected: list[str] = []

    async def connect_tcp(self, host: str, *args: object, **more: object) -> httpcore2.AsyncNetworkStream:
        """As httpcore calls it."""
        self.connected.append(host)
        return httpcore2.AsyncMockStream([])


async def test_the_checked_address_is_the_one_that_is_connected_to() -> None:
    """A name that resolves to the Internet for the check and to this machine a moment later."""
    names = Names(["93.184.216.34"], ["127.0.0.1"])
    backend = GuardedBackend(names)
    wire = Wire()
    backend._inner = wire  # type: ignore[assignment]
    await backend.connect_tcp("rebind.example", 443)
    assert (names.asked, wire.connected) == (["rebind.example"], ["93.184.216.34"])
    with pytest.raises(ValueError, match="address_not_public"):
        await backend.connect_tcp("rebind.example", 443)
    assert wire.connected == ["93.184.216.34"]


async def test_a_name_with_one_forbidden_address_is_not_called_at_all() -> None:
    """Whichever of them stands first."""
    for addresses in (["93.184.216.34", "10.0.0.1"], ["10.0.0.1", "93.184.216.34"]):
        with pytest.raises(ValueError, match="address_not_public"):
            await GuardedBackend(Names(addresses)).connect_tcp("mixed.example", 443)


async def test_plain_text_goes_to_allowed_networks_only() -> None:
    """Also where a name resolves to the Internet."""
    client = HttpClient(LOOPBACK, resolve=Names(["93.184.216.34"]))
    with pytest.raises(NotCalled, match="url_not_https"):
        await client.call(Request("GET", "http://plain.example/"))
    await client.close()


async def test_a_name_that_does_not_resolve_got_nothing() -> None:
    """By an error or by an empty answer."""

    async def nothing(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    async def slow(host: str, port: int) -> Sequence[str]:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    for resolve, reason in ((nothing, "connect"), (Names([]), "connect"), (slow, "timeout")):
        client = HttpClient(resolve=resolve)
        with pytest.raises(NoAnswer) as failed:
            await client.call(Request("GET", "https://gone.example/", total_s=0.05))
        assert (failed.value.reason, failed.value.sent) == (reason, False)
        await client.close()


async def test_redirects_are_answers_unless_they_are_asked_for(client: HttpClient) -> None:
    """Then 307 and 308 are followed with method and body, as often as allowed."""
    async with http_server(handle) as server:
        url = f"{server.url}/to/308/to/307/end"
        assert (await client.call(Request("POST", url, body=b"a"))).status == 308
        assert (await client.call(Request("POST", url, body=b"a", redirects=1))).status == 307
        assert (await client.call(Request("POST", url, body=b"a", redirects=2))).status == 201
        assert (server.requests[-1].method, server.requests[-1].body) == ("POST", b"a")
        assert (await client.call(Request("POST", f"{server.url}/to/302/end", redirects=2))).status == 302


async def test_a_redirect_is_guarded_as_the_first_url_is(client: HttpClient) -> None:
    """The server answers with an address that must not be called."""
    async with http_server(handle) as server:
        with pytest.raises(NotCalled, match="url_not_https"):
            await client.call(Request("POST", f"{server.url}/to/308", redirects=3))


async def test_a_redirect_to_another_origin_gets_no_credentials(client: HttpClient) -> None:
    """The token is for whom it was given."""
    async with http_server(handle) as first, http_server(handle) as second:
        request = Request("POST", f"{first.url}/elsewhere/{second.port}", {"Authorization": "s"}, redirects=1)
        await client.call(request)
        assert first.requests[0].headers["authorization"] == "s"
        assert "authorization" not in second.requests[0].headers


async def test_a_header_with_a_line_break_is_refused(client: HttpClient) -> None:
    """It would be another request."""
    async with http_server(handle) as server:
        with pytest.raises(NotCalled, match="request_invalid"):
            await client.call(Request("GET", server.url, {"X-A": "b\r\nHost: evil"}))
        with pytest.raises(NotCalled, match="request_invalid"):
            await client.call(Request("GET", server.url, {"X-A": "b\udc00"}))


def test_a_request_shows_no_secret() -> None:
    """The address of an incoming webhook is one, as are headers and bodies."""
    shown = repr(Request("POST", "https://hooks.example/SECRET", {"Authorization": "SECRET"}, b"SECRET"))
    assert "SECRET" not in shown
    failure = pickle.loads(pickle.dumps(NoAnswer("timeout", sent=True)))  # noqa: S301 - our own bytes
    assert (failure.reason, failure.sent) == ("timeout", True)


async def test_the_system_resolver_knows_this_machine() -> None:
    """In its own threads."""
    resolver = SystemResolver()
    assert set(await resolver("localhost", 443)) <= {"127.0.0.1", "::1"}
    resolver.close()
