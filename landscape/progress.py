"""Lines on long work, now and then."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

LOG = logging.getLogger("landscape")
EVERY = 10.0
"""Seconds between two lines."""


@dataclass
class Progress:
    """Says how far a piece of work is, if it takes long.

    Attributes:
        what: What is done, such as ``hashing runs/seed_0``.
        total: Size of the work.
        unit: Unit of the size.
        scale: What a size is divided by before it is shown.
        done: Size of what is done.
    """

    what: str
    total: float
    unit: str
    scale: float = 1.0
    done: float = 0.0
    _begin: float = field(default_factory=time.monotonic)
    _last: float = field(default_factory=time.monotonic)

    def advance(self, size: float) -> None:
        """Count a finished part, and say so if nothing was said for a while.

        Args:
            size: Size of the part.
        """
        self.done += size
        now = time.monotonic()
        if now - self._last > EVERY and self.done < self.total:
            self._last = now
            done, total = (f"{value / self.scale:.3g}" for value in (self.done, self.total))
            LOG.info("%s: %s of %s %s in %.0f s", self.what, done, total, self.unit, now - self._begin)


def of_bytes(what: str, total: int) -> Progress:
    """Progress over bytes, shown in GB."""
    return Progress(what, total, "GB", 1e9)
