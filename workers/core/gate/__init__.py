"""The gate that every message passes, and the rules that it knows."""
