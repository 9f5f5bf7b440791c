"""Stripe's webhook events as traits and product events."""
