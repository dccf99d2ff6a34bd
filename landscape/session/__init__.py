"""What a worker keeps between tasks."""
