"""Where points come from. Importing this costs no torch; ``models`` does."""

from landscape.checkpoints.sources import expand, find

__all__ = ["expand", "find"]
