"""Other ways to bound stages: breaks of a piecewise linear curve, and states of a hidden Markov model.

A break is a change of the gradient of one series, a state a joint level of all series. Both need an optional package.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from landscape.errors import InputError
from landscape.shapes import Float
from landscape.stages.events import changes
from landscape.stages.events.changes import Event
from landscape.stages.events.staging import EVERYONE
from landscape.stages.series.smooth import Curves

GRID = 50
"""Evenly spaced points on the axis of training; both methods assume even spacing."""
MAX_BREAKS, MAX_STATES = 6, 6
SEARCHED_DRAWS = 40
"""Draws that are searched for breaks; every second one is filtered for states."""
ROUNDED_CORNERS = 0.04
"""Misfit that comes from the smoothing of corners, as a share of the range."""
KNOT = 1
"""The last point of a segment comes before the index that ruptures returns; the cost joins these last points."""
STARTS = 5
"""Random starts of each fit of a hidden Markov model."""
MIN_SEGMENT = 3
"""Points of the grid in a segment between breaks."""


def breaks(curves: Curves) -> list[Event]:
    """Breaks of a continuous piecewise linear curve by least squares (ruptures, ``Dynp`` with the cost ``clinear``).

    Their number minimises the Bayesian information criterion of the mean curve,
    ``n ln(misfit + noise variance) + 2 k ln n`` with n checkpoints and k breaks. Their dates are searched for in
    each of forty draws. The way of a break is ``rise`` where the gradient increases, and ``fall`` where it decreases.

    Args:
        curves: Curve of one series.

    Raises:
        InputError: If ruptures is not installed.
    """
    ruptures = _package("ruptures")
    x = np.linspace(curves.x[0], curves.x[-1], GRID)
    scale = max(float(np.ptp(curves.mean)), 1e-300)

    def search(values: Float[np.ndarray, " grid"]) -> Any:
        return ruptures.Dynp(model="clinear", min_size=MIN_SEGMENT, jump=1).fit((values / scale)[:, None])

    mean = np.interp(x, curves.x, curves.mean)
    fitted, n = search(mean), len(curves.x)
    noise = (np.nan_to_num(curves.noise) / scale) ** 2 + ROUNDED_CORNERS**2
    ends = [[GRID]] + [fitted.predict(k) for k in range(1, MAX_BREAKS + 1)]
    misfit = [float(fitted.cost.sum_of_costs(at)) / GRID for at in ends]
    count = int(np.argmin([n * np.log(error + noise) + 2 * k * np.log(n) for k, error in enumerate(misfit)]))
    if count == 0:
        return []
    chosen = curves.draws[np.linspace(0, len(curves.draws) - 1, SEARCHED_DRAWS).astype(int)]
    in_draws = np.array([search(np.interp(x, curves.x, draw)).predict(count)[:-1] for draw in chosen]) - KNOT
    gradient = np.gradient(mean, x)
    at = np.array(ends[count][:-1]) - KNOT
    rising = gradient[np.minimum(at + MIN_SEGMENT, GRID - 1)] > gradient[np.maximum(at - MIN_SEGMENT, 0)]
    return [
        Event("break", "rise" if up else "fall", changes.around(centre, x[draws], x))
        for up, centre, draws in zip(rising, x[at], in_draws.T, strict=True)
    ]


def states(
    curves: Mapping[Hashable, Sequence[Curves]],
    random: np.random.Generator,
    also: Mapping[Hashable, Sequence[Curves]] | None = None,
) -> dict[Hashable, list[Event]]:
    """Entries into the states of a Gaussian hidden Markov model of all series (hmmlearn).

    After Hu et al. 2023 (arXiv:2308.09543). Series are standardised by mean and deviation over all seeds; standardising
    each run by itself would use its future. For the same reason states are filtered forward only. The number of states
    is the smallest one whose likelihood on left-out seeds is within a standard error of the best.

    Args:
        curves: The same series of each seed, in the same order.
        random: Source of randomness, for the starts of the fits.
        also: Runs that are filtered but not fitted.

    Returns:
        For each seed, the first entry into each state except the initial one.

    Raises:
        InputError: If hmmlearn is not installed.
    """
    hmm = _package("hmmlearn.hmm")
    logging.getLogger("hmmlearn").setLevel(logging.ERROR)  # it warns when the likelihood wavers in its last digits
    x = np.linspace(
        max(c.x[0] for own in curves.values() for c in own), min(c.x[-1] for own in curves.values() for c in own), GRID
    )
    runs = [np.stack([np.interp(x, c.x, c.mean) for c in own], axis=1) for own in curves.values()]
    centre, width = np.mean(np.concatenate(runs), axis=0), np.std(np.concatenate(runs), axis=0)
    width = np.where(width > 0, width, 1.0)
    model = _fitted(hmm, [(run - centre) / width for run in runs], random)

    def entries(values: Sequence[Float[np.ndarray, " _"]]) -> dict[int, float]:
        standardised = (np.stack(values, axis=1) - centre) / width
        path = [int(model.predict_proba(standardised[: t + 1])[-1].argmax()) for t in range(GRID)]
        return {state: float(x[path.index(state)]) for state in dict.fromkeys(path)}

    out: dict[Hashable, list[Event]] = {}
    for seed, own in {**curves, **(also or {})}.items():
        in_mean = entries([np.interp(x, c.x, c.mean) for c in own])
        in_draws = [entries([np.interp(x, c.x, c.draws[k]) for c in own]) for k in range(0, SEARCHED_DRAWS, 2)]
        out[seed] = [
            Event("state", "rise", np.array([one.get(state, np.inf) for one in in_draws]))
            for state in list(in_mean)[1:]
        ]
    return out


def _fitted(hmm: Any, runs: Sequence[Float[np.ndarray, "grid series"]], random: np.random.Generator) -> Any:
    """The model with the smallest number of states that left-out seeds do not reject, fitted to all runs."""

    def left_out(count: int) -> list[float]:
        rest = [[*runs[:k], *runs[k + 1 :]] if len(runs) > 1 else runs for k in range(len(runs))]
        models = [_fit(hmm, others, count, random) for others in rest]
        return [-np.inf if model is None else model.score(run) for model, run in zip(models, runs, strict=True)]

    scores = np.array([left_out(count) for count in range(1, MAX_STATES + 1)])
    best = int(scores.mean(axis=1).argmax())
    error = float(scores[best].std() / np.sqrt(len(runs)))
    enough = 1 + int(np.flatnonzero(scores.mean(axis=1) >= scores[best].mean() - error)[0])
    return next(one for count in range(enough, 0, -1) if (one := _fit(hmm, runs, count, random)) is not None)


def _fit(
    hmm: Any, runs: Sequence[Float[np.ndarray, "grid series"]], count: int, random: np.random.Generator
) -> Any | None:
    """The most likely of several fits; None if each of them has a state without members."""
    stacked, lengths = np.concatenate(runs), [len(run) for run in runs]
    fits = []
    for start in random.integers(2**31, size=STARTS):
        model = hmm.GaussianHMM(count, "diag", min_covar=1e-2, n_iter=50, random_state=int(start))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of states without members
            model.fit(stacked, lengths)
        if all(np.isfinite(part).all() for part in (model.means_, model.covars_, model.transmat_, model.startprob_)):
            fits.append(model)
    return max(fits, key=lambda model: model.score(stacked, lengths), default=None)


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        wanted = name.split(".")[0]
        raise InputError(
            f"this way to bound stages needs {wanted}: pip install 'landscape-toolkit[changepoints]'"
        ) from error


def bounded_by(
    engine: str,
    boundaries: str,
    curves: Mapping[tuple[str, Hashable], Curves],
    means: Mapping[str, Curves],
    random: np.random.Generator,
) -> dict[Hashable, list[Event]]:
    """Boundaries of stages by another engine: of each seed, and under ``all`` of the mean over seeds.

    Args:
        engine: ``breaks`` of one series, or ``states`` of all series.
        boundaries: Name of the series for ``breaks``.
        curves: Curves by series and seed.
        means: Mean curves over seeds, by series.
        random: Source of randomness, for the fits.
    """
    seeds = [seed for series, seed in curves if series == boundaries]
    if engine == "breaks":
        of_seeds = {seed: breaks(curves[boundaries, seed]) for seed in seeds}
        return of_seeds | ({EVERYONE: breaks(means[boundaries])} if boundaries in means else {})
    complete = [
        name for name in dict.fromkeys(series for series, _ in curves) if all((name, seed) in curves for seed in seeds)
    ]
    names = [name for name in complete if name in means or len(seeds) == 1]
    also: dict[Hashable, Sequence[Curves]] = {EVERYONE: [means[name] for name in names]} if len(seeds) > 1 else {}
    return states({seed: [curves[name, seed] for name in names] for seed in seeds}, random, also)
