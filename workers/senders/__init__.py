"""Deliver messages through channels, in order for each person."""
