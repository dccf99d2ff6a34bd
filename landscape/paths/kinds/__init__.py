"""Kinds of path: coefficients over anchors, one kind a file."""
