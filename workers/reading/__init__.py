"""Reading what already is in topics and files, for commands that look and go."""
