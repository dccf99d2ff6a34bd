"""Kinds of path, one per file: coefficients over anchors, and the number of smooth pieces."""
