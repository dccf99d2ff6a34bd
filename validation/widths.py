"""How much wider intervals are than if all examples were evaluated everywhere, on pairs of trained seeds.

python validation/widths.py     # trains five architectures, four seeds each: two minutes
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import torch
import training

from landscape.catalogue import DEFINITIONS, PRECISE
from landscape.points.evaluate import losses
from landscape.points.strategy import Strategy
from landscape.profile import barrier
from landscape.profile.adaptive import Grid, Profile, profiles
from landscape.profile.path_state import Evaluated, KnownEnds
from landscape.shapes import Int

EXAMPLES, ORDERS, MOST = 512, 3, 1.15


class Pair:
    """Losses along the line between two checkpoints; all examples of a point are evaluated once and kept."""

    def __init__(self, objective: Any, a: torch.Tensor, b: torch.Tensor) -> None:
        self.objective, self.anchors = objective, [a, b]
        self.known: dict[float, np.ndarray] = {}

    def at(self, t: float) -> np.ndarray:
        """Losses of all examples."""
        if t not in self.known:
            row = torch.tensor([[1 - t, t]])
            self.known[t] = losses(self.objective, self.anchors, row, strategy=Strategy(examples=128)).numpy()[0]
        return self.known[t].astype(float)

    def ratios(self, seed: int, precise: tuple[str, ...]) -> list[float]:
        """Width of the interval of each definition over that from all examples; and the share that was evaluated.

        Examples are in a random order, of which the adaptive profile takes others first.
        """
        order = np.random.default_rng(seed).permutation(EXAMPLES)

        def evaluate(wanted: list[tuple[int, float]], some: Int[np.ndarray, " n"]) -> Evaluated:
            return np.array([self.at(t)[order[some]] for _, t in wanted]), {}

        ends = np.array([self.at(t)[order] for t in (0.0, 1.0)])
        (found,) = profiles([KnownEnds(ends)], evaluate, Grid(precise=precise))
        whole = replace(found, losses=np.array([self.at(float(t))[order] for t in found.t]))
        own, usual = (np.array([width(profile, one) for one in DEFINITIONS]) for profile in (found, whole))
        return [*(own / usual), found.evaluations / whole.losses[1:-1].size]


def width(profile: Profile, definition: str) -> float:
    """Width of the interval of a definition."""
    interpolation = profile.coarse if barrier.load(definition).COARSE else profile.interpolation
    weights = barrier.resamples(EXAMPLES, 400, seed=0)
    found = barrier.estimate(profile.components, definition, weights=weights, interpolation=interpolation)
    return found.high - found.low


def pairs() -> Iterator[tuple[str, Pair]]:
    """Pairs of the last checkpoints of the seeds of each architecture, on held-out examples."""
    for name, (make, steps, fitting, held_out, build) in training.families().items():
        runs = training.runs_of(name, make, steps, fitting, held_out, build)
        objective = build(make(), held_out(EXAMPLES, training.generator(2)))
        for i, j in combinations(range(training.SEEDS), 2):
            yield name, Pair(objective, runs.points[i][-1], runs.points[j][-1])


def main() -> None:
    """Print a row for each definition, with the usual ones precise and with all."""
    every = [pair for _, pair in pairs()]
    for precise in (PRECISE, tuple(DEFINITIONS)):
        found = np.array([pair.ratios(seed, precise) for pair in every for seed in range(ORDERS)])
        share = found[:, -1].mean()
        print(
            f"{len(found)} profiles, precise: {', '.join(precise)}; {share:.2f} of all examples at all points evaluated"
        )
        print(f"| definition | times as wide, mean | 95th percentile | at most {MOST} |\n|---|---|---|---|")
        for one, ratio in zip(DEFINITIONS, found.T[:-1], strict=True):
            print(f"| {one} | {ratio.mean():.3f} | {np.quantile(ratio, 0.95):.3f} | {(ratio <= MOST).mean():.3f} |")


if __name__ == "__main__":
    main()
