"""Engines hand tasks out in plan order; they know tasks, not measurements."""
