"""Checkpoints whose labels lie."""
