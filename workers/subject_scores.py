"""The scores of one subject inside one transaction: counted, looked at again, and told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import wire
from workers.core.commands import CancelTimer, SetTimer
from workers.core.ids import stable_id
from workers.core.journeys.recipients import points_of
from workers.core.journeys.triggers import trigger
from workers.core.scoring import row as scores
from workers.core.scoring.row import Scored, Scores
from workers.state import MEMBER_SCORES, TABLES
from workers.timers import SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from workers.shell import EngineParts, Subject
    from workers.state import Profile
    from workers.stream.view import View


class SubjectScores:
    """See the module. ``subject`` is whose scores they are."""

    def __init__(self, subject: Subject, view: View, parts: EngineParts) -> None:
        self._subject = subject
        self._view = view
        self._parts = parts
        self._table = view.table(TABLES[subject.kind].scores)

    def known(self, profile: Profile) -> Scored:
        """The scores as conditions read them."""
        return Scored(self._row(), self._subject.plan.scores, profile.traits)

    def record(
        self, event: str, message_id: str, properties: Mapping[str, Any], at_ms: int, now_ms: int
    ) -> None:
        """Count an event, and tell of thresholds that are crossed by that."""
        row = self._row()
        if scores.record(row, self._subject.plan.scores, event, properties, at_ms):
            self._rate(row, (event, message_id), now_ms)

    def look(self, now_ms: int) -> None:
        """After traits changed, or time passed: tell of thresholds that are crossed by that."""
        if self._subject.plan.scores.scores:
            self._rate(self._row(), None, now_ms)

    def take_over(self, theirs: Scores, now_ms: int) -> None:
        """Another id turned out to be this subject."""
        mine = self._row()
        one = scores.merge(mine, theirs, self._subject.plan.scores)
        one.timer_ms = mine.timer_ms
        self._rate(one, None, now_ms)

    def of_members(self, score: str | None, now_ms: int) -> dict[str, float]:
        """What an account knows of a score of its members, by member; empty where it knows nothing."""
        plan = self._parts.plan.user.scores.scores.get(score or "")
        row = self._view.table(MEMBER_SCORES).get(self._subject.key) if plan is not None else None
        return points_of(row, plan.name, plan.half_life_ms, now_ms) if plan is not None and row else {}

    def _row(self) -> Scores:
        return self._table.get(self._subject.key) or Scores()

    def _rate(self, row: Scores, event: tuple[str, str] | None, now_ms: int) -> None:
        """Store the row, one timer for when time alone crosses something, a record of each crossing."""
        subject = self._subject
        plans, traits = subject.plan.scores, subject.profile.traits
        crossings = scores.cross(row, plans, traits, now_ms)
        due_ms = scores.next_change_ms(row, plans, traits, now_ms)
        if due_ms != row.timer_ms:
            timer_id = stable_id("scores", subject.kind, subject.id)
            subject.execute(CancelTimer(timer_id) if due_ms is None else SetTimer(timer_id, due_ms, SCORES))
            row.timer_ms = due_ms
        if subject.plan.told_scores:
            self._tell_accounts(row, now_ms)
        if row.states or row.told:
            self._table.put(subject.key, row)
        for crossing in crossings:
            record = scores.crossed_record(crossing, subject.kind, subject.id, subject.account, event, now_ms)
            self._parts.metrics.scored(record.score, record.threshold, record.direction)
            self._view.send(self._parts.topics("scores"), subject.key, wire.encode(record))
            self._enter(crossing, record, now_ms)

    def _tell_accounts(self, row: Scores, now_ms: int) -> None:
        """Tell the user's accounts how much the scores are that they choose members by."""
        subject = self._subject
        accounts = tuple(subject.accounts)
        for name in sorted(subject.plan.told_scores & subject.plan.scores.scores.keys()):
            plan = subject.plan.scores.scores[name]
            found = scores.news(row, plan, accounts, subject.profile.traits, now_ms)
            if found is None:
                continue
            row.told[name], to = found
            for account in to:
                record = wire.MemberScore(
                    id=stable_id("member_score", account, subject.id, name, str(now_ms)),
                    subject=account,
                    user=subject.id,
                    score=name,
                    standing=row.told[name].standing,
                    fading=row.told[name].fading,
                    at_ms=row.told[name].at_ms,
                )
                self._view.send(self._parts.topics("scheduler"), account.encode(), wire.encode(record))

    def _enter(self, crossing: scores.Crossing, record: wire.ScoreCrossed, now_ms: int) -> None:
        subject = self._subject
        journeys = subject.plan.entering.by_score.get(
            (crossing.score, crossing.threshold, crossing.direction)
        )
        if not journeys or subject.is_silent or crossing.by_definition:
            return
        properties = {
            "score": record.score,
            "threshold": record.threshold,
            "direction": record.direction,
            "value": record.value,
            "contributions": {part.name: part.points for part in record.contributions},
        }
        came = trigger("score", record.score, (record.id,), subject.since_ms(now_ms), properties)
        subject.propose(subject.named(journeys), came, now_ms)
