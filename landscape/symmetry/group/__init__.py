"""The symmetry group of an architecture: its table, its elements, and their action on points."""
