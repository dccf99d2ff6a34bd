"""What is read off the losses of examples along a path. NumPy and SciPy only."""
