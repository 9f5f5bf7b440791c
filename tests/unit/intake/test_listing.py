"""Who is in a journey, over the API: what is asked for, what is refused, and how pages follow one another."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.intake.kit import Gateway
from workers.errors import BrimfulError, Misconfigured, Retryable
from workers.intake.keys import make_key
from workers.intake.settings import ApiSettings
from workers.intake.standing import NotNow
from workers.listed import Page, Place, Wanted

KEY, CONFIGURED = make_key("ops", ["journeys:read"], b"r" * 32)
OTHER, WRITES = make_key("crm", ["journeys:write", "people:read"], b"w" * 32)
PATH = "/v1/journeys/upsell/enrollments"
ID = "ab" * 16


class Listed:
    """A reader that has one page and the place of another."""

    def __init__(self, error: BrimfulError | None = None) -> None:
        self.asked: list[tuple[Wanted, Place, int]] = []
        self.error = error

    async def page(self, wanted: Wanted, place: Place, limit: int) -> Page:
        """Its page; at any other place than the beginning, the end."""
        self.asked.append((wanted, place, limit))
        if self.error is not None:
            raise self.error
        return Page([{"subject": "ada"}], Place(2, ID) if place == Place() else None, 17)


async def get(path: str, pages: Listed | None = None, key: str = KEY) -> Any:
    """GET with an API key."""
    gateway = Gateway(more={"api": ApiSettings((CONFIGURED, WRITES)), "pages": pages or Listed()})
    return await gateway.client.get(path, headers={"authorization": f"Bearer {key}"})


async def test_what_a_page_says_is_next_leads_to_the_next() -> None:
    """Until it is null. What stands in the address names nobody."""
    pages = Listed()
    first = (await get(f"{PATH}?step=pause&limit=7", pages)).json()
    assert first == {"enrollments": [{"subject": "ada"}], "next": f"2.{ID}", "read_ms": 17}
    second = (await get(f"{PATH}?step=pause&limit=7&cursor={first['next']}", pages)).json()
    assert second["next"] is None
    wanted = Wanted("upsell", "active", "pause")
    assert pages.asked == [(wanted, Place(), 7), (wanted, Place(2, ID), 7)]


async def test_without_more_it_is_who_is_inside_a_hundred_at_a_time() -> None:
    """Those who left are asked for by name."""
    pages = Listed()
    await get(PATH, pages)
    await get(f"{PATH}?state=ended", pages)
    assert pages.asked == [
        (Wanted("upsell", "active", None), Place(), 100),
        (Wanted("upsell", "ended", None), Place(), 100),
    ]


@pytest.mark.parametrize(
    ("path", "key", "status", "code"),
    [
        (f"{PATH}?limit=0", KEY, 400, "invalid"),
        (f"{PATH}?limit=1001", KEY, 400, "invalid"),
        (f"{PATH}?limit=ten", KEY, 400, "invalid"),
        (f"{PATH}?cursor=ada", KEY, 400, "invalid"),
        (f"{PATH}?cursor=-1.", KEY, 400, "invalid"),
        (f"{PATH}?state=gone", KEY, 400, "invalid"),
        (f"{PATH}?stepp=pause", KEY, 400, "invalid"),
        ("/v1/journeys/Up-sell/enrollments", KEY, 404, "not_found"),
        (PATH, OTHER, 403, "forbidden"),
        (PATH, "wk", 403, "forbidden"),
        (PATH, "bk_none", 401, "unauthorized"),
    ],
)
async def test_what_is_refused(path: str, key: str, status: int, code: str) -> None:
    """Also a parameter with a slip of the pen: it would list everybody."""
    pages = Listed()
    answer = await get(path, pages, key=key)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert pages.asked == []


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (NotNow("2 others are being read at this gateway"), "2 others are being read at this gateway"),
        (Retryable("cannot read x at broker-1:9092"), "the engine's state cannot be read now"),
        (Misconfigured("there is no topic x"), "the engine's state cannot be read now"),
    ],
)
async def test_what_cannot_be_read_is_to_be_asked_again(error: BrimfulError, says: str) -> None:
    """Where the brokers are is nothing for callers."""
    answer = await get(PATH, Listed(error))
    assert (answer.status_code, answer.json()["message"]) == (503, says)
    assert int(answer.headers["retry-after"]) >= 1
