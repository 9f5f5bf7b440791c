"""The LLM step: a question leaves once, and an enrollment goes on once, with an approved outcome."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import wire
from tests.unit.core.kit import HOUR, SECOND, World, journey, plan_of
from tests.unit.core.llm_kit import CHOSEN, answered, branch, choose, classify, fill
from workers.core.commands import Transition
from workers.core.journeys.answering import answer
from workers.core.journeys.asking import DATA_MAX_BYTES, TEXT_MAX_CHARS

MINUTE = 60 * SECOND
BY_INTENT = branch(interested="offer", not_now="later")
BANNER: dict[str, Any] = {"send": {"in_app": "banner"}}


def world_of(*steps: dict[str, Any], **fields: Any) -> World:
    """Somebody who could enter a journey with these steps."""
    return World(plan_of(journey(steps=list(steps), **fields)).user)


def entered(*steps: dict[str, Any], text: str = "Yes, please", **fields: Any) -> World:
    """Somebody who entered it with a text."""
    world = world_of(*steps, **fields)
    world.track("limit", text=text)
    return world


def question(world: World, at: int = -1) -> wire.LlmAsked:
    """A question that was put."""
    asked = [one for one in world.questions if isinstance(one, wire.LlmAsked)]
    return asked[at]


def come(world: World, record: wire.LlmAnswered) -> Transition:
    """An answer arrives."""
    return world.take(answer(world.plan, record, world.facts(), world.progress, world.now_ms))


def test_a_question_is_put_when_the_step_is_reached_and_the_journey_waits() -> None:
    """With all that its answer is checked by, and nothing but the data that the step names."""
    world = entered(classify(), BY_INTENT, text="Yes, please")
    assert len(world.questions) == 1
    asked = question(world)
    assert (asked.connection, asked.task, asked.step) == ("assistant", "classify", "intent")
    assert asked.data == {"reply": "Yes, please"}
    assert list(asked.options or {}) == ["interested", "not_now", "other"]
    assert asked.until_ms == world.now_ms + 10 * MINUTE - 5 * SECOND
    (held,) = world.progress.enrollments
    (place,) = held.places
    assert (place.step, place.due_ms) == ("intent", world.now_ms + 10 * MINUTE)
    assert world.sent() == []


@pytest.mark.parametrize(
    ("value", "banner"), [("interested", "offer"), ("not_now", "later"), ("other", "otherwise")]
)
def test_a_branch_goes_by_the_label(value: str, banner: str) -> None:
    """In the transaction in which the answer comes."""
    world = entered(classify(), BY_INTENT)
    come(world, answered(question(world), value))
    assert world.sent() == [banner]
    assert world.outcomes("llm") == [("answered", None)]


def test_the_whole_exchange_stands_in_the_decision() -> None:
    """Prompt, model, answer, tokens, cost, latency."""
    world = entered(classify(), BY_INTENT)
    come(world, answered(question(world), "interested"))
    (decision,) = [one for one in world.decisions if one.kind == "llm"]
    assert (decision.step, decision.values["value"]) == ("intent", "interested")
    assert decision.values["exchange"] == {
        "connection": "assistant",
        "model": "small",
        "prompt": [{"role": "user", "content": "prompt"}],
        "answer": "{}",
        "calls": 1,
        "input_tokens": 100,
        "output_tokens": 5,
        "cost_nanos": 1_500,
        "latency_ms": 700,
    }


@pytest.mark.parametrize("value", ["INTERESTED", "interested; send everything", "", "exit"])
def test_nothing_but_an_approved_outcome_moves_anybody(value: str) -> None:
    """Whatever came over the topic: the fallback counts, and the decision says why."""
    world = entered(classify(), BY_INTENT)
    come(world, answered(question(world), value))
    assert world.sent() == ["otherwise"]
    assert world.outcomes("llm") == [("fallback", "not_approved_any_more")]


def test_an_answer_that_failed_leads_to_the_fallback_at_once() -> None:
    """Nobody waits for the rest of the time."""
    world = entered(classify(fallback="not_now"), BY_INTENT)
    come(world, answered(question(world), None, reason="cap_per_day"))
    assert world.sent() == ["later"]
    assert world.outcomes("llm") == [("fallback", "cap_per_day")]


def test_without_an_answer_the_fallback_counts_when_the_time_is_over() -> None:
    """At the deadline, not before."""
    world = entered(classify(), BY_INTENT)
    world.advance(10 * MINUTE - 1)
    assert world.sent() == []
    world.advance(1)
    assert world.sent() == ["otherwise"]
    assert world.outcomes("llm") == [("fallback", "timed_out")]


def test_an_answer_that_comes_twice_counts_once() -> None:
    """The second one changes nothing and is told nowhere."""
    world = entered(classify(), {"wait": "1d"}, BY_INTENT)
    record = answered(question(world), "interested")
    come(world, record)
    before = world.progress
    assert come(world, record) == Transition(before)
    assert world.outcomes("llm") == [("answered", None)]


def test_the_same_failure_twice_counts_once() -> None:
    """A fallback by an answer is remembered like an answer."""
    world = entered(classify(), {"wait": "1d"})
    record = answered(question(world), None)
    come(world, record)
    assert come(world, record).commands == ()


def test_an_answer_after_the_time_is_recorded_and_moves_nobody() -> None:
    """It was paid for: the exchange is kept."""
    world = entered(classify(), {"wait": "1d"}, BY_INTENT)
    world.advance(11 * MINUTE)
    before = world.progress
    come(world, answered(question(world), "interested"))
    assert world.progress is before
    assert world.outcomes("llm") == [("fallback", "timed_out"), ("late", None)]
    assert "exchange" in world.decisions[-1].values
    world.advance(24 * HOUR)
    assert world.sent() == ["otherwise"]


def test_an_answer_after_the_exit_is_recorded_and_moves_nobody() -> None:
    """The question is taken back when the enrollment ends."""
    world = entered(classify(), BY_INTENT, exit=[{"when": {"event": "paid"}}])
    world.track("paid")
    asked = question(world)
    assert [one.request for one in world.questions if isinstance(one, wire.LlmWithdrawn)] == [asked.id]
    come(world, answered(asked, "interested"))
    assert world.sent() == []
    assert world.outcomes("llm") == [("late", None)]


def test_an_answer_for_somebody_who_is_not_known_is_recorded() -> None:
    """The row may be gone long since."""
    world = entered(classify())
    other = World(world.plan, "u2")
    come(other, answered(question(world), "interested"))
    assert other.outcomes("llm") == [("late", None)]


def test_an_exit_at_the_same_moment_comes_first() -> None:
    """A condition that ends the journey holds when the answer comes: no step runs."""
    leaving = [{"when": {"trait": "plan", "eq": "pro"}}]
    world = entered(classify(), BY_INTENT, exit=leaving)
    world.traits = {**world.traits, "plan": "pro"}
    come(world, answered(question(world), "interested"))
    assert world.sent() == []
    assert not world.progress.enrollments[0].is_active


def test_the_last_step_of_a_journey_may_be_a_question() -> None:
    """The answer completes it."""
    world = entered(classify())
    come(world, answered(question(world), "interested"))
    assert world.outcomes("exit") == [("completed", None)]


def test_each_round_of_a_loop_asks_anew() -> None:
    """Questions have ids of their own, and the newest answer counts."""
    world = entered({"repeat": {"times": 2, "steps": [classify(), BY_INTENT]}})
    come(world, answered(question(world, 0), "interested"))
    first, second = question(world, 0), question(world, 1)
    assert first.id != second.id
    come(world, answered(second, "not_now"))
    assert world.sent() == ["offer", "later"]


def test_parts_that_run_side_by_side_wait_for_their_own_answers() -> None:
    """In whatever order they come."""
    parts = [{"steps": [classify(), BY_INTENT]}, {"steps": [choose(), CHOSEN]}]
    world = entered({"parallel": parts})
    come(world, answered(question(world, 1), "long"))
    assert world.sent() == ["mail"]
    come(world, answered(question(world, 0), "interested"))
    assert world.sent() == ["mail", "offer"]
    assert world.outcomes("exit") == [("completed", None)]


# -- choose and fill


@pytest.mark.parametrize(
    ("value", "template", "variant"), [("short", "mail_short", "short"), ("long", "mail", "long")]
)
def test_a_send_takes_the_variant_that_was_chosen(value: str, template: str, variant: str) -> None:
    """With its own template, where it has one."""
    world = entered(choose(), CHOSEN)
    come(world, answered(question(world), value))
    (message,) = world.messages
    assert (message.template, message.variant) == (template, variant)


def test_a_send_behind_a_step_that_was_passed_by_takes_the_fallback() -> None:
    """A branch led round the question."""
    never = {"branch": [{"when": {"trait": "plan", "eq": "pro"}, "steps": [choose()]}]}
    world = entered(never, CHOSEN)
    assert world.messages[0].variant == "short"
    assert world.questions == []


def test_a_template_sees_the_text() -> None:
    """By the step's id."""
    world = entered(fill(), {"send": {"email": "mail"}})
    asked = question(world)
    assert (asked.max_chars, asked.forbid, asked.links) == (80, ["free", "guarant*"], ["example.com"])
    come(world, answered(asked, "You are growing fast."))
    assert world.messages[0].context.llm == {"opening": "You are growing fast."}


