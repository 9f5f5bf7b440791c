"""The console: who comes in and who does not, and what its pages say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.intake.console_kit import (
    KEY,
    OTHER,
    OTHER_KEY,
    READER,
    SECRET,
    VERSION,
    Made,
    enrollment,
    step,
)
from tests.unit.intake.kit import NOW_MS
from workers.errors import BrimfulError, Retryable
from workers.intake.console.session import COOKIE, LIVES_MS, Sessions, safe_target
from workers.intake.keys import ApiKeys
from workers.intake.settings import ApiSettings
from workers.intake.standing import NotNow
from workers.intake.tokens import make_console_token, make_feed_token
from workers.listed import Place, Wanted

if TYPE_CHECKING:
    import httpx

FORM = {"origin": "http://gateway", "sec-fetch-site": "same-origin"}
PAGES = (
    "/console",
    "/console/journeys/plan_limit_upsell",
    "/console/journeys/plan_limit_upsell/enrollments",
    "/console/find",
    "/console/people/ada",
    "/console/accounts/acme",
    "/console/timers?read=1",
)


async def signed_in(made: Made) -> httpx.Response:
    """The answer to a good key; the client keeps the cookie."""
    return await made.gateway.client.post("/console/sign-in", data={"key": KEY}, headers=FORM)


async def shown(made: Made, path: str) -> str:
    """A page as text, for somebody who is signed in."""
    await signed_in(made)
    answer = await made.gateway.client.get(path)
    assert answer.status_code == 200, answer.text
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text.split("</header>")[1]))


# -- who comes in


@pytest.mark.parametrize("path", PAGES)
async def test_whoever_is_not_signed_in_is_asked_to_and_sees_nothing(path: str) -> None:
    """Nothing is read for them either. After signing in they are where they wanted to be."""
    made = Made()
    answer = await made.gateway.client.get(path)
    assert answer.status_code == 401
    assert "ada" not in answer.text.replace("/console/people/ada", "")
    assert made.asked == []
    target = re.search(r'name="next" value="([^"]+)"', answer.text)
    assert target is not None
    data = {"key": KEY, "next": target[1].replace("&amp;", "&")}
    came = await made.gateway.client.post("/console/sign-in", data=data, headers=FORM)
    assert (came.status_code, came.headers["location"]) == (303, path)
    assert (await made.gateway.client.get(path)).status_code == 200


async def test_the_cookie_is_for_this_browser_and_host_alone() -> None:
    """No script reads it, no other site sends it, and it holds no key."""
    cookie = (await signed_in(Made())).headers["set-cookie"]
    assert KEY not in cookie
    words = {word.strip().lower() for word in cookie.split(";")}
    assert {"httponly", "samesite=strict", "path=/console", f"max-age={LIVES_MS // 1000}"} <= words
    assert "secure" not in words
    sessions = Sessions(ApiKeys((READER,)), (SECRET,), secure=True)
    from starlette.responses import Response  # noqa: PLC0415

    response = Response()
    sessions.give(response, "x")
    assert "; Secure" in response.headers["set-cookie"]


@pytest.mark.parametrize("key", ["", "wk", OTHER_KEY, KEY[:-1] + "x", "ö" * 50])
async def test_a_wrong_key_or_one_without_the_scope_does_not_sign_in(key: str) -> None:
    """Both sound the same, and the page does not say the key again."""
    made = Made()
    answer = await made.gateway.client.post("/console/sign-in", data={"key": key}, headers=FORM)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "That is no key with the scope console:read." in answer.text
    assert not key or key not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "origin": "http://gateway"},
        {"sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/console/sign-in", "/console/sign-out"])
async def test_a_form_on_another_page_signs_nobody_in_or_out(headers: dict[str, str], path: str) -> None:
    """Whatever cookies or keys it sends."""
    made = Made()
    await signed_in(made)
    answer = await made.gateway.client.post(path, data={"key": KEY}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


async def test_who_signs_out_is_out() -> None:
    """In this browser."""
    made = Made()
    await signed_in(made)
    answer = await made.gateway.client.post("/console/sign-out", headers=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")
    assert (await made.gateway.client.get("/console")).status_code == 401


async def test_a_session_ends_by_the_time_on_the_wall() -> None:
    """Also where the engine's clock stands still, or runs fast."""
    made = Made()
    await signed_in(made)
    sessions = Sessions(ApiKeys((READER,)), (SECRET,), secure=False)
    cookie = made.gateway.client.cookies[COOKIE]
    assert sessions.who(cookie, NOW_MS + LIVES_MS - 1) == "ops"
    assert sessions.who(cookie, NOW_MS + LIVES_MS) is None


