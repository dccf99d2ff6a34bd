"""Findings in words, and what should be known before they are trusted."""
