"""Reading a mailbox over IMAP: the same of our fake and of GreenMail, a mail server that is not ours."""

from __future__ import annotations

import imaplib
import os
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.support.greenmail import PASSWORD, USER, greenmail
from tests.support.imap import imap_server
from tests.support.kafka import REQUIRE_VARIABLE, required
from tests.unit.mail.samples import AWAY, KEY, arf, dsn, recipient, without_claim
from workers.errors import Misconfigured, Retryable
from workers.mail.collect import collect
from workers.mail.mailbox import Imap
from workers.mail.reports import BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schemas.wire import Engagement
    from tests.support.greenmail import GreenMail
    from tests.support.imap import Mailbox

NOW_MS = 1_773_480_000_000 + 86_400_000
BOUNCE, FOREIGN = dsn(recipient("failed", "5.1.1")), without_claim(arf("abuse"))
SEEN, FLAGGED = "\\Seen", "\\Flagged"


class Server(Protocol):
    """A mail server with one mailbox, which is empty."""

    @property
    def port(self) -> int:
        """Where it speaks IMAP."""
        ...

    def add(self, raw: bytes) -> None:
        """A mail arrives."""
        ...

    def flags(self) -> list[set[str]]:
        """Of each mail, in order of arrival, whether it is seen and flagged."""
        ...


class Fake:
    """Ours."""

    def __init__(self, box: Mailbox) -> None:
        self._box = box
        self.port = box.port
        self.add = box.add

    def flags(self) -> list[set[str]]:
        """See :class:`Server`."""
        return list(self._box.flags.values())


class Real:
    """GreenMail's mailbox, emptied."""

    def __init__(self, server: GreenMail) -> None:
        self.port = server.imap
        self.add = server.add
        with self._asked() as client:
            client.uid("STORE", "1:*", "+FLAGS", r"(\Deleted)")
            client.expunge()

    def flags(self) -> list[set[str]]:
        """See :class:`Server`."""
        with self._asked(readonly=True) as client:
            _, found = client.uid("FETCH", "1:*", "(FLAGS)")
            told = [imaplib.ParseFlags(one) for one in found if one is not None]
        return [{flag.decode() for flag in flags} & {SEEN, FLAGGED} for flags in told]

    @contextmanager
    def _asked(self, *, readonly: bool = False) -> Iterator[imaplib.IMAP4]:
        with imaplib.IMAP4("127.0.0.1", self.port, 30) as client:
            client.login(USER, PASSWORD)
            client.select("INBOX", readonly=readonly)
            yield client


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GreenMail]:
    """GreenMail; the tests are skipped where there is no Java or Maven to run it with."""
    running = greenmail(tmp_path_factory.mktemp("greenmail"), os.environ)
    try:
        server = running.__enter__()
    except Misconfigured as error:
        if required(os.environ):
            pytest.fail(f"{REQUIRE_VARIABLE} or CI asks for GreenMail: {error}", pytrace=False)
        pytest.skip(str(error))
    yield server
    running.__exit__(None, None, None)


@pytest.fixture(params=["fake", "greenmail"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each of the two."""
    if request.param == "greenmail":
        yield Real(request.getfixturevalue("real"))
        return
    with imap_server() as box:
        yield Fake(box)


def inbox(server: Server, password: str = PASSWORD, folder: str = "") -> Imap:
    """The mailbox, logged in to."""
    return Imap(f"imap://{USER}:{password}@127.0.0.1:{server.port}{folder}")


def test_reports_become_records_and_no_mail_is_read_twice(server: Server) -> None:
    """What is settled is seen; what a person shall look at is flagged; what comes later is read later."""
    for raw in (BOUNCE, arf("abuse"), FOREIGN, AWAY):
        server.add(raw)
    kept: list[Engagement] = []
    box = inbox(server)
    counts = collect(box, (KEY,), kept.extend, NOW_MS)
    assert counts == {"bounced": 1, "complained": 1, "no_claim": 1, "no_report": 1}
    assert [one.type for one in kept] == ["bounced", "complained"]
    assert server.flags() == [{SEEN}, {SEEN}, {SEEN, FLAGGED}, {SEEN, FLAGGED}]
    server.add(dsn(recipient("failed", "4.2.2")))
    assert collect(box, (KEY,), kept.extend, NOW_MS) == {"soft_bounced": 1}
    box.close()
    again = inbox(server)
    assert collect(again, (KEY,), kept.extend, NOW_MS).total() == 0
    again.close()


def test_what_was_not_kept_is_unread(server: Server) -> None:
    """Reading marks nothing; the next reader finds it, and its record has the same id."""
    server.add(BOUNCE)

    def away(records: Sequence[Engagement]) -> None:
        raise Retryable(f"the broker takes no {len(records)} records")

    box = inbox(server)
    with pytest.raises(Retryable):
        collect(box, (KEY,), away, NOW_MS)
    box.close()
    assert server.flags() == [set()]
    first: list[Engagement] = []
    again = inbox(server)
    assert [name for name, _ in again.unread()] == [name for name, _ in again.unread()]
    collect(again, (KEY,), first.extend, NOW_MS)
    again.close()
    assert len(first) == 1


def test_a_mail_is_read_as_it_came_and_not_beyond_the_limit(server: Server) -> None:
    """Byte for byte; of a huge one as much as shows that it is too large."""
    server.add(BOUNCE)
    server.add(b"Subject: huge\r\n\r\n" + (b"x" * 76 + b"\r\n") * (BYTES_MAX // 78 + 100))
    box = inbox(server)
    (_, small), (_, huge) = box.unread()
    box.close()
    assert BOUNCE.rstrip() in small, "a server puts headers in front, and may end a mail in its own way"
    assert len(huge) == BYTES_MAX + 1


def test_a_wrong_password_and_a_wrong_folder_are_told_apart(server: Server) -> None:
    """Each by what a person has to change."""
    with pytest.raises(Misconfigured, match="refuses the user or the password"):
        inbox(server, password="wrong")
    with pytest.raises(Misconfigured, match="no folder 'Other'"):
        inbox(server, folder="/Other")


def test_a_mailbox_whose_certificate_nobody_vouches_for_gets_no_password(real: GreenMail) -> None:
    """By TLS the server is checked; whoever trusts its certificate may log in."""
    url = f"imaps://{USER}:{PASSWORD}@127.0.0.1:{real.imaps}"
    with pytest.raises(Retryable, match="does not answer: SSL"):
        Imap(url)
    trusting = ssl.create_default_context(cadata=ssl.get_server_certificate(("127.0.0.1", real.imaps)))
    trusting.check_hostname = False
    Imap(url, trusting).close()