@pytest.mark.parametrize(
    ("cookie", "keys", "good"),
    [
        (make_console_token(SECRET, "ops", READER.digest[:16], NOW_MS + 1), (READER,), True),
        (make_console_token(SECRET, "ops", READER.digest[:16], NOW_MS), (READER,), False),
        (make_console_token(SECRET, "ops", READER.digest[:16], NOW_MS + 1), (OTHER,), False),
        (make_console_token(SECRET, "crm", OTHER.digest[:16], NOW_MS + 1), (READER, OTHER), False),
        (make_console_token(SECRET, "ops", "0" * 16, NOW_MS + 1), (READER,), False),
        (make_console_token(b"x" * 32, "ops", READER.digest[:16], NOW_MS + 1), (READER,), False),
        (make_feed_token(SECRET, "ops", NOW_MS + 1), (READER,), False),
        ("", (READER,), False),
        ("a.b", (READER,), False),
    ],
)
def test_which_cookies_are_good(cookie: str, keys: Any, good: bool) -> None:
    """Not one that expired, of a key that is gone or has lost its scope, or that somebody else signed."""
    who = Sessions(ApiKeys(keys), (SECRET,), secure=False).who(cookie, NOW_MS)
    assert (who is not None) is good


@pytest.mark.parametrize(
    ("said", "target"),
    [
        ("/console/journeys/x?live=1", "/console/journeys/x?live=1"),
        ("/console?live=1", "/console?live=1"),
        ("https://evil.example/console", "/console"),
        ("//evil.example/console", "/console"),
        ("/consoles", "/console"),
        ("/console/\\evil", "/console"),
        ("/console/a\r\nset-cookie: x", "/console"),
        (None, "/console"),
    ],
)
def test_signing_in_leads_to_the_console_alone(said: str | None, target: str) -> None:
    """Whatever the form says."""
    assert safe_target(said) == target


async def test_without_a_setting_there_is_no_console() -> None:
    """As for all optional routes."""
    made = Made(api=ApiSettings((READER,)))
    assert (await made.gateway.client.get("/console")).status_code == 404


@pytest.mark.parametrize("path", [*PAGES, "/console/journeys/none"])
async def test_no_page_may_be_framed_kept_or_run_anything(path: str) -> None:
    """Also the page to sign in, and errors."""
    made = Made()
    for _ in range(2):
        answer = await made.gateway.client.get(path)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-frame-options"] == "DENY"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "<script" not in answer.text
        assert " style=" not in answer.text
        await signed_in(made)


# -- what the pages say


async def test_the_list_has_every_journey_with_its_numbers() -> None:
    """Of all partitions together; what needs a look comes first."""
    said = await shown(Made(), "/console")
    assert said.index("plan_limit_upsell") < said.index("welcome")
    line = said[said.index("plan_limit_upsell") : said.index("welcome")]
    assert "1,286 140 5,000 in all 72 3,400 in all 9 310 in all 300 12,345 in all 16 in 24 h" in line
    assert "none" in said[said.index("welcome") :]


async def test_a_step_that_is_stuck_shows_its_reason_since_when_and_for_whom() -> None:
    """Beside the step, and once more on top."""
    said = await shown(Made(), "/console/journeys/plan_limit_upsell")
    on_top, steps = said.split("Steps Entered on event: plan_limit_reached")
    for part in (on_top, steps):
        assert (
            "handler_error put off, to be tried again an hour later: 2 in 24 h, 2 in all; last 1 h ago"
            in part
        )
        assert "missing_variable:user.seats_used delivery failed: 14 in 24 h" in part
        assert "such as" in part
        assert "team/linus" in part
    assert "no_consent" not in on_top
    assert "no_consent message skipped: 7 in 24 h" in steps


async def test_people_of_another_version_stand_apart() -> None:
    """Its steps may be others of the same name."""
    said = await shown(Made(), "/console/journeys/plan_limit_upsell")
    assert "1,204 here now" in said
    assert "77 here now" in said
    assert said.split("At steps of other versions")[1].split()[4:7] == [
        "000000000000",
        "old",
        "5",
    ]


async def test_names_from_files_and_ids_are_text() -> None:
    """Nothing that somebody writes becomes a part of the page."""
    made = Made()
    made.rows.made_steps.append(
        step("mail", "send", "skip", "<b>no</b>", 1, problem=True, samples=['user:<script>"x'])
    )
    await signed_in(made)
    answer = await made.gateway.client.get("/console/journeys/plan_limit_upsell")
    assert "<script" not in answer.text
    assert "<b>no</b>" not in answer.text
    assert "/console/people/%3Cscript%3E%22x" in answer.text


async def test_a_journey_that_the_workspace_has_no_more_is_shown_as_that() -> None:
    """While somebody stands in it, also in the list; without a workspace all are known by their numbers."""
    made = Made()
    made.rows.made_standing[4].journey = "gone"
    assert "gone not in the workspace" in await shown(made, "/console")
    assert "not in the workspace" in await shown(made, "/console/journeys/gone")
    made.defined = None
    assert "No workspace is named" in await shown(made, "/console")
    assert "handler_error" in await shown(made, "/console/journeys/plan_limit_upsell")


