"""Other ways to bound stages: breaks of a piecewise linear curve, and states of a hidden Markov model.

They answer other questions than extrema and plateaus: a break is where the slope changes, a state a level of all
series at once. Both need an optional package.
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
"""Even places of the axis of training, since both take their samples for evenly spaced."""
MOST_BREAKS, MOST_STATES = 6, 6
FEW = 40
"""Draws that are searched for breaks or filtered."""
ROUNDED = 0.04
"""Misfit, as a share of the range, that the rounding of corners by the smoothing brings."""
KNOT = 1
"""A segment ends before the place that ruptures names, and the cost joins the last places of segments."""
STARTS = 5
SHORTEST = 3


def breaks(curves: Curves) -> list[Event]:
    """Breaks of a continuous piecewise linear curve by least squares (ruptures, ``Dynp`` with the cost ``clinear``).

    Their number is that of the least Bayesian information criterion of the mean,
    ``n ln(misfit + noise variance) + 2 k ln n`` with n checkpoints; their places are searched for in every draw.
    The way of a break is that of the slope, which rises or falls there.

    Args:
        curves: Draws of one series.

    Raises:
        InputError: If ruptures is not installed.
    """
    ruptures = _package("ruptures")
    x = np.linspace(curves.x[0], curves.x[-1], GRID)
    scale = max(float(np.ptp(curves.mean)), 1e-300)

    def search(values: Float[np.ndarray, " grid"]) -> Any:
        return ruptures.Dynp(model="clinear", min_size=SHORTEST, jump=1).fit((values / scale)[:, None])

    mean = np.interp(x, curves.x, curves.mean)
    fitted, n = search(mean), len(curves.x)
    noise = (np.nan_to_num(curves.noise) / scale) ** 2 + ROUNDED**2
    places = [[GRID]] + [fitted.predict(k) for k in range(1, MOST_BREAKS + 1)]
    misfit = [float(fitted.cost.sum_of_costs(at)) / GRID for at in places]
    count = int(np.argmin([n * np.log(part + noise) + 2 * k * np.log(n) for k, part in enumerate(misfit)]))
    if count == 0:
        return []
    chosen = curves.draws[np.linspace(0, len(curves.draws) - 1, FEW).astype(int)]
    found = np.array([search(np.interp(x, curves.x, draw)).predict(count)[:-1] for draw in chosen]) - KNOT
    slope = np.gradient(mean, x)
    at = np.array(places[count][:-1]) - KNOT
    centre = x[at]
    bends = slope[np.minimum(at + SHORTEST, GRID - 1)] > slope[np.maximum(at - SHORTEST, 0)]
    ways = ["rise" if up else "fall" for up in bends]
    return [Event("break", way, changes.around(c, x[at], x)) for way, at, c in zip(ways, found.T, centre, strict=True)]


def states(
    curves: Mapping[Hashable, Sequence[Curves]],
    random: np.random.Generator,
    also: Mapping[Hashable, Sequence[Curves]] | None = None,
) -> dict[Hashable, list[Event]]:
    """Entries into the states of a Gaussian hidden Markov model of all series (hmmlearn).

    After Hu et al. 2023 (arXiv:2308.09543). Series are standardised by the mean and deviation over all seeds and not
    by those of each run, which would know the run's future; states are filtered forward only. Their number is the
    smallest whose likelihood of seeds left out of the fit is within a standard error of the best.

    Args:
        curves: The same series of each seed, in one order.
        random: For the starts of the fits.
        also: Runs that are filtered and take no part in the fit.

    Returns:
        For each seed the first entry into each state but the one it begins in.

    Raises:
        InputError: If hmmlearn is not installed.
    """
    hmm = _package("hmmlearn.hmm")
    logging.getLogger("hmmlearn").setLevel(logging.ERROR)  # a fit that wavers in its last digits is no news
    seeds = list(curves)
    first = max(c.x[0] for own in curves.values() for c in own)
    last = min(c.x[-1] for own in curves.values() for c in own)
    x = np.linspace(first, last, GRID)
    runs = [np.stack([np.interp(x, c.x, c.mean) for c in curves[seed]], axis=1) for seed in seeds]
    centre, width = np.mean(np.concatenate(runs), axis=0), np.std(np.concatenate(runs), axis=0)
    width = np.where(width > 0, width, 1.0)
    runs = [(run - centre) / width for run in runs]

    def fit(some: Sequence[Float[np.ndarray, "grid series"]], count: int) -> Any:
        """The best of several fits; None if a state stays without members in all of them."""
        stacked, lengths = np.concatenate(some), [len(run) for run in some]
        fitted = []
        for start in random.integers(2**31, size=STARTS):
            model = hmm.GaussianHMM(count, "diag", min_covar=1e-2, n_iter=50, random_state=int(start))
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")  # of states without members
                model.fit(stacked, lengths)
            if all(
                np.isfinite(part).all() for part in (model.means_, model.covars_, model.transmat_, model.startprob_)
            ):
                fitted.append(model)
        return max(fitted, key=lambda model: model.score(stacked, lengths), default=None)

    def left_out(count: int) -> list[float]:
        parts = [(runs[:k] + runs[k + 1 :], runs[k]) for k in range(len(runs))] if len(runs) > 1 else [(runs, runs[0])]
        models = [fit(rest, count) for rest, _ in parts]
        return [-np.inf if m is None else m.score(one) for m, (_, one) in zip(models, parts, strict=True)]

    scores = np.array([left_out(count) for count in range(1, MOST_STATES + 1)])
    best = int(scores.mean(axis=1).argmax())
    error = float(scores[best].std() / np.sqrt(len(runs)))
    enough = 1 + int(np.flatnonzero(scores.mean(axis=1) >= scores[best].mean() - error)[0])
    model = next(fitted for count in range(enough, 0, -1) if (fitted := fit(runs, count)) is not None)

    def entries(values: Float[np.ndarray, "grid series"]) -> dict[int, float]:
        path = [int(model.predict_proba(values[: t + 1])[-1].argmax()) for t in range(GRID)]
        return {state: float(x[path.index(state)]) for state in dict.fromkeys(path)}

    out: dict[Hashable, list[Event]] = {}
    for seed, own in {**curves, **(also or {})}.items():
        path = entries((np.stack([np.interp(x, c.x, c.mean) for c in own], axis=1) - centre) / width)
        drawn = [
            entries((np.stack([np.interp(x, c.x, c.draws[k]) for c in own], axis=1) - centre) / width)
            for k in range(0, FEW, 2)
        ]
        out[seed] = [
            Event("state", "rise", np.array([one.get(state, np.inf) for one in drawn])) for state in list(path)[1:]
        ]
    return out


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
    """Boundaries of each seed, and under ``all`` of the mean over seeds, by another engine.

    Args:
        engine: ``breaks`` of the series of the boundaries, or ``states`` of all series.
        boundaries: Name of that series.
        curves: By series and seed.
        means: Over the seeds, by series.
        random: For fits.
    """
    seeds = [seed for series, seed in curves if series == boundaries]
    if engine == "breaks":
        found = {seed: breaks(curves[boundaries, seed]) for seed in seeds}
        return found | ({EVERYONE: breaks(means[boundaries])} if boundaries in means else {})
    whole = [
        name for name in dict.fromkeys(series for series, _ in curves) if all((name, seed) in curves for seed in seeds)
    ]
    names = [name for name in whole if name in means or len(seeds) == 1]
    also: dict[Hashable, Sequence[Curves]] = {EVERYONE: [means[name] for name in names]} if len(seeds) > 1 else {}
    return states({seed: [curves[name, seed] for name in names] for seed in seeds}, random, also)
