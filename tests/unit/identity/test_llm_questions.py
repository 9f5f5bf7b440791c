"""Questions to models about people whose ids change, or who are forgotten, while an answer is on its way."""

from __future__ import annotations

from schemas import wire
from tests.unit.core.kit import journey
from tests.unit.core.llm_kit import answered, branch, classify
from tests.unit.identity.kit import Cluster

ASKING = journey("asking", steps=[classify(), branch(interested="offer")])


def asking(**ids: str) -> tuple[Cluster, wire.LlmAsked]:
    """Somebody about whom a model was asked."""
    cluster = Cluster(ASKING)
    cluster.track("limit", properties={"text": "Yes, please"}, **ids)
    cluster.settle()
    (question,) = cluster.of("llm-requests")
    return cluster, question


def come(cluster: Cluster, question: wire.LlmAsked) -> None:
    """The model answers."""
    cluster.send("scheduler", question.subject, wire.encode(answered(question, "interested")))
    cluster.settle()


def test_an_answer_takes_on_who_waits_for_it() -> None:
    """In the engine's partition of the person."""
    cluster, question = asking(userId="u1")
    come(cluster, question)
    assert [one.template for one in cluster.messages()] == ["offer"]
    come(cluster, question)
    assert [one.template for one in cluster.messages()] == ["offer"]


def test_an_answer_follows_a_visitor_who_turned_out_to_be_somebody() -> None:
    """The enrollment moved to the person's partition meanwhile, and so does the answer."""
    cluster, question = asking(anonymousId="visitor-1")
    cluster.identify("u1", "visitor-1")
    cluster.settle()
    come(cluster, question)
    assert [(one.person, one.template) for one in cluster.messages()] == [("u1", "offer")]


def test_who_is_erased_is_asked_about_no_more() -> None:
    """The question is taken back; an answer that comes all the same is recorded nowhere."""
    cluster, question = asking(userId="u1")
    cluster.erase("u1")
    cluster.settle()
    _, withdrawn = cluster.of("llm-requests")
    assert (withdrawn.request, withdrawn.connection) == (question.id, question.connection)
    come(cluster, question)
    assert [one for one in cluster.of("decisions") if one.kind == "llm"] == []
    assert cluster.tables_of("u1") == set()
