"""The pages of the console: journeys, one journey, who is inside, one subject, overdue timers.

Every page asks for a session first; whoever has none gets the page to sign in. Nothing can be changed here
but the session itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, quote

import structlog
from starlette.responses import RedirectResponse
from starlette.routing import Route

from workers.errors import BrimfulError
from workers.intake.api import check_id, in_path
from workers.intake.console import views
from workers.intake.console.session import COOKIE, PATH, is_own_form, safe_target
from workers.intake.console.style import STYLE
from workers.intake.console.texts import moment, number, outcome_words, span
from workers.intake.html import page_headers, render
from workers.intake.journeys import journey_of
from workers.intake.listing import cursor_of, read_cursor
from workers.intake.problems import Problem, retry_after
from workers.intake.standing import AGAIN_S, NotNow
from workers.listed import STATES, Wanted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from schemas.fields import SubjectType
    from workers.clock import Clock
    from workers.intake.console.session import Sessions
    from workers.intake.console.sources import Defined, Sources
    from workers.intake.parts import Parts

    Handler = Callable[[Request], Awaitable[Response]]

log = structlog.get_logger(__name__)

FORM_BYTES: Final = 4_096
PAGE_SIZE: Final = 50
LIVE_S: Final = 30
"""How often a page that is asked to stay fresh loads itself again."""

_HEADERS: Final = {"referrer-policy": "same-origin"}
"""Without a referrer, browsers would not say either where a form comes from."""

SINCE_MS: Final = {"1d": 86_400_000, "7d": 7 * 86_400_000}
"""How far back decisions on a subject may be asked for."""


class Console:
    """All its routes. ``wall`` is the time on the wall, by which sessions end; one per gateway."""

    def __init__(self, sessions: Sessions, sources: Sources, parts: Parts, wall: Clock) -> None:
        self._sessions = sessions
        self._sources = sources
        self._parts = parts
        self._wall = wall

    def routes(self) -> list[Route]:
        """The pages, and what signs in and out."""
        pages: dict[str, Handler] = {
            PATH: self._journeys,
            f"{PATH}/journeys/{{name}}": self._journey,
            f"{PATH}/journeys/{{name}}/enrollments": self._enrollments,
            f"{PATH}/find": self._find,
            f"{PATH}/people/{{person:path}}": self._person,
            f"{PATH}/accounts/{{account:path}}": self._account,
            f"{PATH}/timers": self._timers,
        }
        return [
            *(Route(path, self._guarded(handler), methods=["GET"]) for path, handler in pages.items()),
            Route(f"{PATH}/sign-in", self._sign_in, methods=["POST"]),
            Route(f"{PATH}/sign-out", self._sign_out, methods=["POST"]),
        ]

    def _guarded(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            with self._parts.room.taken():
                if self._who(request) is None:
                    query = f"?{request.url.query}" if request.url.query else ""
                    return self._door(401, target=safe_target(request.url.path + query))
                try:
                    return await handler(request)
                except Problem as problem:
                    return self._told(request, problem.status, problem.message)
                except NotNow as error:
                    return self._told(request, 503, f"Not now: {error}. Try again in a moment.")
                except BrimfulError as error:
                    # What it says names brokers and topics: that is for the log.
                    log.warning("console.unreadable", error=str(error))
                    return self._told(request, 503, "That cannot be read now. Try again in a moment.")

        return answer

    def _who(self, request: Request) -> str | None:
        return self._sessions.who(request.cookies.get(COOKIE), self._wall.now_ms())

    # -- the session

    async def _sign_in(self, request: Request) -> Response:
        if not is_own_form(request):
            return self._door(403, said="Sign in from this page.")
        body = await self._parts.body(request, most_bytes=FORM_BYTES)
        form = parse_qs(body.decode("utf-8", "replace"))
        target = safe_target(form.get("next", [PATH])[0])
        cookie = self._sessions.sign_in(form.get("key", [""])[0].strip(), self._wall.now_ms())
        if cookie is None:
            said = "That is no key with the scope console:read."
            return self._door(403, target=target, said=said)
        response = RedirectResponse(target, 303, headers=page_headers(STYLE))
        self._sessions.give(response, cookie)
        return response

    async def _sign_out(self, request: Request) -> Response:
        if not is_own_form(request):
            return self._door(403, said="Sign out from the console's own page.")
        response = RedirectResponse(PATH, 303, headers=page_headers(STYLE))
        self._sessions.take_back(response)
        return response

    def _door(self, status: int, target: str = PATH, said: str | None = None) -> Response:
        return render("console/sign_in.html", status, _HEADERS, STYLE, target=target, said=said)

    # -- the pages

    async def _journeys(self, request: Request) -> Response:
        defined = await self._defined()
        lines = views.journey_lines(defined, self._sources.rows, self._now_ms())
        return self._show(request, "journeys", at="journeys", defined=defined, journeys=lines)

    async def _journey(self, request: Request) -> Response:
        name, defined = journey_of(request), await self._defined()
        found = views.journey_view(name, defined, self._sources.rows, self._now_ms())
        if found is None:
            raise Problem(404, "not_found", f"There is no journey {name}, and nobody was ever in one.")
        return self._show(request, "journey", at="journeys", one=found)

    async def _enrollments(self, request: Request) -> Response:
        name, asked = journey_of(request), request.query_params
        state, step = asked.get("state", "active"), asked.get("step") or None
        if state not in STATES:
            raise Problem(404, "not_found", "There is no such state.")
        place = read_cursor(asked.get("cursor"))
        page = await self._sources.pages.page(Wanted(name, state, step), place, PAGE_SIZE)
        following = None
        if page.next is not None:
            more = {"step": step or "", "state": state, "cursor": cursor_of(page.next)}
            following = "&".join(f"{key}={quote(value)}" for key, value in more.items() if value)
        lines = [views.enrollment_line(item) for item in page.items]
        return self._show(
            request,
            "enrollments",
            at="journeys",
            journey=name,
            step=step,
            state=state,
            states=STATES,
            lines=lines,
            following=following,
            read_ms=page.read_ms,
            first="cursor" not in asked,
        )

    async def _find(self, request: Request) -> Response:
        subject = request.query_params.get("id", "").strip()
        if not subject:
            return self._show(request, "find", at="find")
        kind = "accounts" if request.query_params.get("kind") == "account" else "people"
        return RedirectResponse(f"{PATH}/{kind}/{quote(subject, safe='')}", 303, headers=page_headers(STYLE))

    async def _person(self, request: Request) -> Response:
        return await self._subject(request, "user", "people")

    async def _account(self, request: Request) -> Response:
        return await self._subject(request, "account", "accounts")

    async def _subject(self, request: Request, kind: SubjectType, before: str) -> Response:
        subject = check_id(self._parts, in_path(request, before), "the id")
        found = await self._sources.standing.read(kind, subject)
        since = request.query_params.get("decisions")
        decisions = None
        if since in SINCE_MS:
            whose = subject if found is None else str(found["subject"])
            since_ms = self._now_ms() - SINCE_MS[since]
            decisions = await self._sources.decisions(kind, whose, since_ms)
            decisions = [views.decision_line(one) for one in reversed(decisions)]
        lines = [views.enrollment_line(item) for item in found["enrollments"]] if found is not None else []
        return self._show(
            request,
            "subject",
            at="find",
            kind=kind,
            subject=subject,
            found=found,
            lines=lines,
            decisions=decisions,
            since=since,
            spans=SINCE_MS,
        )

    async def _timers(self, request: Request) -> Response:
        asked = "read" in request.query_params
        found = await self._sources.timers() if asked else []
        late = views.timer_groups(found, self._now_ms())
        return self._show(request, "timers", at="timers", asked=asked, groups=late)

    # -- what they share

    def _now_ms(self) -> int:
        return self._sources.clock.now_ms()

    async def _defined(self) -> Defined | None:
        return await asyncio.to_thread(self._sources.defined)

    def _told(self, request: Request, status: int, text: str) -> Response:
        headers = {"retry-after": retry_after(AGAIN_S)} if status == 503 else {}  # noqa: PLR2004 - HTTP's
        return self._show(request, "told", status, headers, at="", text=text)

    def _show(
        self,
        request: Request,
        name: str,
        status: int = 200,
        headers: dict[str, str] | None = None,
        **values: Any,
    ) -> Response:
        now_ms = self._now_ms()
        return render(
            f"console/{name}.html",
            status,
            {**_HEADERS, **(headers or {})},
            STYLE,
            who=self._who(request),
            path=PATH,
            live=LIVE_S if "live" in request.query_params else None,
            here=request.url.path,
            is_ready=self._sources.ready(),
            at_time=lambda at_ms: moment(at_ms, now_ms),
            span=span,
            number=number,
            outcome_words=outcome_words,
            subject_path=views.subject_path,
            **values,
        )
