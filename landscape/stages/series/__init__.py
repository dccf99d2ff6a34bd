"""Series over training: sources, noise, and the smooth curve of each."""
