"""Mode connectivity and loss landscapes across checkpoints and seeds."""

__version__ = "0.1.0"
