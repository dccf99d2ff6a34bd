"""Symmetries: what fakes a barrier is taken out, and it is proved that the function did not change."""
