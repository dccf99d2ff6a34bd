"""The symmetry group of an architecture: its table, its elements, and what they do to a point."""
