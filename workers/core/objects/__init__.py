"""Typed objects and how they are related to subjects."""
