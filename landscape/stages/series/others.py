"""Series of other data sets beside those of the one that is analysed: ``barrier:seed@hans`` is on ``[data.hans]``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import pandas as pd

from landscape.stages.series.observed import Observed, typed
from landscape.stages.settings import Stages

AT = "@"


def base(series: str) -> str:
    """The name of a series without its data set.

    >>> base("barrier:seed@hans")
    'barrier:seed'
    """
    return series.partition(AT)[0]


def patterns(settings: Stages) -> tuple[str, ...]:
    """The names in some settings that say a data set."""
    primary = (settings.primary.connectivity, settings.primary.behaviour) if settings.primary else ()
    names = (*settings.connectivity, *(settings.behaviour or ()), *primary, settings.boundaries or "")
    return tuple(dict.fromkeys(name for name in names if AT in name))


def wanted(settings: Stages, data: Iterable[str]) -> list[str]:
    """The data sets of which the settings name a series.

    Args:
        settings: Settings of the analysis.
        data: Names of the data sets that there are.
    """
    own = [name.partition(AT)[2] for name in patterns(settings)]
    return [name for name in data if any(fnmatchcase(name, pattern) for pattern in own)]


def with_others(observed: Observed, others: Mapping[str, Observed], settings: Stages) -> Observed:
    """Series with those of other data sets that the settings name.

    Args:
        observed: Series of the data set that is analysed.
        others: Those of others, by the name of the data set.
        settings: Settings of the analysis.
    """
    names = patterns(settings)
    series = [_named(one.series, data, names) for data, one in others.items()]
    pairs = [_named(one.pairs, data, names) for data, one in others.items()]
    return replace(observed, series=_joined([observed.series, *series]), pairs=_joined([observed.pairs, *pairs]))


def _named(rows: pd.DataFrame, data: str, names: Sequence[str]) -> pd.DataFrame:
    """The rows of the series that some patterns take, named after their data set."""
    named = rows.assign(series=rows["series"].astype(str) + AT + data)
    taken = [any(fnmatchcase(series, name) for name in names) for series in named["series"]]
    return named[pd.Series(taken, named.index, dtype=bool)]


def _joined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    some = [part for part in parts if len(part)]
    return typed(pd.concat(some, ignore_index=True)) if len(some) > 1 else parts[0] if not some else typed(some[0])
