"""What should be known before the findings are trusted."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import pandas as pd

from landscape.stages.association import aligned, hypotheses
from landscape.stages.association.preregistered import named, untested
from landscape.stages.events.dating import Dated, beside, chosen
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
    """Sentences without a full stop.

    Args:
        observed: What was measured.
        dated: What was dated in it.
        association: The tests that were made.
        settings: Of the analysis.
        preregistered: The primary association, if it was preregistered.
        changed: Settings that differ from those preregistered with it.
    """
    seeds = observed.series["seed"].nunique()
    return [
        *dated.notes,
        *_unreliable(observed, settings),
        *_few(seeds),
        *_primary(observed, dated, association, settings, preregistered, changed),
        *_names(observed, dated, settings),
        *(_matrices(observed, settings) if seeds >= aligned.LEAST else []),
    ]


def _unreliable(observed: Observed, settings: Stages) -> list[str]:
    return [
        f"{wrong} of {count} values of {name} are unreliable, for reasons that their table says (warnings)"
        + ("" if settings.boundaries == name else f"; they bound no stages unless boundaries is {name}")
        for name, (wrong, count) in observed.unreliable.items()
    ]


def _few(seeds: int) -> list[str]:
    if seeds > hypotheses.FEW_SEEDS:
        return []
    return [
        f"{seeds} seed{'s' if seeds != 1 else ''}: with three no test of the seed hypothesis can be significant, with "
        "four only a perfect order can (p 0.04), whatever is true; ten are comfortable"
    ]


def _primary(
    observed: Observed, dated: Dated, association: pd.DataFrame, settings: Stages, preregistered: Primary | None,
    changed: Sequence[str],
) -> list[str]:  # fmt: skip
    out = []
    if settings.primary and preregistered is None:
        out.append("the primary association was not preregistered, and counts as exploration")
    elif settings.primary and preregistered and settings.primary != preregistered:
        out.append(
            f"the primary association of the study ({named(settings.primary)}) was not preregistered, "
            f"and counts as exploration; what was preregistered is {named(preregistered)}"
        )
    if preregistered is None:
        return out
    if changed:
        out.append(
            f"the primary association ({named(preregistered)}) was preregistered with other settings "
            f"({'; '.join(changed)}), and counts as exploration"
        )
    if not any(hypotheses.matches(row, preregistered) for row in association.to_dict("records")):
        why = untested(preregistered, observed, dated, settings)
        out.append(f"the primary association ({named(preregistered)}) could not be tested: {why}")
    return out


def _names(observed: Observed, dated: Dated, settings: Stages) -> list[str]:
    """Names and patterns of the settings that are those of no series."""
    names = sorted({*map(str, observed.series["series"]), *map(str, observed.pairs["series"])})
    known = ", ".join(names)
    out = []
    if not settings.boundaries and not {LOSS, LLC} & {series for series, _ in dated.curves}:
        out.append("no series is called llc or loss, so there are no stages; name the one that bounds them: boundaries")
    if settings.boundaries and settings.boundaries not in {series for series, _ in dated.curves}:
        smooth = ", ".join(sorted({series for series, _ in dated.curves}))
        out.append(f"no series is called {settings.boundaries}, so there are no stages; known: {smooth}")
    for pattern in (*settings.connectivity, *(settings.behaviour or ())):
        if not any(fnmatchcase(name, pattern) for name in names):
            out.append(f"no series matches {pattern}; known: {known}")
    return out


def _matrices(observed: Observed, settings: Stages) -> list[str]:
    """Which matrices of pairs are not compared with which behaviours, and what they lack."""
    out: list[str] = []
    barriers = observed.pairs[observed.pairs["series"].str.startswith(BARRIER)]
    for connectivity, rows in barriers.groupby("series", sort=False):
        if not chosen(rows, settings.connectivity):
            continue
        if lost := aligned.left_out(rows):
            out.append(
                f"the matrix of {connectivity} is without the seed{'s' if len(lost) > 1 else ''} "
                f"{', '.join(map(str, lost))}, for want of a pair"
            )
        why: dict[str, list[str]] = {}
        for behaviour in [*aligned.distance_names(observed.pairs), *beside(observed.series, settings)]:
            if aligned.aligned(rows, behaviour, observed) is None:
                why.setdefault(aligned.missing(rows, behaviour, observed), []).append(behaviour)
        out += (f"the matrix of {connectivity} is not laid beside {', '.join(names)}: {reason}"
                for reason, names in why.items())  # fmt: skip
    return out
