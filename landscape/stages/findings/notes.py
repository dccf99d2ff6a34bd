"""Notes: caveats of the findings."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import pandas as pd

from landscape.stages.association import hypotheses, last_step
from landscape.stages.association.preregistered import in_words, untested
from landscape.stages.events.dating import Dated, behaviours, chosen
from landscape.stages.series.observed import BARRIER, LLC, LOSS, Observed
from landscape.stages.settings import Primary, Stages


def notes(
    observed: Observed,
    dated: Dated,
    association: pd.DataFrame,
    settings: Stages,
    preregistered: Primary | None,
    changed: Sequence[str],
) -> list[str]:
    """Caveats of the findings, as sentences without a full stop.

    Args:
        observed: Measurements.
        dated: Their curves and events.
        association: The tests.
        settings: Settings of the analysis.
        preregistered: The primary association, if it was preregistered.
        changed: Settings that differ from those that were preregistered.
    """
    seeds = observed.series["seed"].nunique()
    return [
        *dated.notes,
        *_unreliable(observed, settings),
        *_few(seeds),
        *_primary(observed, dated, association, settings, preregistered, changed),
        *_names(observed, dated, settings),
        *(_matrices(observed, settings) if seeds >= last_step.MIN_SEEDS else []),
    ]


def _unreliable(observed: Observed, settings: Stages) -> list[str]:
    return [
        f"{wrong} of {count} values of {name} are unreliable; the column warnings of their table has the reasons"
        + ("" if settings.boundaries == name else f"; the series bounds no stages unless boundaries is {name}")
        for name, (wrong, count) in observed.unreliable.items()
    ]


def _few(seeds: int) -> list[str]:
    if seeds > hypotheses.FEW_SEEDS:
        return []
    return [
        f"{seeds} seed{'s' if seeds != 1 else ''}: with three seeds no test of the seed hypothesis can be significant, "
        "and with four only a perfect order is (p 0.04); ten seeds are comfortable"
    ]


def _primary(
    observed: Observed, dated: Dated, association: pd.DataFrame, settings: Stages, preregistered: Primary | None,
    changed: Sequence[str],
) -> list[str]:  # fmt: skip
    out = []
    if settings.primary and preregistered is None:
        out.append("the primary association was not preregistered, so it is exploratory")
    elif settings.primary and preregistered and settings.primary != preregistered:
        out.append(
            f"the primary association of the study ({in_words(settings.primary)}) was not preregistered, "
            f"so it is exploratory; preregistered was {in_words(preregistered)}"
        )
    if preregistered is None:
        return out
    if changed:
        out.append(
            f"the primary association ({in_words(preregistered)}) was preregistered with other settings "
            f"({'; '.join(changed)}), so it is exploratory"
        )
    if not any(hypotheses.is_primary(row, preregistered) for row in association.to_dict("records")):
        why = untested(preregistered, observed, dated, settings)
        out.append(f"the primary association ({in_words(preregistered)}) could not be tested: {why}")
    return out


def _names(observed: Observed, dated: Dated, settings: Stages) -> list[str]:
    """Names and patterns in the settings that fit no series."""
    names = sorted({*map(str, observed.series["series"]), *map(str, observed.pairs["series"])})
    known = ", ".join(names)
    out = []
    if not settings.boundaries and not {LOSS, LLC} & {series for series, _ in dated.curves}:
        out.append(
            "no series is called llc or loss, so there are no stages; set boundaries to the series that bounds them"
        )
    if settings.boundaries and settings.boundaries not in {series for series, _ in dated.curves}:
        smoothed = ", ".join(sorted({series for series, _ in dated.curves}))
        out.append(f"no series is called {settings.boundaries}, so there are no stages; known: {smoothed}")
    primary = (settings.primary.connectivity, settings.primary.behaviour) if settings.primary else ()
    for pattern in dict.fromkeys((*settings.connectivity, *(settings.behaviour or ()), *primary)):
        if not any(fnmatchcase(name, pattern) for name in names):
            out.append(f"no series fits {pattern}; known: {known}")
    return out


def _matrices(observed: Observed, settings: Stages) -> list[str]:
    """Which matrices of pairs could not be compared with which behaviours, and why."""
    out: list[str] = []
    barriers = observed.pairs[observed.pairs["series"].str.startswith(BARRIER)]
    for connectivity, rows in barriers.groupby("series", sort=False):
        if not chosen(rows, settings.connectivity):
            continue
        if lost := last_step.left_out(rows):
            out.append(
                f"the matrix of {connectivity} leaves out seed{'s' if len(lost) > 1 else ''} "
                f"{', '.join(map(str, lost))}, because pairs are missing"
            )
        why: dict[str, list[str]] = {}
        for behaviour in [*last_step.distance_names(observed.pairs), *behaviours(observed.series, settings)]:
            if last_step.common(rows, behaviour, observed) is None:
                why.setdefault(last_step.missing(rows, behaviour, observed), []).append(behaviour)
        out += (f"the matrix of {connectivity} is not compared with {', '.join(names)}: {reason}"
                for reason, names in why.items())  # fmt: skip
    return out
