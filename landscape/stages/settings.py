"""The section ``[stages]`` of a study file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from landscape.spec import MOST_PERMUTATIONS, MOST_SEED, Settings, one_or_several


class Primary(Settings):
    """The one association that a study is about. It is tested alone; all other tests are exploratory."""

    connectivity: str
    behaviour: str
    test: Literal["onset", "onset given loss", "matrix", "matrix given loss"] = "onset"


class Stages(Settings):
    """How events over training are dated, and how connectivity is compared with behaviour.

    Attributes:
        boundaries: Series that bounds the stages; left out, ``llc``, or ``loss`` if there is no ``llc``.
        engine: What bounds the stages: ``curve``, extrema and plateaus; ``breaks`` of a piecewise linear fit;
            ``states`` of a hidden Markov model of all series.
        connectivity: Names of series of connectivity; ``*`` is any text. ``barrier:seed@hans`` is that on the data set
            ``[data.hans]``; series of other data sets count only where they are named with one.
        behaviour: Names of series of behaviour, likewise; left out, the headlines of the probes, and ``llc``.
        threshold: Barrier below which two checkpoints are connected, in their unit; left out, 2 % of the fall
            of the loss over training.
        floor: Negligible change of a barrier, in units of the loss; left out, 0.01 nats, or 1 % of the largest loss in
            another unit.
        least_change: Smallest height of an extremum, and smallest rise on both sides of a plateau, in units of the
            series that bounds the stages.
        window: An event precedes another one if the step of the other is at most this many times its own.
        primary: The association that the study is about. It is preregistered only if the first run had it.
        permutations: Number of permutations of the seeds that are sampled if there are more than seven seeds.
        draws: Number of posterior draws of every curve.
        coupling: Correlation of onsets that the power is computed for, in (0, 1].
        seed: Random seed of draws and permutations.
    """

    boundaries: str | None = None
    engine: Literal["curve", "breaks", "states"] = "curve"
    connectivity: Annotated[tuple[str, ...], BeforeValidator(one_or_several)] = ("barrier*",)
    behaviour: Annotated[tuple[str, ...] | None, BeforeValidator(one_or_several)] = None
    threshold: float | None = Field(None, gt=0)
    floor: float | None = Field(None, ge=0)
    least_change: float = Field(0.0, ge=0)
    window: float = Field(2.0, gt=1)
    primary: Primary | None = None
    permutations: int = Field(9999, ge=99, le=MOST_PERMUTATIONS)
    draws: int = Field(400, ge=50, le=10_000)
    coupling: float = Field(0.9, gt=0, le=1)
    seed: int = Field(0, ge=0, le=MOST_SEED)
