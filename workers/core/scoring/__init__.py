"""Decaying scores with thresholds."""
