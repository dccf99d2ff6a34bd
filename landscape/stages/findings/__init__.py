"""Findings in words, and their caveats."""
