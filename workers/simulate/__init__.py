"""The applications on an in-memory log in virtual time: what tests and backtests run (docs/simulation.md)."""