async def test_numbers_that_are_not_complete_are_called_that() -> None:
    """They would look like a loss."""
    made = Made()
    made.is_ready = False
    assert "not complete yet" in await shown(made, "/console")


async def test_who_is_inside_is_listed_a_page_at_a_time() -> None:
    """With links to each; the next page keeps what was asked."""
    made = Made()
    await signed_in(made)
    path = "/console/journeys/plan_limit_upsell/enrollments"
    first = (await made.gateway.client.get(f"{path}?step=pause")).text
    assert 'href="/console/people/team%2Flinus"' in first
    assert "6 h late" in first
    following = re.search(r'href="(\?[^"]+cursor[^"]+)"', first)
    assert following is not None
    second = (await made.gateway.client.get(path + following[1].replace("&amp;", "&"))).text
    assert "grace" in second
    assert "cursor=" not in second
    wanted = Wanted("plan_limit_upsell", "active", "pause")
    assert [one[1:3] for one in made.asked] == [(wanted, Place()), (wanted, Place(3, "ab" * 16))]


async def test_a_person_is_shown_with_where_they_stand_and_decisions_on_request() -> None:
    """Decisions cost a reading: they are not read before somebody asks."""
    made = Made()
    said = await shown(made, "/console/people/ada")
    assert "plan_limit_upsell plan_limit_reached, entered 1 d ago" in said
    assert "quiet_hours" in said
    assert made.asked == [("standing", "user", "ada")]
    assert "skip: no_consent" in await shown(made, "/console/people/ada?decisions=7d")
    assert made.asked[-1] == ("decisions", "user", "ada", NOW_MS - 7 * 86_400_000)


async def test_an_id_with_a_slash_is_found() -> None:
    """By the form, and by the links of other pages."""
    made = Made()
    made.know("account", "team/linus", enrollment("team/linus", subject_type="account"))
    await signed_in(made)
    found = await made.gateway.client.get("/console/find?id=team/linus&kind=account")
    assert found.headers["location"] == "/console/accounts/team%2Flinus"
    assert "Account team/linus" in await shown(made, found.headers["location"])


async def test_of_who_is_unknown_nothing_is_shown() -> None:
    """It says so, and does not fail."""
    assert "Nothing is kept of the journeys of this id" in await shown(Made(), "/console/people/nobody")


async def test_overdue_timers_are_read_on_request_and_told_by_step() -> None:
    """With the reason of each kind, how late, and some of whom they are."""
    made = Made()
    assert "Read now" in await shown(made, "/console/timers")
    assert made.asked == []
    assert "Nothing is overdue" in await shown(made, "/console/timers?read=1")
    late = {"kind": "put off", "journey": "welcome", "step": "1", "subject_type": "user"}
    made.late = [late | {"subject": f"u{at}", "due_ms": NOW_MS - at * 60_000} for at in range(7)]
    said = await shown(made, "/console/timers?read=1")
    assert "put off welcome 1 7 6 min" in said
    assert "u4" in said
    assert "u5" not in said


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/console/journeys/none", 404, "There is no journey none"),
        ("/console/journeys/No-Name/enrollments", 404, "small letters"),
        ("/console/journeys/welcome/enrollments?cursor=ada", 400, "cursor"),
        ("/console/journeys/welcome/enrollments?state=asleep", 404, "no such state"),
        ("/console/people/a/b", 404, "%2F"),
        ("/console/people/%20", 400, "the id"),
    ],
)
async def test_what_is_not_there_is_told_on_a_page(path: str, status: int, says: str) -> None:
    """With the way back."""
    made = Made()
    await signed_in(made)
    answer = await made.gateway.client.get(path)
    assert (answer.status_code, says in answer.text) == (status, True)
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (NotNow("2 others are being read at this gateway"), "2 others are being read"),
        (Retryable("cannot read x at broker-1:9092"), "cannot be read now"),
    ],
)
@pytest.mark.parametrize("path", PAGES[2:3] + PAGES[4:])
async def test_what_cannot_be_read_is_to_be_tried_again(path: str, error: BrimfulError, says: str) -> None:
    """Where the brokers are stands in the log."""
    made = Made()
    await signed_in(made)
    made.error = error
    answer = await made.gateway.client.get(path)
    assert answer.status_code == 503
    assert says in answer.text
    assert "broker-1" not in answer.text
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_page_stays_fresh_where_that_is_asked() -> None:
    """And not before: a page that moves by itself is hard to read."""
    made = Made()
    await signed_in(made)
    assert "http-equiv" not in (await made.gateway.client.get("/console")).text
    live = (await made.gateway.client.get("/console?live=1")).text
    assert '<meta http-equiv="refresh" content="30">' in live
    assert VERSION[:8] in live
