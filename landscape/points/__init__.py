"""Losses and gradients of examples at points: the only place that batches over points."""
