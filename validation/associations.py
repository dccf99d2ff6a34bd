"""Associations: level and power of every test, coverage of their intervals, and why naive tests are not offered.

python validation/associations.py
python validation/associations.py --short
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import table
from association_intervals import correlations, described, given_losses, leads, mantels, partial_correlations, shares
from association_naive import dependent_pairs, dependent_steps, ranks_given_loss, shared_pairs
from association_rates import (
    divisions,
    family,
    from_series,
    given_loss,
    pairs,
    power_of_matrices,
    power_of_onsets,
    scores,
    timing,
)
from association_worlds import ALONG, BESIDES, CAUSE, COUPLED, CURVED, INDEPENDENT, SEEDS, TIMINGS
from table import LEVEL, RECALL, Case

POWER, SOME_POWER = (0.75, 1.0), (0.5, 1.0)
NAIVE = (0.1, 1.0)
"""A test that is not offered is to reject at least twice as often as it may, or the argument against it fails."""


TIMING = ("onset", "onset given loss", "lead")


def wanted_of_timing(kind: str, seeds: int) -> dict[str, table.Wanted]:
    """What the rejections are to be; where loss is the cause, a test that does not know it should find it."""
    if kind == INDEPENDENT:
        return dict.fromkeys(TIMING, LEVEL)
    if kind == COUPLED:
        return {"onset": POWER} | ({"onset given loss": SOME_POWER, "lead": POWER} if seeds > 5 else {})
    return dict.fromkeys(("onset given loss",) if kind == CURVED else ("onset given loss", "lead"), LEVEL)


GIVEN = dict.fromkeys(("matrix given loss", "matrix given loss, of distances"), LEVEL)
PAIRS: dict[str, dict[str, table.Wanted]] = {
    INDEPENDENT: {"matrix": LEVEL, **GIVEN},
    "sums of seeds": {"matrix": LEVEL, **GIVEN},
    **dict.fromkeys((
        ALONG, "loss places the seeds roughly", "loss places the seeds, and more",
        "loss places the seeds along a curve", "loss bends the score", "barriers higher the worse both are",
        "barriers higher the worse one is",
    ), GIVEN),
    COUPLED: {"matrix": POWER, "matrix given loss": SOME_POWER},
    BESIDES: {"matrix given loss": SOME_POWER},
}  # fmt: skip
SCORES = {
    INDEPENDENT: {"cluster": LEVEL, "cluster given loss": LEVEL},
    CAUSE: {"cluster given loss": LEVEL},
    COUPLED: {"cluster": POWER, "cluster given loss": SOME_POWER},
}
BY_TEST = "Rejections at 0.05, by test: {}"
MATRICES = "Rejections at 0.05 of the tests on matrices of pairs"
CLUSTERS = "Clusters of seeds, and scores by cluster"
OVER_SEEDS = "Coverage of 95 % intervals over seeds"
POWERS = "Power at 0.05: how often the tests reject, and how often they are said to"
COVERED = (0.92, 0.98)
"""Range of the coverage of 95 % intervals over seeds that are shown."""
FAULTS: dict[int, tuple[str, ...]] = {}
"""Known not to hold, by the number of the case; they stand in the table like any other."""
CASES = table.marked([
    *(
        Case(number, BY_TEST.format(kind), f"{kind}, {seeds} seeds", timing, {"kind": kind, "seeds": seeds},
             wanted_of_timing(kind, seeds))
        for number, (kind, seeds) in enumerate(product(TIMINGS, SEEDS), start=100)
    ),
    *(
        Case(number, BY_TEST.format(CAUSE), f"loss dated to {error}, {seeds} seeds", given_loss,
             {"seeds": seeds, "error": error}, {"onset given loss": LEVEL})
        for number, (error, seeds) in enumerate(product((0.0, 0.05, 0.1, 0.2), SEEDS), start=140)
    ),
    *(
        Case(number, BY_TEST.format(INDEPENDENT), f"independent, five behaviours, {seeds} seeds", family,
             {"seeds": seeds, "behaviours": 5}, {"smallest family-wise p value": LEVEL})
        for number, seeds in enumerate(SEEDS, start=160)
    ),
    *(
        Case(number, MATRICES, f"{kind}, {seeds} seeds", pairs, {"kind": kind, "seeds": seeds}, PAIRS[kind])
        for number, (kind, seeds) in enumerate(product(PAIRS, SEEDS), start=200)
    ),
    *(
        Case(number, CLUSTERS, f"two clusters, {kind}, {seeds} seeds", scores, {"kind": kind, "seeds": seeds},
             {} if kind == COUPLED and seeds < 6 else SCORES[kind])  # of 10 divisions, p is at least 0.1
        for number, (kind, seeds) in enumerate(product(SCORES, SEEDS), start=300)
    ),
    *(
        Case(number, CLUSTERS, f"{kind}, 8 seeds", divisions, {"kind": kind, "seeds": 8},
             {"clusters seen": LEVEL}, 0.25)
        for number, kind in enumerate(("alike", "tall seeds", "a cloud"), start=320)
    ),
    *(
        Case(number, CLUSTERS, f"{groups} planted, {seeds} seeds", divisions,
             {"kind": "planted", "seeds": seeds, "groups": groups}, {"the planted clusters": RECALL}, 0.1)
        for number, (seeds, groups) in enumerate(((10, 2), (12, 3)), start=330)
    ),
    *(
        Case(number, OVER_SEEDS, f"correlation of true onsets {coupling}, {seeds} seeds", correlations,
             {"coupling": coupling, "seeds": seeds}, {"onset": COVERED})
        for number, (coupling, seeds) in enumerate(product((0.0, 0.5, 0.9), (6, 10, 20)), start=400)
    ),
    *(
        Case(number, OVER_SEEDS, f"leads, {seeds} seeds", leads, {"seeds": seeds}, {"lead": COVERED})
        for number, seeds in enumerate(SEEDS, start=410)
    ),
    *(
        Case(number, OVER_SEEDS, f"partial correlation {coupling}, {seeds} seeds", partial_correlations,
             {"coupling": coupling, "seeds": seeds}, {"onset given loss": COVERED})
        for number, (coupling, seeds) in enumerate(product((0.0, 0.7), (8, 10, 20)), start=420)
    ),
    *(
        Case(number, OVER_SEEDS, f"distances of points, coupling {coupling}, {seeds} seeds", mantels,
             {"coupling": coupling, "seeds": seeds}, {"matrix": COVERED})
        for number, (coupling, seeds) in enumerate(product((0.0, 0.7, 0.95), SEEDS), start=430)
    ),
    *(
        Case(number, OVER_SEEDS, f"{kind}, {seeds} seeds", given_losses, {"kind": kind, "seeds": seeds},
             {"matrix given loss": COVERED})
        for number, (kind, seeds) in enumerate(product((ALONG, BESIDES), (20, 30)), start=440)
    ),
    *(
        Case(number, OVER_SEEDS, f"two clusters {apart} apart, {seeds} seeds", shares,
             {"apart": apart, "seeds": seeds}, {"cluster": COVERED})
        for number, (apart, seeds) in enumerate(product((0.0, 1.0, 3.0), SEEDS), start=450)
    ),
    *(
        Case(number, OVER_SEEDS, f"coupling {coupling}, {seeds} seeds", described,
             {"coupling": coupling, "seeds": seeds}, dict.fromkeys(("trajectory", "precursor"), COVERED))
        for number, (coupling, seeds) in enumerate(product((0.0, 0.9), (20, 30)), start=460)
    ),
    *(
        Case(number, POWERS, f"onsets, coupling {coupling}, {seeds} seeds", power_of_onsets,
             {"seeds": seeds, "coupling": coupling}, {}, 0.5)
        for number, (coupling, seeds) in enumerate(product((0.5, 0.9), SEEDS), start=500)
    ),
    *(
        Case(number, POWERS, f"matrices, coupling {coupling}, {seeds} seeds", power_of_matrices,
             {"seeds": seeds, "coupling": coupling}, {}, 0.5)
        for number, (coupling, seeds) in enumerate(product((0.3, 0.6), SEEDS), start=510)
    ),
    *(
        Case(number, "Rejections at 0.05 from noisy series on", f"{kind}, {seeds} seeds", from_series,
             {"coupling": coupling, "seeds": seeds}, wanted, share)
        for number, (kind, coupling, seeds, wanted, share) in enumerate((
            (INDEPENDENT, 0.0, 5, {"onset": LEVEL}, 0.08),
            (INDEPENDENT, 0.0, 10, {"onset": LEVEL}, 0.05),
            (COUPLED, 1.0, 5, {"onset": POWER}, 0.03),
        ), start=600)
    ),
    Case(700, "What is not offered, and why", "two unrelated sums over pairs, 8 seeds", dependent_pairs, {},
         {"pairs taken as independent": NAIVE, "seeds permuted": LEVEL}),
    Case(701, "What is not offered, and why", "two unrelated trends of one run", dependent_steps, {},
         dict.fromkeys(("correlation over checkpoints", "rank correlation over checkpoints", "circular shifts"), NAIVE),
         0.5),
    *(
        Case(number, "What is not offered, and why", f"leads of means over pairs, {seeds} seeds",
             shared_pairs, {"seeds": seeds},
             {"seeds taken as independent": NAIVE, "deviations doubled": LEVEL}, 2.0)
        for number, seeds in enumerate((8, 10, 20), start=710)
    ),
    *(
        Case(number, "What is not offered, and why", f"loss is the common cause, {seeds} seeds", ranks_given_loss,
             {"seeds": seeds}, {"loss taken out of ranks": NAIVE, "loss taken out of dates": LEVEL})
        for number, seeds in enumerate(SEEDS, start=720)
    ),
], FAULTS)  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    """Write the table."""
    table.main("Associations", "associations", CASES, long=800, short=48, words=words)


if __name__ == "__main__":
    main()
