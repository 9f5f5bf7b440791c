"""Mails become records once, from a folder and from a mailbox, whenever the reader was stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.imap import imap_server
from tests.unit.mail.samples import AWAY, CLAIM, KEY, arf, dsn, recipient, without_claim
from workers.core.engaged import address_hash
from workers.errors import Misconfigured, Retryable
from workers.mail.collect import collect
from workers.mail.mailbox import Folder, Imap

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from schemas.wire import Engagement

NOW_MS = 1_773_480_000_000 + 86_400_000
BOUNCE, FOREIGN = dsn(recipient("failed", "5.1.1")), without_claim(arf("abuse"))
RELAYED = dsn(recipient("relayed", "2.0.0"))


class Kept:
    """Records that were kept; the first ``fails`` attempts are refused."""

    def __init__(self, fails: int = 0) -> None:
        self.records: list[Engagement] = []
        self.fails = fails

    def __call__(self, records: Sequence[Engagement]) -> None:
        """Keep, or refuse."""
        if self.fails:
            self.fails -= 1
            raise Retryable("the broker went away")
        self.records += records


def fill(path: Path) -> Folder:
    """A folder with a mail of each kind."""
    for name, raw in (("1", BOUNCE), ("2", arf("abuse")), ("3", FOREIGN), ("4", AWAY), ("5", RELAYED)):
        (path / f"{name}.eml").write_bytes(raw)
    return Folder(path)


def test_a_folder_is_read_once(tmp_path: Path) -> None:
    """What is of use is done; the rest is put aside for a person."""
    box, kept = fill(tmp_path), Kept()
    counts = collect(box, (KEY,), kept, NOW_MS)
    assert counts == {"bounced": 1, "complained": 1, "no_claim": 1, "no_report": 1, "nothing_told": 1}
    bounced, complained = kept.records
    assert (bounced.type, bounced.person, bounced.message_id) == ("bounced", CLAIM.person, CLAIM.message_id)
    assert (bounced.journey, bounced.step, bounced.reason) == ("upsell", "2", "5.1.1")
    assert bounced.address == address_hash("ada@example.net")
    assert bounced.at_ms == 1_773_482_400_000
    assert complained.type == "complained"
    assert sorted(one.name for one in (tmp_path / "done").iterdir()) == ["1.eml", "2.eml", "5.eml"]
    assert sorted(one.name for one in (tmp_path / "unmatched").iterdir()) == ["3.eml", "4.eml"]
    assert collect(box, (KEY,), kept, NOW_MS).total() == 0


def test_what_was_not_kept_is_read_again(tmp_path: Path) -> None:
    """With the same ids, so that it counts once."""
    box, kept = fill(tmp_path), Kept(fails=1)
    with pytest.raises(Retryable):
        collect(box, (KEY,), kept, NOW_MS)
    assert len(list(box.unread())) == 5
    collect(box, (KEY,), kept, NOW_MS)
    first = [one.id for one in kept.records]
    collect(fill(tmp_path), (KEY,), kept, NOW_MS)
    assert [one.id for one in kept.records] == first * 2


def test_a_time_ahead_of_our_clock_is_now(tmp_path: Path) -> None:
    """Clocks of mail servers are wrong."""
    kept = Kept()
    collect(fill(tmp_path), (KEY,), kept, 1_000)
    assert {one.at_ms for one in kept.records} == {1_000}


def test_a_mailbox_is_read_over_imap() -> None:
    """What is settled is seen; what a person shall look at is flagged."""
    with imap_server() as server:
        for raw in (BOUNCE, FOREIGN, RELAYED):
            server.add(raw)
        box, kept = Imap(f"imap://brimful:right@127.0.0.1:{server.port}"), Kept()
        collect(box, (KEY,), kept, NOW_MS)
        box.close()
        assert [one.type for one in kept.records] == ["bounced"]
        assert server.flags == {1: {"\\Seen"}, 2: {"\\Seen", "\\Flagged"}, 3: {"\\Seen"}}


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_mailbox_that_hangs_up_loses_nothing(at: int) -> None:
    """Whatever was not settled is read by the next one, and has the same id."""
    with imap_server() as server:
        for raw in (BOUNCE, arf("abuse")):
            server.add(raw)
        url, kept = f"imap://brimful:right@127.0.0.1:{server.port}", Kept()
        box = Imap(url)
        server.cut_at = at
        with pytest.raises(Retryable):
            collect(box, (KEY,), kept, NOW_MS)
        box.close()
        again = Imap(url)
        collect(again, (KEY,), kept, NOW_MS)
        again.close()
        assert {one.type for one in kept.records} == {"bounced", "complained"}
        assert len({one.id for one in kept.records}) == 2
        assert all("\\Seen" in flags for flags in server.flags.values())


@pytest.mark.parametrize(
    "url", ["imap://u:p@mail.example.com", "https://u:p@h", "imaps://h", "imaps://", "mail.example.com"]
)
def test_a_mailbox_without_tls_or_user_is_refused(url: str) -> None:
    """A password is not sent in the clear, nor shown."""
    with pytest.raises(Misconfigured, match="imaps://USER"):
        Imap(url)


def test_a_wrong_password_and_folder_are_told_apart() -> None:
    """From a server that is away, and without the password."""
    with imap_server() as server:
        with pytest.raises(Misconfigured, match="refuses the user or the password") as caught:
            Imap(f"imap://brimful:wrong@127.0.0.1:{server.port}")
        assert "wrong" not in str(caught.value)
        with pytest.raises(Misconfigured, match="no folder 'Other'"):
            Imap(f"imap://brimful:right@127.0.0.1:{server.port}/Other")
    with pytest.raises(Retryable, match="does not answer"):
        Imap(f"imap://brimful:right@127.0.0.1:{server.port}")


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(Misconfigured, match="no folder"):
        Folder(tmp_path / "none")
