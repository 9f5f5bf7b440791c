"""Conditions on what the subject is in, got and agreed to: journeys, messages, segments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.workspace.spans import span_text
from workers.core.conditions.compiled import LOOK_UP, SEARCH, CompiledCondition, earliest
from workers.core.conditions.outcome import Outcome, of
from workers.core.conditions.spans import compile_span, needs_zones

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.workspace import (
        AccountSegmentCondition,
        ConsentCondition,
        ConvertedCondition,
        EnrolledCondition,
        ExperimentCondition,
        LlmCondition,
        ReceivedCondition,
        SegmentCondition,
        SpanValue,
    )
    from schemas.workspace.conditions import JourneysNamed
    from workers.core.conditions.compiled import Names, Values
    from workers.core.conditions.spans import Span
    from workers.core.facts import Moment


def received(condition: ReceivedCondition, names: Names) -> CompiledCondition:
    """Whether a message was sent within a span."""
    tags, channel = frozenset(condition.received.tag or ()), condition.received.channel
    span = _span(condition.within, names)
    which = [f"tag {', '.join(sorted(tags))}"] if tags else []
    which += [f"channel {channel}"] if channel else []
    name = f"received {' '.join(which)} within {span.label}"

    def newest_ms(moment: Moment) -> int | None:
        bounds = span.bounds(moment, 0)
        return None if bounds is None else moment.received_at_ms(tags, channel, *bounds)

    def test(moment: Moment, values: Values) -> Outcome:
        at_ms = values[name] = newest_ms(moment)
        if at_ms is None and span.bounds(moment, 0) is None:
            return Outcome.MISSING
        return of(at_ms is not None)

    def changes_at_ms(moment: Moment) -> int | None:
        coming = (message.at_ms for message in moment.progress.messages)
        return earliest((_leaves_ms(span, newest_ms(moment), moment), *coming), moment.now_ms)

    return CompiledCondition(name, SEARCH, test, changes_at_ms)


def enrolled(condition: EnrolledCondition, names: Names) -> CompiledCondition:
    """Whether the subject is in a journey, or last entered one within a span."""
    journeys, label = _journeys(condition.enrolled, names)
    if condition.within is not None:
        name = f"enrolled {label} within {span_text(condition.within)}"
        span = _span(condition.within, names)
        return _last_within(name, span, lambda moment: moment.entered_at_ms(journeys))
    name = f"enrolled {label}"

    def test(moment: Moment, values: Values) -> Outcome:
        journey = values[name] = moment.enrolled(journeys)
        return of(journey is not None)

    return CompiledCondition(name, SEARCH, test)


def converted(condition: ConvertedCondition, names: Names) -> CompiledCondition:
    """Whether the subject reached the goal of a journey within a span."""
    journeys, label = _journeys(condition.converted, names)
    name = f"converted {label} within {span_text(condition.within)}"
    return _last_within(
        name, _span(condition.within, names), lambda moment: moment.facts.converted_at_ms(journeys)
    )


def in_segment(condition: SegmentCondition) -> CompiledCondition:
    """Whether the subject is in a segment."""
    segment = condition.in_segment
    name = f"in_segment {segment}"

    def test(moment: Moment, values: Values) -> Outcome:
        inside = values[name] = moment.facts.in_segment(segment)
        return of(inside)

    return CompiledCondition(name, LOOK_UP, test)


def account_in_segment(condition: AccountSegmentCondition) -> CompiledCondition:
    """Whether the user's account is in a segment; missing where the account has not told."""
    segment, assumed = condition.account.in_segment, condition.account.if_missing
    unknown = Outcome.MISSING if assumed is None else of(assumed == "pass")
    name = f"account in_segment {segment}"

    def test(moment: Moment, values: Values) -> Outcome:
        inside = values[name] = moment.facts.account_in_segment(segment)
        return unknown if inside is None else of(inside)

    return CompiledCondition(name, LOOK_UP, test)


def variant_is(condition: ExperimentCondition) -> CompiledCondition:
    """Whether the enrollment has one of some variants."""
    experiment, wanted = condition.experiment, frozenset(condition.is_)
    name = f"experiment {experiment}"

    def test(moment: Moment, values: Values) -> Outcome:
        variant = values[name] = (moment.variants or {}).get(experiment)
        return Outcome.MISSING if variant is None else of(variant in wanted)

    return CompiledCondition(f"{name} is {', '.join(sorted(wanted))}", LOOK_UP, test)


def llm_said(condition: LlmCondition) -> CompiledCondition:
    """Whether an LLM step of the enrollment came to one of some outcomes."""
    step, wanted = condition.llm, frozenset(condition.is_)
    name = f"llm {step}"

    def test(moment: Moment, values: Values) -> Outcome:
        said = values[name] = (moment.llm or {}).get(step)
        return Outcome.MISSING if said is None else of(said in wanted)

    return CompiledCondition(f"{name} is {', '.join(sorted(wanted))}", LOOK_UP, test)


def consents(condition: ConsentCondition) -> CompiledCondition:
    """Whether the subject consents."""
    channel, topic = condition.consent.channel, condition.consent.topic
    name = f"consent {channel}" if topic is None else f"consent {channel} {topic}"

    def test(moment: Moment, values: Values) -> Outcome:
        said = values[name] = moment.facts.consent(channel, topic)
        return Outcome.MISSING if said is None else of(said)

    return CompiledCondition(name, LOOK_UP, test)


def _last_within(name: str, span: Span, last_ms: Callable[[Moment], int | None]) -> CompiledCondition:
    """Whether the last time of something lies in a span; false where it never was."""

    def test(moment: Moment, values: Values) -> Outcome:
        at_ms, bounds = last_ms(moment), span.bounds(moment, 0)
        values[name] = at_ms
        if bounds is None:
            return Outcome.MISSING
        return of(at_ms is not None and bounds[0] <= at_ms < bounds[1] and at_ms <= moment.now_ms)

    def changes_at_ms(moment: Moment) -> int | None:
        at_ms = last_ms(moment)
        return earliest((at_ms, _leaves_ms(span, at_ms, moment)), moment.now_ms)

    return CompiledCondition(name, SEARCH, test, changes_at_ms)


def _leaves_ms(span: Span, at_ms: int | None, moment: Moment) -> int | None:
    """When what lies at ``at_ms`` leaves a sliding span; when the calendar moves another one on."""
    if span.sliding_ms is None:
        return span.edge_ms(moment)
    return None if at_ms is None else at_ms + span.sliding_ms


def _span(within: SpanValue, names: Names) -> Span:
    return compile_span(within, names.zones() if needs_zones(within) else None)


def _journeys(named: JourneysNamed, names: Names) -> tuple[frozenset[str], str]:
    by_name, by_tag = named.journey or (), named.tag or ()
    return names.journeys(by_name, by_tag), ", ".join((*by_name, *(f"tag {tag}" for tag in by_tag)))
