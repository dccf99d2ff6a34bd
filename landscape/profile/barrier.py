"""Barriers: how far the loss along a path rises, by every definition in use, each with its error.

Numbers in, numbers out: no tensor library is imported here. The definitions are in
:mod:`landscape.profile.definitions`. All of them are computed from one stored profile.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import cast

import numpy as np

from landscape.catalogue import DEFINITIONS
from landscape.profile.definitions import Contrasts, Definition
from landscape.profile.largest import largest
from landscape.profile.nodes import Interpolation, identity
from landscape.profile.paired import Components
from landscape.shapes import Float, Int


@dataclass(frozen=True)
class Barrier:
    """One barrier with its error, in the unit of the losses.

    Attributes:
        definition: Name of the definition.
        value: Cross-fitted estimate: the maximum is located on one half of the examples and read on the other, both
            ways round, so the noise that picks the maximum does not also inflate it. Clipped to ``[low, high]``.
        plugin: The maximum of the mean profile itself, biased upward by noise.
        low: Lower end of the 95 % interval.
        high: Upper end of it.
        t_at_max: The t of the maximum of the mean profile, in [0, 1]; nan for definitions without one.
    """

    definition: str
    value: float
    plugin: float
    low: float
    high: float
    t_at_max: float


@cache
def load(definition: str) -> Definition:
    """The module of a definition, imported once.

    Raises:
        ValueError: If there is no such definition.
    """
    return cast(Definition, DEFINITIONS.load(definition))


def available(t: Float[np.ndarray, " t"]) -> tuple[str, ...]:
    """Names of the definitions that a grid allows.

    >>> sorted(set(DEFINITIONS) - set(available(np.linspace(0, 1, 50))))
    ['convexity_gap', 'midpoint']
    """
    return tuple(name for name in DEFINITIONS if load(name).available(t))


def contrasts(definition: str, t: Float[np.ndarray, " t"]) -> Contrasts:
    """A definition as contrasts over the grid, and the t that each of them is about.

    Args:
        definition: Name of the definition.
        t: The grid, increasing from 0 to 1.

    Returns:
        Contrasts, whose largest minimum over the second axis is the barrier; and the t of each, in [0, 1].

    Raises:
        ValueError: If ``t`` does not rise from 0 to 1, lacks what the definition needs, or there is no such definition.
    """
    if t[0] != 0 or t[-1] != 1 or (np.diff(t) <= 0).any():
        raise ValueError(f"t must rise from 0 to 1, got {t}")
    return _kept(definition, tuple(t.tolist())) if load(definition).COARSE else load(definition).contrasts(t)


@lru_cache(maxsize=4)
def _kept(definition: str, t: tuple[float, ...]) -> Contrasts:
    """Contrasts over a coarse grid, which all pairs share: they take longer than those of other definitions."""
    return load(definition).contrasts(np.array(t))


def over_components(
    contrasts: Float[np.ndarray, "maxima minima read"], interpolation: Interpolation
) -> Float[np.ndarray, "maxima minima components"]:
    """Contrasts of an interpolated profile as weights of its components: rises at the evaluated t, and the ends' gap.

    See :func:`landscape.profile.paired.components`.
    """
    return np.concatenate([contrasts @ interpolation.matrix, (contrasts @ interpolation.t)[..., None]], axis=-1)


@lru_cache(maxsize=1)
def resamples(examples: int, count: int, seed: int) -> Float[np.ndarray, "count examples"]:
    """Bootstrap weights: how often each example is drawn, as a fraction of the number of examples.

    One set serves every t, pair and definition, so that differences stay paired; it is kept, and cannot be written to.

    Args:
        examples: Number of examples.
        count: Number of resamples.
        seed: Of the random numbers.
    """
    draws = np.random.default_rng(seed).multinomial(examples, np.full(examples, 1 / examples), size=count)
    weights = draws / examples
    weights.setflags(write=False)
    return np.asarray(weights)


def estimate(
    profile: Components,
    definition: str = "chord",
    *,
    weights: Float[np.ndarray, "count examples"],
    interpolation: Interpolation | None = None,
    widening: float = 1.0,
) -> Barrier:
    """Barrier of one profile with its 95 % interval.

    The interval is that of :func:`landscape.profile.largest.largest`. It covers the sampling error of the examples. It
    covers neither the grid nor other seeds.

    Args:
        profile: The profile, from :func:`landscape.profile.paired.components`.
        definition: Name of the definition.
        weights: Bootstrap weights over the examples, from :func:`resamples`.
        interpolation: Where the profile is read between the evaluated t, and how; None reads it at these t themselves.
        widening: Factor on the interval, for data that were looked at more than once
            (:func:`landscape.profile.sequential.widening`).

    Returns:
        The estimate; exactly 0 with an interval of width 0 if the profile is flat for every example.

    Raises:
        ValueError: If there are fewer than two examples, or no such definition.
    """
    if len(profile.begin) < 2:
        raise ValueError(f"a barrier needs at least two examples for its error, got {len(profile.begin)}")
    interpolation = interpolation or identity(profile.t)
    rows, contrast_t = contrasts(definition, interpolation.t)
    rows = over_components(rows, interpolation) @ profile.mixing
    found = largest(rows, profile.values, weights=weights, signed=load(definition).SIGNED, widening=widening)
    return Barrier(definition, found.value, found.plugin, found.low, found.high, float(contrast_t[found.index]))


def matrix(
    a: Int[np.ndarray, " pairs"], b: Int[np.ndarray, " pairs"], values: Float[np.ndarray, " pairs"], size: int
) -> Float[np.ndarray, "size size"]:
    """Symmetric matrix of a value of pairs, in the unit of the values; zero on the diagonal, nan for missing pairs.

    Args:
        a: Index of the first member of each pair.
        b: Index of the second.
        values: Value of each pair.
        size: Number of members.
    """
    square = np.full((size, size), np.nan)
    np.fill_diagonal(square, 0)
    square[a, b] = square[b, a] = values
    return square
