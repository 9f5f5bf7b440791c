"""Enrollments and timers: what eligible subjects go through."""
