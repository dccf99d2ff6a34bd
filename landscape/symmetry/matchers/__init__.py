"""Ways to align, one per file: how the elements of several checkpoints are chosen."""