def test_a_template_sees_the_fallback_of_a_step_that_was_passed_by() -> None:
    """No message has a hole."""
    never = {"branch": [{"when": {"trait": "plan", "eq": "pro"}, "steps": [fill()]}]}
    world = entered(never, {"send": {"email": "mail"}})
    assert world.messages[0].context.llm == {"opening": "Your team is close to its limit."}


@pytest.mark.parametrize(
    "text",
    [
        "See evil.example for more.",
        "Totally FREE today",
        "We guaranteed it",
        "two\nlines",
        "{{ user.email }}",
        "x" * 81,
        " ",
    ],
)
def test_a_text_that_breaks_the_rules_is_never_shown(text: str) -> None:
    """Also where who asked did not see it."""
    world = entered(fill(), {"send": {"email": "mail"}})
    come(world, answered(question(world), text))
    assert world.messages[0].context.llm == {"opening": "Your team is close to its limit."}
    assert world.outcomes("llm") == [("fallback", "not_approved_any_more")]


# -- what is shown, and when nobody is asked


def test_the_model_is_shown_what_the_step_names() -> None:
    """Traits, the account's, properties of the trigger and the awaited event; what is missing is left out."""
    data = {
        "plan": {"trait": "plan"},
        "seats": {"account": "seats"},
        "limit": {"property": "limit_type"},
        "reply": {"awaited": "text"},
        "missing": {"trait": "nothing"},
    }
    waits = {"wait_for": {"event": "replied", "timeout": "7d"}}
    world = world_of(waits, classify(data=data))
    world.traits["plan"] = "starter"
    world.account_traits["seats"] = 5
    world.track("limit", limit_type="seats")
    world.track("replied", text="Tell me more")
    assert question(world).data == {
        "plan": "starter",
        "seats": 5,
        "limit": "seats",
        "reply": "Tell me more",
    }


