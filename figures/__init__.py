"""Figures: each takes a frame and returns axes, and saves nothing. ``page`` makes the report."""
