"""Reads what the other agents decided and delivered, and counts it."""
