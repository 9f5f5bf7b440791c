"""One adapter per channel: how a rendered message leaves, and what its provider's answers mean."""
