"""Journeys: who enters, what their steps do, how they end, and what a new version means to those inside."""
