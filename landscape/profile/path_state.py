"""The state of one path while its profile is evaluated: which t and examples are known, and how well it is resolved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from landscape.profile import nodes
from landscape.profile.paired import Components, components
from landscape.shapes import Float, Int

LOSS = "loss"

Evaluated = tuple[Float[np.ndarray, "rows n"], dict[str, Float[np.ndarray, "rows n"]]]
"""Losses of examples, and metrics by name: a row for each t that was wanted."""
Evaluate = Callable[[list[tuple[int, float]], Int[np.ndarray, " n"]], Evaluated]
"""Evaluates these examples at these t; each t comes with the number of its path."""


@dataclass(frozen=True)
class KnownEnds:
    """A path whose ends are evaluated.

    Attributes:
        ends: Losses of both ends.
        metrics: All other numbers of each example at both ends, by name.
        pieces: Number of polynomial pieces; more than one for chains.
        one_point: Whether both ends are the same weights, so that nothing between them needs evaluation.
    """

    ends: Float[np.ndarray, "2 examples"]
    metrics: dict[str, Float[np.ndarray, "2 examples"]] = field(default_factory=dict)
    pieces: int = 1
    one_point: bool = False


@dataclass
class PathState:
    """What is known of a path so far.

    Attributes:
        path: The path.
        t: All t at which it may be evaluated.
        used: Indices of the t through which the profile is read.
        losses: Loss of each example by the index of its t, nan where it was not evaluated; the ends are included.
        metrics: The other numbers of each example likewise.
        checks: Indices of the t at which the interpolant is checked.
        t_error: Error of the interpolant, in the unit of the losses.
    """

    path: KnownEnds
    t: Float[np.ndarray, " t"]
    used: Int[np.ndarray, " used"]
    losses: dict[int, Float[np.ndarray, " examples"]] = field(init=False)
    metrics: dict[str, dict[int, Float[np.ndarray, " examples"]]] = field(init=False)
    checks: Int[np.ndarray, " checks"] = field(default_factory=lambda: np.zeros(0, dtype=int))
    t_error: float = 0.0

    def __post_init__(self) -> None:
        """Fill in the ends, or every t of a path that is one point."""
        known = self.used.tolist() if self.path.one_point else (0, len(self.t) - 1)
        side = {k: 0 if k == 0 or self.path.one_point else 1 for k in known}
        self.losses = {k: self.path.ends[end].astype(float) for k, end in side.items()}
        self.metrics = {
            name: {k: values[end].astype(float) for k, end in side.items()}
            for name, values in self.path.metrics.items()
        }  # fmt: skip

    @property
    def profile(self) -> Float[np.ndarray, "used examples"]:
        """Losses at the t in use, in the unit of the losses."""
        return np.stack([self.losses[k] for k in self.used.tolist()])

    @property
    def components(self) -> Components:
        """Components of the profile at the t in use."""
        return components(self.t[self.used], self.profile)

    def unknown(self, indices: Int[np.ndarray, " n"]) -> list[int]:
        """Those of some indices at which nothing was evaluated."""
        return [k for k in indices.tolist() if k not in self.losses]

    def count(self, index: int) -> int:
        """Number of examples that were evaluated at an index."""
        return int(np.isfinite(self.losses[index]).sum())

    def record(self, index: int, examples: Int[np.ndarray, " n"], values: dict[str, Float[np.ndarray, " n"]]) -> None:
        """Record what some examples have at an index.

        Args:
            index: Of the t.
            examples: Which examples.
            values: Their losses, under ``LOSS``, and other numbers by name.
        """
        for name, own in values.items():
            known = self.losses if name == LOSS else self.metrics.setdefault(name, {})
            known.setdefault(index, np.full(self.path.ends.shape[1], np.nan))[examples] = own

    def others(self) -> dict[str, Float[np.ndarray, "used examples"]]:
        """The other numbers of each example at the t in use; only those that are known at all of these."""
        used = self.used.tolist()
        return {
            name: np.stack([known[k] for k in used]) for name, known in self.metrics.items() if {*used} <= known.keys()
        }

    @property
    def evaluations(self) -> int:
        """Number of examples evaluated between the ends, summed over t."""
        inner = self.losses.keys() - {0, len(self.t) - 1}
        return 0 if self.path.one_point else sum(self.count(k) for k in inner)

    def choose_checks(self, pilot: Int[np.ndarray, " n"]) -> None:
        """Choose the t at which the interpolant is checked."""
        self.checks = nodes.checks(self.used, self._rise(self.used, pilot), self.path.pieces)

    def refine(self, pilot: Int[np.ndarray, " n"], tolerance: float) -> bool:
        """Compute the error of the interpolant, and add t if it is above the tolerance.

        Args:
            pilot: Examples that are known at all t in use and at the checks.
            tolerance: Largest error, in the unit of the losses.

        Returns:
            Whether t were added.
        """
        before = len(self.used)
        known = self.used, self._rise(self.used, pilot), self.checks, self._rise(self.checks, pilot)
        self.t_error = nodes.error(*known, self.path.pieces)
        if self.t_error > tolerance:
            self.used = nodes.refined(*known, tolerance, self.path.pieces)
        return len(self.used) > before

    def _rise(self, indices: Int[np.ndarray, " n"], examples: Int[np.ndarray, " k"]) -> Float[np.ndarray, " n"]:
        """Mean rise above the chord of some examples."""
        t, first, last = self.t[indices], self.path.ends[0, examples].mean(), self.path.ends[1, examples].mean()
        means = np.array([self.losses[k][examples].mean() for k in indices.tolist()])
        return np.asarray(means - (1 - t) * first - t * last)


def extend(
    states: list[PathState], wanted: list[tuple[int, int]], examples: Int[np.ndarray, " n"], evaluate: Evaluate
) -> None:
    """Evaluate examples at t of paths, and record the results.

    Args:
        states: States of all paths.
        wanted: Number of a path and index of a t, for each evaluation.
        examples: Which examples.
        evaluate: Evaluates them.
    """
    if not wanted or not len(examples):
        return
    losses, metrics = evaluate([(n, float(states[n].t[k])) for n, k in wanted], examples)
    for row, (n, k) in enumerate(wanted):
        states[n].record(k, examples, {LOSS: losses[row], **{name: values[row] for name, values in metrics.items()}})
