"""Fixtures that every test may ask for. Mark a test that uses ``kafka`` with ``@pytest.mark.kafka``."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.support.kafka import REQUIRE_VARIABLE, prefix_for, required, start_broker

if TYPE_CHECKING:
    from collections.abc import Iterator


settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
"""A change is judged by the same examples everywhere. ``HYPOTHESIS_PROFILE=explore`` looks for new ones."""


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of the session's one broker, started when the first test asks.

    It is a process of its own, so programs that a test starts reach it too. Where none can be started the
    test is skipped with the reason; with ``BRIMFUL_TEST_REQUIRE=1`` or ``CI=true`` it fails.
    """
    broker = start_broker(tmp_path_factory.mktemp("kafka"), os.environ)
    if isinstance(broker, str):
        if required(os.environ):
            pytest.fail(f"{REQUIRE_VARIABLE} or CI asks for a broker: {broker}", pytrace=False)
        pytest.skip(broker)
    yield broker.bootstrap
    broker.stop()


@pytest.fixture(scope="session")
def kafka_session() -> str:
    """An id of this test session, so that two sessions on one cluster never share a topic."""
    return uuid.uuid4().hex


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest, kafka_session: str) -> str:
    """A prefix for the topics of this test alone, ending in a dot; use it for group ids too."""
    return prefix_for(request.node.nodeid, kafka_session)
