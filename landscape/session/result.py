"""What comes of a task, and what was measured at some points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from landscape.rows import Row
from landscape.shapes import Float, Int


@dataclass(frozen=True)
class Result:
    """Rows of a task, and the per-example losses to keep."""

    rows: list[Row]
    losses: Float[np.ndarray, "rows examples"] | None = None


@dataclass(frozen=True)
class How:
    """How points were evaluated.

    Attributes:
        device: Device of torch.
        strategy: How points and examples were batched.
        threads: Threads of the forward pass.
        seconds: Time that it took.
    """

    device: str
    strategy: str
    threads: int
    seconds: float

    @property
    def columns(self) -> Row:
        """The same as columns of a row."""
        return {"device": self.device, "strategy": self.strategy, "threads": self.threads, "seconds": self.seconds}


@dataclass(frozen=True)
class Values:
    """What was measured at some points.

    Attributes:
        losses: Loss of each example, in its unit.
        metrics: Everything else that the objective measures.
        dtype_error: Largest error of a mean loss measured against float32; None in float32.
        how: How it was run.
    """

    losses: Float[np.ndarray, "points examples"]
    metrics: Mapping[str, Float[np.ndarray, "points examples"]]
    dtype_error: float | None
    how: How


def joined(parts: Sequence[Values], order: Int[np.ndarray, " points"]) -> Values:
    """Values at all points, from those at some points and at others.

    Args:
        parts: The parts, one after the other.
        order: Position of each point of the whole in the parts.
    """
    errors = [part.dtype_error for part in parts if part.dtype_error is not None]
    last = parts[-1].how
    how = How(last.device, last.strategy, last.threads, sum(part.how.seconds for part in parts))
    metrics = {name: np.concatenate([part.metrics[name] for part in parts])[order] for name in parts[0].metrics}
    return Values(np.concatenate([part.losses for part in parts])[order], metrics, max(errors, default=None), how)
