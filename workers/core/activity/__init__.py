"""What a subject did, in a few bytes: windows, series, distinct values, and where in the row they stand."""
