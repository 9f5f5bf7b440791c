"""HTTP to the outside: one guarded client for every provider."""
