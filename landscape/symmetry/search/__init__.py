"""Search for the best element between two points: by distance, by correlation, and by the loss between."""
