"""The result of a probe: scores with their errors, and the outcome of every item."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from landscape.shapes import Float

RESAMPLES = 200
Z = 1.96


@dataclass(frozen=True)
class Score:
    """One score.

    Attributes:
        metric: Name of the score.
        value: The score, in the unit of its metric.
        error: Its standard error over items; items of one cluster count as one.
        items: Number of items.
        subset: The items, layer or head that it belongs to; empty for all.
        better: Which direction is better.
        chance: The score of a model that knows nothing; nan if there is no such number.
        headline: Whether it represents the probe in figures.
        influence: Deviation of the score that is due to each cluster, in the unit of the metric; they sum to 0, and
            scores of two models on the same items are paired by them. None for scores that are no means.
        strata: Number of clusters of each group of items whose scores are averaged with equal weights.
    """

    metric: str
    value: float
    error: float
    items: int
    subset: str = ""
    better: Literal["higher", "lower", ""] = ""
    chance: float = float("nan")
    headline: bool = False
    influence: Float[np.ndarray, " clusters"] | None = field(default=None, compare=False, repr=False)
    strata: tuple[int, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True)
class ProbeResult:
    """The result of a probe on one model.

    Attributes:
        scores: The scores.
        items: Outcomes, one row for each item; with ``choice`` and ``p_...`` if the items are choices.
        about: A short description of the items and of how they were scored.
        clusters: Column of ``items`` that names the cluster of each item.
        warnings: Why the scores are unreliable; empty if they are reliable.
    """

    scores: tuple[Score, ...]
    items: pd.DataFrame
    about: str
    clusters: str = "item"
    warnings: str = ""


def mean(
    metric: str,
    values: Float[np.ndarray, " items"],
    clusters: np.ndarray | pd.Series | None = None,
    *,
    share: bool = False,
    **more: Any,
) -> Score:
    """The mean over items as a score.

    Args:
        metric: Name of the score.
        values: One value for each item.
        clusters: Cluster of each item, such as sentences made of the same words; None makes each item its own. With G
            clusters of n items the error is ``sqrt(G / (G - 1) sum_g (sum_{i in g} (x_i - mean))^2) / n``.
        share: Whether the values are 1 for right items and 0 for wrong ones. If all are right, or all wrong, they have
            no spread, and the error is ``z / (2 (G + z^2))``, half of Wilson's interval in units of z.
        **more: Other fields of the score.
    """
    values = np.asarray(values, dtype=np.float64)
    centre, n = values.mean(), len(values)
    groups = np.arange(n) if clusters is None else pd.factorize(np.asarray(clusters))[0]
    sums = np.bincount(groups, weights=values - centre)
    error = float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / n) if len(sums) > 1 else float("nan")
    if share and centre in (0, 1):
        error = Z / (2 * (len(sums) + Z**2))
    return Score(metric, float(centre), error, n, influence=sums / n, strata=(len(sums),), **more)


def average(metric: str, parts: Sequence[Score], **more: Any) -> Score:
    """The mean of scores with equal weights; their errors are taken as independent.

    Args:
        metric: Name of the score.
        parts: The scores, on different items.
        **more: Other fields of the score.
    """
    error = float(np.sqrt(sum(part.error**2 for part in parts)) / len(parts))
    each = [part.influence / len(parts) for part in parts if part.influence is not None]
    influence = np.concatenate(each) if len(each) == len(parts) else None
    strata = tuple(size for part in parts for size in part.strata)
    value, items = float(np.mean([p.value for p in parts])), sum(p.items for p in parts)
    return Score(metric, value, error, items, influence=influence, strata=strata, **more)


def bootstrapped(
    statistic: Callable[[Float[np.ndarray, " items"]], float],
    clusters: np.ndarray | pd.Series,
    random: np.random.RandomState,
) -> float:
    """Standard error of any statistic, by a bootstrap over clusters.

    Args:
        statistic: Maps weights of the items to the statistic.
        clusters: Cluster of each item.
        random: Draws the clusters.
    """
    groups, names = pd.factorize(np.asarray(clusters))
    draws = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    values = [statistic(draw[groups].astype(float)) for draw in draws]
    return float(np.nanstd(values, ddof=1))


def digest(thing: Any) -> str:
    """Hash of items by content: the same in every process and on every platform."""
    running = hashlib.blake2b(digest_size=8)
    _feed(thing, running.update)
    return running.hexdigest()


def _feed(thing: Any, update: Callable[[bytes], None]) -> None:
    """Pass a value to a hash without ambiguity.

    Raises:
        TypeError: If items may not hold values of this type.
    """
    if isinstance(thing, torch.Tensor):
        thing = thing.numpy()
    if is_dataclass(thing) and not isinstance(thing, type):
        thing = {field.name: getattr(thing, field.name) for field in fields(thing)}
    if isinstance(thing, np.ndarray):
        wide = thing.astype("<f8" if thing.dtype.kind == "f" else "<i8")
        update(f"{wide.dtype.str}{wide.shape}".encode() + wide.tobytes())
    elif isinstance(thing, dict):
        update(f"dict{len(thing)}".encode())
        for name, value in sorted(thing.items()):
            _feed(name, update)
            _feed(value, update)
    elif isinstance(thing, tuple | list):
        update(f"list{len(thing)}".encode())
        for value in thing:
            _feed(value, update)
    elif thing is None or isinstance(thing, str | int | float | bool | np.integer | np.floating):
        update(f"{type(thing).__name__}:{thing!r};".encode())
    else:
        raise TypeError(f"items hold a {type(thing).__name__}")
