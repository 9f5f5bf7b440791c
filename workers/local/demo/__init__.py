"""The demo: a bundled slice of a B2B product's history, mapped to Segment events and replayed faster than it happened."""
