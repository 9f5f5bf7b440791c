"""The demo: a slice of a B2B product's history, as Segment events, replayed faster than it happened."""
