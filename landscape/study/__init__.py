"""A study: its file, its tasks with their keys, and the rows of those that are done. No torch."""
