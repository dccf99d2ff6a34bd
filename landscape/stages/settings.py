"""The section ``[stages]`` of a study file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from landscape.spec import MOST_PERMUTATIONS, MOST_SEED, Settings, one_or_several


class Primary(Settings):
    """The one association that a study is about; it is tested by itself, all others are exploration."""

    connectivity: str
    behaviour: str
    test: Literal["onset", "onset given loss", "matrix", "matrix given loss"] = "onset"


class Stages(Settings):
    """How changes over training are dated, and how connectivity is laid beside behaviour.

    Attributes:
        boundaries: The series whose extrema and plateaus bound the stages; None is ``llc``, or ``loss`` without it.
        engine: What bounds the stages: ``curve``, extrema and plateaus; ``breaks`` of slope; ``states`` of all series.
        connectivity: Names of series of connectivity, with ``*``.
        behaviour: Names of the series beside them, with ``*``; None takes the headlines of the probes, and ``llc``.
        threshold: Barrier below which two checkpoints are connected; None is 2 % of the fall of the loss in training.
        floor: Change of a barrier that never counts, in the unit of the loss; None is 0.01 nats, or 1 % of the largest
            loss in another unit.
        least_change: Least height of an extremum, and least rise beside a plateau, of what bounds the stages.
        window: An event comes before another if the other's step is at most so many times its own.
        primary: The association that the study is about; it counts as preregistered only if it was so at the first run.
        permutations: Orders of the seeds that are drawn, where there are more than seven seeds.
        draws: Of every curve.
        coupling: Correlation that the power is computed for.
        seed: Of draws and permutations.
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
