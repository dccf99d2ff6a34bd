"""Points kept in memory, evicted by farthest next use, which a plan knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class Cache(Generic[T]):
    """A cache of at most ``capacity`` items.

    The item dropped is the one whose next use lies farthest ahead, the optimal rule when the uses are
    known (Belady 1966); least-recently-used would drop the very block that a tile holds.

    Attributes:
        capacity: Items kept.
        uses: For each key, the rising plan positions at which it is needed.
    """

    capacity: int
    uses: Mapping[str, Sequence[int]]
    items: dict[str, T] = field(default_factory=dict)

    def get(self, key: str, now: int, make: Callable[[T | None], T]) -> T:
        """The item, made if it is not here.

        Args:
            key: Which item.
            now: The plan position being worked on.
            make: Makes the item; it is given the one dropped, if any, whose memory it may use.
        """
        if key not in self.items:
            dropped = None
            if len(self.items) >= self.capacity:
                dropped = self.items.pop(max(self.items, key=lambda held: self._next_use(held, now)))
            self.items[key] = make(dropped)
        return self.items[key]

    def _next_use(self, key: str, now: int) -> float:
        return float(next((use for use in self.uses.get(key, ()) if use >= now), "inf"))
