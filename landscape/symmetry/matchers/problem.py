"""The input of every way to align. No torch, so that studies can read which settings a way has."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from landscape.symmetry.settings import AlignSettings

if TYPE_CHECKING:
    from torch import Generator as Random

    from landscape.objectives import Objective
    from landscape.symmetry.group.element import Element as Element
    from landscape.symmetry.group.table import Params, Table
else:
    Random = Objective = Element = Params = Table = Any


@dataclass(frozen=True)
class Problem:
    """Several checkpoints in canonical form, to be aligned to the first.

    Attributes:
        table: The architecture.
        form: Gives the canonical form of a checkpoint by its number, and the element that made it.
        first: Canonical form of the first checkpoint.
        settings: How to align.
        only: Names of the groups that may change.
        fitting: Model and the batches to align on; None for ways that read no text.
        random: Source of randomness of each checkpoint; their number is that of the checkpoints.
        report: Called with the number of a checkpoint and what is done with it.
        seconds: Seconds spent on each checkpoint; :meth:`timed` adds to them.
    """

    table: Table
    form: Callable[[int], tuple[Params, Element]]
    first: Params
    settings: AlignSettings
    only: Sequence[str]
    fitting: Objective | None
    random: Sequence[Random]
    report: Callable[[int, str], None]
    seconds: list[float] = field(init=False)

    def __post_init__(self) -> None:
        """Start all clocks at zero."""
        object.__setattr__(self, "seconds", [0.0] * len(self.random))

    @property
    def count(self) -> int:
        """Number of checkpoints."""
        return len(self.random)

    @property
    def batches(self) -> Objective:
        """Model and the batches to align on, where there must be some."""
        assert self.fitting is not None
        return self.fitting

    @contextmanager
    def timed(self, number: int, what: str) -> Generator[None]:
        """Report what is done with a checkpoint, and count its time."""
        begin = time.perf_counter()
        self.report(number, what)
        yield
        self.seconds[number] += time.perf_counter() - begin
