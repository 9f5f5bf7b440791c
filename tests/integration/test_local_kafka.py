"""The broker that developers and tests start on their own machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient

pytestmark = pytest.mark.kafka


def test_the_session_broker_answers(kafka: str, topic_prefix: str) -> None:
    """A test that asks for ``kafka`` gets a broker that answers, and a prefix of its own."""
    assert AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).brokers
    assert topic_prefix.startswith("the-session-broker-answers-")
