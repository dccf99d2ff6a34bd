"""Ways to find the element that aligns two points, one a file."""
