"""Metrics of an objective beside its loss: one file each, all with the same names. ``landscape.catalogue`` lists them.

A metric is a number of all examples. Here it becomes numbers of single examples whose mean is the metric, so that
barriers, paired errors and intervals are those of a loss. For a metric that is no mean, such as perplexity or F1, these
are its value plus the influence of each example (the delta method; Hampel 1974). Numbers that the objective has for
each example and that no metric reads are means of their own, and higher is better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Protocol, cast, runtime_checkable

import numpy as np

from landscape.catalogue import METRICS
from landscape.profile.paired import means_by_differences
from landscape.shapes import Float

LOSS = "loss"
Numbers = Mapping[str, Float[np.ndarray, "points examples"]]
"""Numbers of each example by name, nan where they were not evaluated; ``loss`` is among them."""


@runtime_checkable
class Metric(Protocol):
    """What the module of a metric holds."""

    READS: tuple[str, ...]
    """Numbers of each example that it is computed from."""
    OF_UNIT: str
    """What the unit of the loss must end in; empty for any."""
    HIGHER_IS_BETTER: bool
    """Whether a fall is a change for the worse."""

    def linearised(self, numbers: Numbers) -> Float[np.ndarray, "points examples"]:
        """Numbers of each example at each point whose means are the metric; infinite where it is too large."""
        ...


@dataclass(frozen=True)
class Measured:
    """A metric of examples at some points.

    Attributes:
        name: Its name.
        higher: Whether higher is better.
        values: Numbers of each example whose mean is the metric, nan where they were not evaluated; in its own unit.
    """

    name: str
    higher: bool
    values: Float[np.ndarray, "points examples"]

    @property
    def worse(self) -> Float[np.ndarray, "points examples"]:
        """The same with a sign by which more is worse, as of a loss; in the unit of the metric."""
        return -self.values if self.higher else self.values

    @property
    def means(self) -> Float[np.ndarray, " points"]:
        """The metric at each point, in its own unit."""
        return means_by_differences(self.values)


@cache
def load(name: str) -> Metric:
    """The module of a metric, imported once.

    Raises:
        ValueError: If there is no such metric.
    """
    return cast(Metric, METRICS.load(name))


def measured(numbers: Numbers, unit: str) -> list[Measured]:
    """All metrics that some numbers of examples allow, without those that are infinite somewhere.

    Args:
        numbers: Those of each example by name, ``loss`` among them.
        unit: Unit of the loss.
    """
    out = []
    for name in METRICS:
        metric = load(name)
        if all(read in numbers for read in metric.READS) and unit.endswith(metric.OF_UNIT):
            values = metric.linearised(numbers)
            if not np.isinf(values).any():
                out.append(Measured(name, metric.HIGHER_IS_BETTER, values))
    read = {LOSS, *(own for name in METRICS for own in load(name).READS)}
    return [*out, *(Measured(name, True, values) for name, values in numbers.items() if name not in read)]
