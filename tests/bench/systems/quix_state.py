"""Quix Streams with state written by hand."""

from __future__ import annotations

from tests.bench.systems.quix import Quix

SYSTEM = Quix("quix_state", "state", "21 daily counts per user in one state value, by hand")
