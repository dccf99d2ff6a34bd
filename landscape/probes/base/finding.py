"""What a probe finds: scores with their errors, and the outcome of every item."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from landscape.shapes import Float

RESAMPLES = 200
Z = 1.96


@dataclass(frozen=True)
class Score:
    """One number.

    Attributes:
        metric: What it is.
        value: The number.
        error: Its standard error over items; items that belong together count as one.
        items: How many there are.
        subset: Of which items, layer or head; empty for all.
        better: Which way is better.
        chance: What knowing nothing gives; nan if that is no number.
        headline: Whether it stands for the probe in a figure.
    """

    metric: str
    value: float
    error: float
    items: int
    subset: str = ""
    better: Literal["higher", "lower", ""] = ""
    chance: float = float("nan")
    headline: bool = False


@dataclass(frozen=True)
class Found:
    """What a probe found.

    Attributes:
        scores: The numbers.
        items: Outcomes, a row for each item; ``choice`` and ``p_...`` where the item is a choice.
        about: How it was asked, in a few words.
        clusters: Column of ``items`` that says which belong together.
        warnings: What makes the scores unreliable, in words; empty if nothing does.
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
        metric: What the values are.
        values: One of each item.
        clusters: Which items belong together, as sentences made of the same words do; None: each is alone. With G
            clusters of n items the error is ``sqrt(G / (G - 1) sum_g (sum_{i in g} (x_i - mean))^2) / n``.
        share: Whether the values say which items are right. If all are, or none, there is no spread to take an error
            from, and it is ``z / (2 (G + z^2))``, half of Wilson's interval in units of z.
        **more: The rest of the score.
    """
    values = np.asarray(values, dtype=np.float64)
    centre, n = values.mean(), len(values)
    groups = np.arange(n) if clusters is None else pd.factorize(np.asarray(clusters))[0]
    sums = np.bincount(groups, weights=values - centre)
    error = float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / n) if len(sums) > 1 else float("nan")
    if share and centre in (0, 1):
        error = Z / (2 * (len(sums) + Z**2))
    return Score(metric, float(centre), error, n, **more)


def average(metric: str, parts: Sequence[Score], **more: Any) -> Score:
    """The plain mean of scores on items that have nothing in common."""
    error = float(np.sqrt(sum(part.error**2 for part in parts)) / len(parts))
    return Score(metric, float(np.mean([p.value for p in parts])), error, sum(p.items for p in parts), **more)


def bootstrapped(
    statistic: Callable[[Float[np.ndarray, " items"]], float],
    clusters: np.ndarray | pd.Series,
    random: np.random.RandomState,
) -> float:
    """Standard error of a statistic that is no mean: a bootstrap over clusters, as weights of the items."""
    groups, names = pd.factorize(np.asarray(clusters))
    draws = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    values = [statistic(draw[groups].astype(float)) for draw in draws]
    return float(np.nanstd(values, ddof=1))


def digest(thing: Any) -> str:
    """Hash of items by their content, the same in every process and on every platform."""
    running = hashlib.blake2b(digest_size=8)
    _feed(thing, running.update)
    return running.hexdigest()


def _feed(thing: Any, update: Callable[[bytes], None]) -> None:
    """Write a value down without ambiguity.

    Raises:
        TypeError: If it is of a kind that items are not made of.
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
