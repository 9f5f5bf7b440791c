"""Templates: compiled once, rendered within a budget, for every channel."""