def test_long_texts_are_cut() -> None:
    """A prompt has a bound, whatever a customer writes."""
    world = entered(classify(), text="x" * (TEXT_MAX_CHARS + 1))
    assert len(question(world).data["reply"]) == TEXT_MAX_CHARS


@pytest.mark.parametrize(("text", "reason"), [("", "no_data"), (["x" * DATA_MAX_BYTES], "too_much_data")])
def test_nobody_is_asked_about_nothing_or_too_much(text: Any, reason: str) -> None:
    """The fallback counts at once."""
    world = entered(classify(), BY_INTENT, text=text)
    assert world.questions == []
    assert world.sent() == ["otherwise"]
    assert world.outcomes("llm") == [("fallback", reason)]


def test_a_holdout_is_classified_like_everybody() -> None:
    """It goes the same way, or it would be compared with others than those like it."""
    world = entered(classify(), BY_INTENT, holdout="100%")
    come(world, answered(question(world), "interested"))
    assert world.sent() == []
    assert ("would_send", None) in [(one, None) for one, _ in world.outcomes("send")]
    assert [one.values["template"] for one in world.decisions if one.kind == "send"] == ["offer"]


@pytest.mark.parametrize("step", [choose(), fill()])
def test_nothing_is_written_or_chosen_for_a_holdout(step: dict[str, Any]) -> None:
    """It gets no message; nobody pays for what nobody sees."""
    world = entered(step, BANNER, holdout="100%")
    assert world.questions == []
    assert world.outcomes("llm") == [("would_ask", "holdout")]


# -- accounts


def test_an_accounts_journey_asks_about_the_account() -> None:
    """And its answer is for the account's partition."""
    plain = journey(subject="account", steps=[classify(data={"plan": {"trait": "plan"}})])
    world = World(plan_of(plain).account, "acme", plan="pro")
    world.track("limit")
    asked = question(world)
    assert (asked.subject_type, asked.subject, asked.data) == ("account", "acme", {"plan": "pro"})
    come(world, answered(asked, "interested"))
    assert world.outcomes("exit") == [("completed", None)]
