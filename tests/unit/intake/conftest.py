"""Fixtures of the gateway's tests."""

from __future__ import annotations

import pytest

from tests.unit.intake.kit import Gateway


@pytest.fixture
def gateway() -> Gateway:
    """A gateway with the default limits."""
    return Gateway()
