"""Where points come from. Importing this costs no torch; ``models`` does."""

from landscape.checkpoints.cache import Cache
from landscape.checkpoints.reference import expand, find

__all__ = ["Cache", "expand", "find"]
