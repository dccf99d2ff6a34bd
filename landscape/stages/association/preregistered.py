"""The primary association: what was preregistered, what changed since, and why it could not be tested."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from landscape.stages.association import last_step
from landscape.stages.association.hypotheses import MIN_SEEDS, MIN_SEEDS_GIVEN
from landscape.stages.events.dating import Dated, behaviours, chosen
from landscape.stages.series.observed import Observed
from landscape.stages.settings import Primary, Stages

DEFINITION, DATA = "chord", "main"
"""Definition of the barrier of preregistered tests, and their data set."""
DECIDING = ("threshold", "floor", "permutations", "draws", "seed")
"""Settings that change the numbers of a test."""


def preregistered(
    kept: Mapping[str, Any] | None, settings: Stages, definition: str, data: str = DATA
) -> tuple[Primary | None, list[str]]:
    """The primary association of the first run, and the settings that differ from those preregistered with it.

    Args:
        kept: Settings of stages that the store kept of the first run. Older stores keep the primary association only,
            which fixes the definition and no other setting.
        settings: Settings of the analysis.
        definition: Definition of the barrier in the analysis.
        data: Data set of the analysis.
    """
    if not kept:
        return None, []
    alone = "test" in kept
    first = Stages.model_validate({"primary": kept} if alone else kept)
    values = {} if alone else {name: (getattr(settings, name), getattr(first, name)) for name in DECIDING}
    values |= {"definition": (definition, DEFINITION), "data": (data, DATA)}
    changed = [
        f"{name} {_written(now)}, preregistered: {_written(then)}"
        for name, (now, then) in values.items()
        if now != then
    ]
    return first.primary, changed


def in_words(primary: Primary) -> str:
    """The primary association in words."""
    return f"{primary.connectivity} with {primary.behaviour}, by {primary.test}"


def untested(primary: Primary, observed: Observed, dated: Dated, settings: Stages) -> str:
    """Why the primary association was not tested.

    Args:
        primary: The primary association.
        observed: Measurements.
        dated: Curves and events.
        settings: Settings of the analysis.
    """
    known = sorted({*map(str, observed.series["series"]), *map(str, observed.pairs["series"])})
    for name in (primary.connectivity, primary.behaviour):
        if name not in known:
            return f"there is no series {name}; known: {', '.join(known)}"
    if primary.connectivity not in chosen(observed.series, settings.connectivity):
        return f"the setting connectivity does not include {primary.connectivity}"
    matrix = primary.test.startswith("matrix")
    distances = last_step.distance_names(observed.pairs) if matrix else []
    if primary.behaviour not in [*distances, *behaviours(observed.series, settings)]:
        return f"the setting behaviour does not include {primary.behaviour}"
    return _no_matrix(primary, observed) if matrix else _no_timing(primary, dated)


def _no_matrix(primary: Primary, observed: Observed) -> str:
    barriers = observed.pairs[observed.pairs["series"] == primary.connectivity]
    if barriers.empty:
        return f"matrix tests need a series of pairs, which {primary.connectivity} is not"
    if last_step.common(barriers, primary.behaviour, observed) is None:
        return last_step.missing(barriers, primary.behaviour, observed)
    return f"the loss must be known at the same step in at least {MIN_SEEDS_GIVEN} seeds"


def _no_timing(primary: Primary, dated: Dated) -> str:
    pair = primary.connectivity, primary.behaviour
    for name in pair:
        if name not in dated.onsets:
            return f"{name} has no onset"
    seeds = len(set(dated.onsets[pair[0]][0]) & set(dated.onsets[pair[1]][0]))
    if seeds < MIN_SEEDS:
        return f"{seeds} seeds have both, and {MIN_SEEDS} are needed"
    return f"it needs the onset of the loss in the same seeds, at least {MIN_SEEDS_GIVEN} of them"


def _written(value: object) -> str:
    return "left out" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
