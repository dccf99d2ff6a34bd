"""Dated changes of series, and the stages between them."""
