"""What a study of some checkpoints could measure; each kind of measure says it of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from landscape.study.checkpoint import STEP_LABELS
from landscape.study.measure import Grid

Setting = str | int | float | bool | Sequence[str] | Sequence[int]
"""A value of a study file."""


@dataclass(frozen=True)
class Inventory:
    """What there is to measure.

    Attributes:
        grid: The checkpoints.
        objective: Their objective.
        alignable: Whether the symmetries of their architecture are known.
        probes: Probes that need nothing beside what is given.
        train_text: A text that they were trained on, or like it; empty for none.
    """

    grid: Grid
    objective: str
    alignable: bool = False
    probes: tuple[str, ...] = ()
    train_text: str = ""

    @property
    def pairing(self) -> tuple[str, ...]:
        """Labels by which runs can be paired, the seed first; ``all`` if there is none."""
        names = dict.fromkeys(name for c in self.grid.runs for name, _ in c.labels if name not in STEP_LABELS)
        return tuple(sorted(names, key=lambda name: name != "seed")) or ("all",)

    @property
    def last(self) -> dict[str, Setting]:
        """The setting that takes the last step only; none where checkpoints have no steps."""
        return {"at_steps": "last"} if self.steps(1) else {}

    def steps(self, count: int) -> list[int]:
        """Some training steps of the runs, about evenly spread on a logarithmic axis.

        Args:
            count: How many, at most.
        """
        return spread(sorted({c.step for c in self.grid.runs if c.step is not None}), count)


@dataclass(frozen=True)
class Proposal:
    """A ``[[measure]]`` that makes sense.

    Attributes:
        why: What it answers.
        settings: Its settings beside the kind.
        on: Whether it is measured unless the user decides otherwise; others are written as comments.
    """

    why: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    on: bool = True


def spread(steps: Sequence[int], count: int) -> list[int]:
    """Some of these steps, the first and the last among them, about evenly spread on a logarithmic axis.

    >>> spread(range(0, 1001, 10), 5)
    [0, 20, 90, 310, 1000]

    Args:
        steps: Steps, rising.
        count: How many are wanted, at most.
    """
    if len(steps) <= count:
        return list(steps)
    axis = np.log1p(np.asarray(steps, float) / max(1, steps[1]))
    wanted = np.linspace(axis[0], axis[-1], count)
    return [steps[i] for i in sorted({int(np.abs(axis - at).argmin()) for at in wanted})]
