"""LLM steps and new versions of their journey, pauses and shadows: who waits for an answer is not lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from schemas import wire
from tests.unit.core.kit import HOUR, SECOND, World
from tests.unit.core.llm_kit import answered, branch, classify
from tests.unit.core.releases_kit import BANNER, Publisher, edited, places, waiting
from workers.core.journeys.answering import answer
from workers.core.journeys.releases import Wishes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.core.commands import Transition

MINUTE = 60 * SECOND
DATA: Mapping[str, Any] = {"mail": {"trait": "email"}}
ASKS = classify(data=DATA)
BY_INTENT = branch(interested="offer", not_now="later")


def question(world: World) -> wire.LlmAsked:
    """The only question that was put."""
    (asked,) = [one for one in world.questions if isinstance(one, wire.LlmAsked)]
    return asked


def come(world: World, record: wire.LlmAnswered) -> Transition:
    """An answer arrives."""
    return world.take(answer(world.plan, record, world.facts(), world.progress, world.now_ms))


def test_the_answer_is_for_the_version_that_governs_now() -> None:
    """Steps were added before and behind the question: it is found by its id, and asked once."""
    publisher = waiting([ASKS, BY_INTENT])
    publisher.publish(edited([BANNER, ASKS, {"update": {"traits": {"x": 1}}}, BY_INTENT]))
    publisher.sweep()
    assert places(publisher) == {"intent"}
    come(publisher.world, answered(question(publisher.world), "interested"))
    assert publisher.world.sent() == ["offer"]


def test_a_label_that_is_gone_counts_as_the_fallback() -> None:
    """The new version does not approve of it any more."""
    publisher = waiting([ASKS, BY_INTENT])
    publisher.publish(edited([classify(data=DATA, classify=["keen", "other"]), branch(keen="offer")]))
    come(publisher.world, answered(question(publisher.world), "interested"))
    assert publisher.world.sent() == ["otherwise"]
    assert publisher.world.outcomes("llm") == [("fallback", "not_approved_any_more")]


def test_a_shorter_time_counts_from_when_the_step_was_reached() -> None:
    """As of any wait that was made shorter: they are over within ten minutes, not in one second."""
    publisher = waiting([ASKS, BY_INTENT])
    publisher.publish(edited([classify(data=DATA, timeout="1m"), BY_INTENT]))
    publisher.sweep()
    publisher.world.advance(10 * MINUTE)
    assert publisher.world.outcomes("llm") == [("fallback", "timed_out")]


def test_a_longer_time_gives_the_answer_more_of_it() -> None:
    """The question itself keeps its own deadline."""
    publisher = waiting([ASKS, BY_INTENT])
    publisher.publish(edited([classify(data=DATA, timeout="1h"), BY_INTENT]))
    publisher.sweep()
    publisher.world.advance(30 * MINUTE)
    come(publisher.world, answered(question(publisher.world), "interested"))
    assert publisher.world.sent() == ["offer"]


def test_whose_question_is_gone_leaves_and_takes_it_back() -> None:
    """The step is in no version any more."""
    publisher = waiting([ASKS, BY_INTENT])
    publisher.publish(edited([BANNER]))
    publisher.sweep()
    assert publisher.world.outcomes("exit") == [("exited", "version_gone")]
    assert isinstance(publisher.world.questions[-1], wire.LlmWithdrawn)
    come(publisher.world, answered(question(publisher.world), "interested"))
    assert publisher.world.outcomes("llm") == [("late", None)]


def test_who_is_moved_to_another_step_is_not_moved_by_the_answer() -> None:
    """The answer is recorded; the step that they stand at now takes them on."""
    publisher = waiting([ASKS, BY_INTENT])
    moved = edited([{"id": "pause", "wait": "1d"}, BANNER])
    publisher.publish(moved, wishes=Wishes(moves={"upsell": {"intent": "pause"}}))
    publisher.sweep()
    assert places(publisher) == {"pause"}
    come(publisher.world, answered(question(publisher.world), "interested"))
    assert places(publisher) == {"pause"}
    assert publisher.world.outcomes("llm") == [("late", None)]


def test_an_answer_during_a_pause_is_kept_until_it_is_over() -> None:
    """Nothing runs meanwhile, and the journey goes on with the answer, also where its time was over."""
    publisher = waiting([ASKS, BY_INTENT])
    publisher.say("upsell", "paused")
    publisher.sweep()
    publisher.world.advance(HOUR)
    come(publisher.world, answered(question(publisher.world), "interested"))
    assert publisher.world.sent() == []
    publisher.world.advance(HOUR)
    assert publisher.world.sent() == []
    publisher.say("upsell", "running")
    publisher.sweep()
    publisher.world.advance(MINUTE)
    assert publisher.world.sent() == ["offer"]


def test_a_time_that_is_over_during_a_pause_leads_to_the_fallback_after_it() -> None:
    """No answer came; the time is over as soon as time counts again."""
    publisher = waiting([ASKS, BY_INTENT])
    publisher.say("upsell", "paused")
    publisher.sweep()
    publisher.world.advance(HOUR)
    assert publisher.world.outcomes("llm") == []
    publisher.say("upsell", "running")
    publisher.sweep()
    publisher.world.advance(MINUTE)
    assert publisher.world.sent() == ["otherwise"]
    assert publisher.world.outcomes("llm") == [("fallback", "timed_out")]


def test_an_answer_for_a_version_that_is_not_known_here_yet_is_kept() -> None:
    """A worker that is behind does not lose it: the enrollment goes on with it once the version is known."""
    publisher = waiting([ASKS, BY_INTENT])
    world = publisher.world
    known = world.progress
    (held,) = known.enrollments
    world.progress = replace(known, enrollments=(replace(held, version="newer"),))
    come(world, answered(question(world), "interested"))
    assert world.sent() == []
    assert world.outcomes("llm") == [("answered", None)]
    (held,) = world.progress.enrollments
    world.progress = replace(world.progress, enrollments=(replace(held, version=publisher.version() or ""),))
    world.advance(10 * MINUTE)
    assert world.sent() == ["offer"]
    assert world.outcomes("llm") == [("answered", None)]


def test_a_shadow_records_that_it_would_ask_and_goes_on_with_the_fallback() -> None:
    """A rehearsal costs nothing."""
    publisher = _shadow(ASKS)
    mine = [one for one in publisher.world.decisions if one.journey == "upsell~shadow" and one.kind == "llm"]
    assert [(one.outcome, one.reason) for one in mine] == [("would_ask", "shadow")]
    assert mine[0].values["data"] == {"mail": "u1@example.com"}
    assert publisher.world.questions == []


def test_a_shadow_asks_where_its_step_says_so() -> None:
    """So that what the model would say can be seen before anybody is moved by it."""
    publisher = _shadow(classify(data=DATA, in_shadow=True))
    asked = question(publisher.world)
    assert asked.journey == "upsell~shadow"
    come(publisher.world, answered(asked, "interested"))
    shadow = [one for one in publisher.world.decisions if one.journey == "upsell~shadow"]
    assert [one.outcome for one in shadow if one.kind == "llm"] == ["answered"]
    assert [one.values["template"] for one in shadow if one.kind == "send"] == ["offer"]


def _shadow(step: dict[str, Any]) -> Publisher:
    publisher = Publisher()
    publisher.publish(edited([BANNER]))
    publisher.publish(edited([step, BY_INTENT]), wishes=Wishes(shadows={"upsell"}))
    publisher.world.track("limit")
    return publisher
