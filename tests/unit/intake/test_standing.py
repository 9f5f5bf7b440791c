"""Where a subject stands, over the API: who may ask, what is refused, and how much is read at once."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.intake.kit import Gateway
from workers.errors import BrimfulError, Misconfigured, Retryable
from workers.intake.keys import make_key
from workers.intake.settings import ApiSettings
from workers.intake.standing import AT_ONCE, LIMIT_S, BoundedReader, NotNow

if TYPE_CHECKING:
    from schemas.fields import SubjectType

KEY, CONFIGURED = make_key("ops", ["journeys:read"], b"r" * 32)
OTHER, WRITES = make_key("crm", ["journeys:write", "people:read"], b"w" * 32)
STANDS = {"subject_type": "user", "subject": "team/ada", "enrollments": [{"journey": "upsell"}]}


class Rows:
    """A reader that knows one person."""

    def __init__(self, error: BrimfulError | None = None) -> None:
        self.asked: list[tuple[str, str]] = []
        self.error = error

    async def read(self, kind: SubjectType, subject: str) -> dict[str, Any] | None:
        """What it knows."""
        self.asked.append((kind, subject))
        if self.error is not None:
            raise self.error
        return STANDS if (kind, subject) == ("user", "team/ada") else None


async def get(path: str, rows: Rows | None = None, key: str = KEY) -> Any:
    """GET with an API key."""
    gateway = Gateway(more={"api": ApiSettings((CONFIGURED, WRITES)), "standing": rows or Rows()})
    return await gateway.client.get(path, headers={"authorization": f"Bearer {key}"})


async def test_it_tells_where_a_person_stands() -> None:
    """An id with a slash is one id where the slash is encoded."""
    answer = await get("/v1/people/team%2Fada/enrollments")
    assert (answer.status_code, answer.json()) == (200, STANDS)
    assert answer.headers["cache-control"] == "no-store"


async def test_an_account_is_asked_for_as_one() -> None:
    """It may have the id of a person."""
    rows = Rows()
    assert (await get("/v1/accounts/team%2Fada/enrollments", rows)).status_code == 404
    assert rows.asked == [("account", "team/ada")]


@pytest.mark.parametrize(
    ("path", "key", "status", "code"),
    [
        ("/v1/people/bob/enrollments", KEY, 404, "not_found"),
        ("/v1/people/team/ada/enrollments", KEY, 404, "not_found"),
        ("/v1/people/%20/enrollments", KEY, 400, "invalid"),
        ("/v1/people/bob/enrollments", OTHER, 403, "forbidden"),
        ("/v1/people/bob/enrollments", "wk", 403, "forbidden"),
        ("/v1/people/bob/enrollments", "bk_none", 401, "unauthorized"),
    ],
)
async def test_what_is_refused(path: str, key: str, status: int, code: str) -> None:
    """Whoever may write journeys, or see a feed, may not read enrollments for that."""
    answer = await get(path, key=key)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (NotNow("it takes longer than 10 s"), "it takes longer than 10 s"),
        (Retryable("cannot read x at broker-1:9092"), "the engine's state cannot be read now"),
        (Misconfigured("there is no topic x"), "the engine's state cannot be read now"),
    ],
)
async def test_what_cannot_be_read_is_to_be_asked_again(error: BrimfulError, says: str) -> None:
    """Where the brokers are is nothing for callers."""
    answer = await get("/v1/people/bob/enrollments", Rows(error))
    assert (answer.status_code, answer.json()["message"]) == (503, says)
    assert int(answer.headers["retry-after"]) >= 1


async def test_without_an_api_there_is_no_such_route() -> None:
    """As for all routes of the API."""
    gateway = Gateway(more={"standing": Rows()})
    assert (await gateway.client.get("/v1/accounts/a1/enrollments")).status_code == 404


# -- how it is bounded


async def test_so_many_are_read_at_once_and_no_more() -> None:
    """Also where those who asked are gone: what counts is who reads."""
    go, begun = threading.Event(), threading.Semaphore(0)

    def look(kind: str, subject: str, progress: Any) -> dict[str, Any]:
        begun.release()
        go.wait()
        return {"subject": subject}

    reader = BoundedReader(look)
    asking = [asyncio.ensure_future(reader.read("user", str(number))) for number in range(AT_ONCE)]
    for _ in asking:
        await asyncio.to_thread(begun.acquire)
    asking[0].cancel()
    await asyncio.gather(asking[0], return_exceptions=True)
    with pytest.raises(NotNow, match="others are being read"):
        await reader.read("user", "more")
    go.set()
    assert await asking[1] == {"subject": "1"}
    while reader.reading:
        await asyncio.to_thread(lambda: None)
    assert await reader.read("user", "more") == {"subject": "more"}


async def test_what_takes_longer_than_the_limit_is_given_up() -> None:
    """At the next progress; the command has no limit, and the message says so."""
    now_s = [0.0]
    told: list[int] = []

    def look(kind: str, subject: str, progress: Any) -> None:
        for read in range(1, 100):
            now_s[0] += LIMIT_S / 10
            told.append(read)
            progress(read, 100)

    reader = BoundedReader(look, seconds=lambda: now_s[0])
    with pytest.raises(NotNow, match=r"longer than 10 s \(11 of 100 records are read\): `brimful"):
        await reader.read("user", "ada")
    assert told[-1] == 11
    assert reader.reading == 0
