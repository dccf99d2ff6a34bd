"""The primary association: what was preregistered, what has changed since, and why it is not tested."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from landscape.stages.association import aligned
from landscape.stages.association.hypotheses import LEAST_GIVEN, LEAST_SEEDS
from landscape.stages.events.dating import Dated, beside, chosen
from landscape.stages.series.observed import Observed
from landscape.stages.settings import Primary, Stages

DEFINITION = "chord"
"""Of the barrier, in what is preregistered."""
DECIDING = ("threshold", "floor", "permutations", "draws", "seed")
"""Settings that decide the numbers of a test."""


def preregistered(
    kept: Mapping[str, Any] | None, settings: Stages, definition: str
) -> tuple[Primary | None, list[str]]:
    """The primary association of the first run, and which settings differ now from those preregistered with it.

    Args:
        kept: What the store kept of the first run: its table of stages. Older stores keep the primary alone, which
            pins the definition and no other setting.
        settings: Of the analysis.
        definition: Of the barrier, in the analysis.
    """
    if not kept:
        return None, []
    alone = "test" in kept
    first = Stages.model_validate({"primary": kept} if alone else kept)
    pairs = {} if alone else {name: (getattr(settings, name), getattr(first, name)) for name in DECIDING}
    pairs["definition"] = definition, DEFINITION
    changed = [
        f"{name} {_said(now)}, preregistered: {_said(then)}" for name, (now, then) in pairs.items() if now != then
    ]
    return first.primary, changed


def named(primary: Primary) -> str:
    """The primary association in words."""
    return f"{primary.connectivity} with {primary.behaviour}, by {primary.test}"


def untested(primary: Primary, observed: Observed, dated: Dated, settings: Stages) -> str:
    """Why no test was made of the primary association."""
    known = sorted({*map(str, observed.series["series"]), *map(str, observed.pairs["series"])})
    for name in (primary.connectivity, primary.behaviour):
        if name not in known:
            return f"there is no series {name}; known: {', '.join(known)}"
    if primary.connectivity not in chosen(observed.series, settings.connectivity):
        return f"the setting connectivity leaves {primary.connectivity} out"
    matrix = primary.test.startswith("matrix")
    distances = aligned.distance_names(observed.pairs) if matrix else []
    if primary.behaviour not in [*distances, *beside(observed.series, settings)]:
        return f"the setting behaviour leaves {primary.behaviour} out"
    return _no_matrix(primary, observed) if matrix else _no_timing(primary, dated)


def _no_matrix(primary: Primary, observed: Observed) -> str:
    barriers = observed.pairs[observed.pairs["series"] == primary.connectivity]
    if barriers.empty:
        return f"matrix tests need series of pairs, and {primary.connectivity} is none"
    if aligned.aligned(barriers, primary.behaviour, observed) is None:
        return aligned.missing(barriers, primary.behaviour, observed)
    return f"the loss must be known at the same step, in {LEAST_GIVEN} seeds or more"


def _no_timing(primary: Primary, dated: Dated) -> str:
    pair = primary.connectivity, primary.behaviour
    for name in pair:
        if name not in dated.onsets:
            return f"{name} has no onset"
    seeds = len(set(dated.onsets[pair[0]][0]) & set(dated.onsets[pair[1]][0]))
    if seeds < LEAST_SEEDS:
        return f"{seeds} seeds have both, and {LEAST_SEEDS} are the least"
    return f"it needs the timing of another loss in the same seeds, {LEAST_GIVEN} or more"


def _said(value: object) -> str:
    return "left out" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
