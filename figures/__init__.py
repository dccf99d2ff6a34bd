"""Figures: a frame in, axes out, nothing saved; ``page`` makes the report of them."""
