"""Lines on long work, now and then."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

LOG = logging.getLogger("landscape")
EVERY, LONG = 15.0, 2.0
"""Seconds between two lines, and those that a piece of work takes before anything is said of it."""

_SAID: list[float] = [time.monotonic()]
"""Time of the last line, of any work."""


@dataclass
class Progress:
    """Says how far a piece of work is, if it takes long and nothing was said for a while.

    Attributes:
        what: What is done, such as ``hashing runs/seed_0``.
        total: Size of the work.
        unit: Unit of the size that is shown.
        scale: What a size is divided by before it is shown.
        done: Size of what is done.
    """

    what: str
    total: int | float
    unit: str
    scale: int | float = 1.0
    done: int | float = 0.0
    _begin: float = field(default_factory=time.monotonic)

    def advance(self, size: int | float) -> None:
        """Count a finished part.

        Args:
            size: Size of the part.
        """
        self.done += size
        now = time.monotonic()
        if now - self._begin > LONG and now - _SAID[0] > EVERY and self.done < self.total:
            _SAID[0] = now
            done, total = (f"{value / self.scale:.3g}" for value in (self.done, self.total))
            LOG.info("%s: %s of %s %s in %.0f s", self.what, done, total, self.unit, now - self._begin)


def of_bytes(what: str, total: int) -> Progress:
    """Progress over bytes, shown in GB.

    Args:
        what: What is done.
        total: Bytes in all.
    """
    return Progress(what, total, "GB", 1e9)
