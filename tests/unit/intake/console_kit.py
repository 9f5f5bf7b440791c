"""A console over numbers that are made up: a journey with every kind of step, of which some are stuck."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas.workspace import Workspace
from tests.unit.intake.kit import NOW_MS, Gateway
from workers.clock import FixedClock
from workers.core.compile import compile_workspace
from workers.intake.console.sources import Defined, Sources
from workers.intake.keys import make_key
from workers.intake.settings import ApiSettings, ConsoleSettings
from workers.listed import Page, Place, Wanted
from workers.tallies import HOUR_MS, Standing, StepTally, Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.fields import SubjectType
    from workers.errors import BrimfulError

KEY, READER = make_key("ops", ["console:read"], b"c" * 32)
OTHER_KEY, OTHER = make_key("crm", ["journeys:read", "people:read"], b"o" * 32)
SECRET = b"s" * 32
HOUR = NOW_MS // HOUR_MS

UPSELL: dict[str, Any] = {
    "journey": "plan_limit_upsell",
    "subject": "user",
    "tags": ["upsell"],
    "entry": {"on": {"event": "plan_limit_reached"}, "again": "always"},
    "goal": {"event": "plan_upgraded", "within": "14d"},
    "holdout": "10%",
    "steps": [
        {"id": "banner", "send": {"in_app": "limit_banner"}},
        {"id": "pause", "wait": "1d"},
        {"id": "mail", "send": {"email": "limit_explained"}, "variants": {"usage": 50, "roi": 50}},
        {
            "wait_for": {"event": "email_clicked", "timeout": "3d"},
            "timed_out": [{"id": "offer", "send": {"email": "direct_offer"}}],
        },
        {
            "branch": [
                {
                    "when": {"trait": "plan", "eq": "team"},
                    "steps": [
                        {
                            "parallel": [
                                {"steps": [{"id": "tell", "send": {"webhook": "notify_sales"}}]},
                                {"steps": [{"wait": {"on": ["mon", "wed"], "at": "09:00"}}]},
                            ]
                        }
                    ],
                },
                {
                    "otherwise": [
                        {
                            "split": [
                                {"name": "short", "weight": 50, "steps": [{"wait": "2d"}]},
                                {"name": "none", "weight": 50},
                            ]
                        },
                        {
                            "repeat": {
                                "times": 3,
                                "steps": [
                                    {
                                        "wait_until": {
                                            "when": {"trait": "seats", "gte": 10},
                                            "timeout": "1d",
                                        }
                                    }
                                ],
                            }
                        },
                    ]
                },
            ]
        },
        {"update": {"traits": {"upsell_done": True}}},
        {"enroll": "welcome"},
        {"exit": "done"},
    ],
}
WELCOME: dict[str, Any] = {
    "journey": "welcome",
    "subject": "user",
    "entry": {"on": {"event": "signed_up"}},
    "steps": [{"send": {"in_app": "hello"}}, {"wait": "7d"}],
}


def defined_of(*journeys: dict[str, Any]) -> Defined:
    """A workspace of these journeys in force."""
    workspace = Workspace.model_validate({"name": "acme", "journeys": list(journeys)})
    return Defined("acme", "3f1c9a5e0b7d4c21", NOW_MS - 5 * HOUR_MS, workspace, compile_workspace(workspace))


DEFINED = defined_of(UPSELL, WELCOME)
VERSION = DEFINED.plan.user.journeys["plan_limit_upsell"].version


def tally(kind: str, outcome: str, day: int, total: int, journey: str = "plan_limit_upsell") -> Tally:
    """Of one partition."""
    return Tally(journey, VERSION, kind, outcome, total, 0.0, {HOUR - 3: day})


def step(name: str, kind: str, outcome: str, reason: str, count: int, **more: Any) -> StepTally:
    """Of one partition, an hour ago."""
    fields: dict[str, Any] = {"problem": False, "samples": [], "hours": {HOUR - 1: count}} | more
    return StepTally(
        "plan_limit_upsell",
        name,
        kind,
        outcome,
        reason,
        count=count,
        first_ms=NOW_MS - 50 * HOUR_MS,
        last_ms=NOW_MS - HOUR_MS,
        **fields,
    )


class Counted:
    """Rows as the insights keep them, of two partitions."""

    def __init__(self) -> None:
        self.made_tallies = [
            tally("entry", "enrolled", 120, 4_200),
            tally("entry", "enrolled", 20, 800),
            tally("exit", "completed", 60, 2_500),
            tally("exit", "exited", 12, 900),
            tally("goal", "converted", 9, 310),
            tally("send", "send", 300, 12_345),
            tally("entry", "enrolled", 4, 40, "welcome"),
        ]
        self.made_steps = [
            step("mail", "send", "send", "", 90),
            step("mail", "send", "skip", "no_consent", 7, problem=True, samples=["user:grace"]),
            step(
                "mail",
                "delivery",
                "failed",
                "missing_variable:user.seats_used",
                14,
                problem=True,
                samples=["user:ada", "user:team/linus"],
            ),
            step("pause", "problem", "put_off", "handler_error", 2, problem=True, samples=["user:ada"]),
        ]
        self.made_standing = [
            Standing("user", "plan_limit_upsell", VERSION, "pause", 1_000, NOW_MS),
            Standing("user", "plan_limit_upsell", VERSION, "pause", 204, NOW_MS),
            Standing("user", "plan_limit_upsell", VERSION, "3", 77, NOW_MS),
            Standing("user", "plan_limit_upsell", "0" * 16, "old", 5, NOW_MS),
            Standing("user", "welcome", "v", "1", 12, NOW_MS),
        ]

    def tallies(self) -> Sequence[Tally]:
        """See Rows."""
        return self.made_tallies

    def steps(self) -> Sequence[StepTally]:
        """See Rows."""
        return self.made_steps

    def standing(self) -> Sequence[Standing]:
        """See Rows."""
        return self.made_standing


def enrollment(subject: str, **more: Any) -> dict[str, Any]:
    """An item as the readers tell it."""
    position = {
        "step": "pause",
        "since_ms": NOW_MS - 30 * HOUR_MS,
        "due_ms": NOW_MS - 6 * HOUR_MS,
        "until_ms": None,
        "rounds": {},
        "waits_for": "time",
    }
    return {
        "subject_type": "user",
        "subject": subject,
        "journey": "plan_limit_upsell",
        "version": VERSION,
        "enrollment": "ab" * 16,
        "key": None,
        "state": "active",
        "step": "pause",
        "positions": [position],
        "entered_at_ms": NOW_MS - 30 * HOUR_MS,
        "due_ms": NOW_MS - 6 * HOUR_MS,
        "late_ms": 6 * HOUR_MS,
        "holdout": False,
        "variants": {"mail": "roi"},
        "account": None,
        "trigger": {"event": "plan_limit_reached", "at_ms": NOW_MS - 30 * HOUR_MS},
        "first_sent_at_ms": None,
        "converted_at_ms": None,
        "ended_at_ms": None,
        "end_reason": None,
    } | more


class Made:
    """Everything that the console asks, and a gateway that serves it."""

    def __init__(self, **more: Any) -> None:
        self.rows = Counted()
        self.defined: Defined | None = DEFINED
        self.is_ready = True
        self.error: BrimfulError | None = None
        self.asked: list[Any] = []
        self.wall = FixedClock(NOW_MS)
        self.subjects: dict[tuple[str, str], dict[str, Any]] = {}
        self.late: list[dict[str, Any]] = []
        self.know("user", "ada", enrollment("ada"))
        sources = Sources(
            FixedClock(NOW_MS),
            self.rows,
            lambda: self.is_ready,
            lambda: self.defined,
            self,
            self,
            self.decisions,
            self.timers,
        )
        self.config = ConsoleSettings(sources, (SECRET,), secure=False, wall=self.wall)
        self.gateway = Gateway(more={"api": ApiSettings((READER, OTHER), console=self.config)} | more)

    def know(self, kind: str, subject: str, *items: dict[str, Any]) -> None:
        """Somebody stands somewhere."""
        held = {
            "journey": "plan_limit_upsell",
            "reason": "quiet_hours",
            "since_ms": NOW_MS,
            "until_ms": NOW_MS,
        }
        received = {"channel": "email", "journey": "welcome", "tags": ["upsell"], "at_ms": NOW_MS - HOUR_MS}
        self.subjects[kind, subject] = {
            "subject_type": kind,
            "subject": subject,
            "enrollments": list(items),
            "held": [held],
            "received": [received],
            "withheld": [],
        }

    async def read(self, kind: SubjectType, subject: str) -> dict[str, Any] | None:
        """Where a subject stands."""
        self._ask("standing", kind, subject)
        return self.subjects.get((kind, subject))

    async def page(self, wanted: Wanted, place: Place, limit: int) -> Page:
        """Two pages of who is inside."""
        self._ask("page", wanted, place, limit)
        first = place == Place()
        items = (
            [enrollment("ada"), enrollment("team/linus", late_ms=None)] if first else [enrollment("grace")]
        )
        return Page(items, Place(3, "ab" * 16) if first else None, NOW_MS)

    async def decisions(self, kind: SubjectType, subject: str, since_ms: int) -> list[dict[str, Any]]:
        """One decision."""
        self._ask("decisions", kind, subject, since_ms)
        said = {"channel": "email", "template": "limit_explained"}
        one = {
            "kind": "send",
            "journey": "welcome",
            "step": "mail",
            "outcome": "skip",
            "reason": "no_consent",
        }
        return [{**one, "values": said, "at_ms": NOW_MS - HOUR_MS}]

    async def timers(self) -> list[dict[str, Any]]:
        """Those that are overdue."""
        self._ask("timers")
        return self.late

    def _ask(self, *what: Any) -> None:
        self.asked.append(what)
        if self.error is not None:
            raise self.error
