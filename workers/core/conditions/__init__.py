"""Conditions compiled into closures, with three outcomes."""
