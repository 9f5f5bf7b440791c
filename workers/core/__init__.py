"""Decisions as functions of state, input and ``now_ms``: no clock, no chance, no I/O."""
