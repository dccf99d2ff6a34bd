"""Symmetries: checkpoints are aligned to one another, and it is verified that their functions do not change."""
