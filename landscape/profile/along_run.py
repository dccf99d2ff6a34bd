"""What is read off a training run: lines from an earlier to a later checkpoint, and means of a window of checkpoints.

Numbers in, numbers out. The loss along the line from initial to later parameters often falls all the way (monotonic
linear interpolation: Goodfellow et al. 2015, arXiv:1412.6544; Lucas et al. 2021, arXiv:2104.11044), or after a long
plateau (Wang et al. 2022, arXiv:2210.01019). The mean of the last checkpoints of a run is better than these where the
run moves within one basin (Izmailov et al. 2018, arXiv:1803.05407; Kaddour 2022, arXiv:2209.14981).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from landscape.profile.largest import TAIL, Largest, largest
from landscape.profile.paired import standard_error
from landscape.shapes import Float

HEIGHT, ASCENT, PLATEAU, EXCEEDS_AT = "height", "ascent", "plateau", "exceeds_at"
GAIN_OVER_MEAN, GAIN_OVER_NEWEST = "gain_over_mean", "gain_over_newest"
Z = 1.96


@dataclass(frozen=True)
class Read:
    """A number with its 95 % interval over examples.

    Attributes:
        value: The number; nan where the line does not reach it.
        low: Lower end of the interval.
        high: Upper end of it; nan where the line does not reach it.
    """

    value: float
    low: float
    high: float


def of_line(
    t: Float[np.ndarray, " t"],
    losses: Float[np.ndarray, "t examples"],
    weights: Float[np.ndarray, "count examples"],
    fall: float,
) -> dict[str, Read]:
    """All numbers of one line; where it is not continued beyond 1, there is no ``exceeds_at``.

    Args:
        t: Where it was evaluated: from 0, the earlier checkpoint, over 1, the later one, and perhaps further.
        losses: Loss of each example at each t.
        weights: Bootstrap weights over the examples, from :func:`landscape.profile.barrier.resamples`.
        fall: Share of the fall from 0 to 1 that ends the plateau.

    Returns:
        ``height`` and ``ascent`` in the unit of the losses, ``plateau`` and ``exceeds_at`` in t, by name.
    """
    inside = t <= 1
    own, at = losses[inside], t[inside]
    out = {
        HEIGHT: _read(largest(above_start(len(own)), own - own[:1], weights=weights, signed=False)),
        ASCENT: _read(largest(ascents(len(own)), own - own[:1], weights=weights, signed=False)),
        PLATEAU: _bootstrapped(lambda mean: plateau(at, mean, fall), own, weights, most=1.0),
    }
    if t[-1] > 1:
        beyond = np.concatenate([[True], t[1:] >= 1])
        out[EXCEEDS_AT] = _bootstrapped(lambda mean: exceeds_at(t[beyond], mean), losses[beyond], weights, most=t[-1])
    return out


def above_start(count: int) -> Float[np.ndarray, "maxima 1 t"]:
    """Contrasts of the height above the start, ``max_t L(t) - L(0)``: weights of the losses at ``count`` t."""
    at = np.eye(count)
    return np.asarray((at - at[:1])[:, None])


def ascents(count: int) -> Float[np.ndarray, "maxima 1 t"]:
    """Contrasts of the largest ascent, ``max_{s <= t} L(t) - L(s)``: weights of the losses at ``count`` t.

    It is the smallest ``D`` for which the loss is ``D``-monotonic, definition 1 of arXiv:2104.11044.
    """
    at = np.eye(count)
    s, t = np.array([(0, 0), *combinations(range(count), 2)]).T
    return np.asarray((at[t] - at[s])[:, None])


def plateau(t: Float[np.ndarray, " t"], loss: Float[np.ndarray, " t"], fall: float) -> float:
    """Length of the plateau: the t from which on the loss is below ``L(0) - fall * (L(0) - L(1))``.

    The loss is read as linear between the t.

    Args:
        t: From 0 to 1.
        loss: Mean loss at each t.
        fall: Share of the whole fall.

    Returns:
        A t in [0, 1]; nan if the loss does not fall from 0 to 1.

    >>> plateau(np.array([0, 0.5, 1]), np.array([3.0, 3.0, 1.0]), 0.1)
    0.55
    """
    if not loss[-1] < loss[0]:
        return float("nan")
    level = loss[0] - fall * (loss[0] - loss[-1])
    last = int(np.flatnonzero(loss > level)[-1])
    share = (loss[last] - level) / (loss[last] - loss[last + 1])
    return float(t[last] + share * (t[last + 1] - t[last]))


def exceeds_at(t: Float[np.ndarray, " t"], loss: Float[np.ndarray, " t"]) -> float:
    """The smallest ``s >= 1`` at which the loss is above that at 0, on the line continued beyond 1.

    Args:
        t: First 0, then from 1 on.
        loss: Mean loss at each t, read as linear between them.

    Returns:
        A t of at least 1, without a unit; infinite if the loss stays below.

    >>> exceeds_at(np.array([0, 1, 1.5, 2]), np.array([3.0, 1.0, 2.0, 4.0]))
    1.75
    """
    start, after = loss[0], loss[1:]
    above = np.flatnonzero(after > start)
    if not len(above):
        return float("inf")
    first = int(above[0])
    if first == 0:
        return 1.0
    share = (start - after[first - 1]) / (after[first] - after[first - 1])
    return float(t[first] + share * (t[first + 1] - t[first]))


def of_window(members: Float[np.ndarray, "k examples"], mean: Float[np.ndarray, " examples"]) -> dict[str, Read]:
    """What the mean of a window of checkpoints gains, in the unit of the losses; positive where it is better.

    Args:
        members: Losses of the checkpoints, the newest last.
        mean: Losses of the mean of their parameters.

    Returns:
        ``mean_j L(w_j) - L(mean_j w_j)``, which is positive where the loss is convex between them, and
        ``L(w_newest) - L(mean_j w_j)``, by name.
    """
    gains = {GAIN_OVER_MEAN: members.mean(axis=0) - mean, GAIN_OVER_NEWEST: members[-1] - mean}
    return {name: _normal(values) for name, values in gains.items()}


def entered(rows: pd.DataFrame) -> pd.DataFrame:
    """The date at which each run enters its basin: the first step from which on averaging gains over the mean.

    From this step on, the 95 % interval of ``gain_over_mean`` is above 0 at every later step.

    Args:
        rows: Rows of the table ``trajectory``.

    Returns:
        ``run, step``, a row for each run; the step is missing where a run has not entered.
    """
    found = []
    own = rows[rows["metric"] == GAIN_OVER_MEAN]
    for run, part in own.groupby("seed_b", sort=False, dropna=False):
        part = part.sort_values("step_b")
        after = (part["low"] > 0).to_numpy()[::-1].cumprod()[::-1].astype(bool)
        step = part.loc[after, "step_b"].min() if after.any() else None
        found.append({"run": run, "step": step})
    return pd.DataFrame(found, columns=["run", "step"])


def _read(found: Largest) -> Read:
    return Read(found.value, found.low, found.high)


def _normal(values: Float[np.ndarray, " examples"]) -> Read:
    centre, half = float(values.mean()), Z * float(standard_error(values))
    return Read(centre, centre - half, centre + half)


def _bootstrapped(
    statistic: Callable[[Float[np.ndarray, " t"]], float],
    losses: Float[np.ndarray, "t examples"],
    weights: Float[np.ndarray, "count examples"],
    *,
    most: float,
) -> Read:
    """A t that is read off the mean losses, with its percentile interval.

    Args:
        statistic: Of the mean losses; nan where there is none, infinite where it is beyond ``most``.
        losses: Loss of each example at each t.
        weights: Bootstrap weights over the examples.
        most: What it is at least where it is infinite.
    """
    value = statistic(losses.mean(axis=1))
    drawn = np.array([statistic(mean) for mean in weights @ losses.T])
    if np.isnan(value) or np.isnan(drawn).all():
        return Read(float("nan"), float("nan"), float("nan"))
    low, high = np.quantile(drawn[~np.isnan(drawn)], [TAIL, 1 - TAIL], method="nearest")
    return Read(value if np.isfinite(value) else float("nan"), float(min(low, most)),
                float(high) if np.isfinite(high) else float("nan"))  # fmt: skip
