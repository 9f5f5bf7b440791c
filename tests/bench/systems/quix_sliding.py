"""Quix Streams with its own sliding window."""

from __future__ import annotations

from tests.bench.systems.quix import Quix

SYSTEM = Quix("quix_sliding", "sliding", "its sliding_window of 21 days, counted, emitted as it changes")
