"""``brimful erase``: asks the workers to forget a person, waits for their answers, and looks for itself."""
