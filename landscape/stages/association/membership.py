"""Clusters of seeds over training, and from which step on they stay the same."""

from __future__ import annotations

import numpy as np
import pandas as pd

from landscape.stages.association import clusters
from landscape.stages.association.hypotheses import stream
from landscape.stages.association.last_step import complete, square
from landscape.stages.events.dating import chosen
from landscape.stages.series.observed import BARRIER, Observed
from landscape.stages.settings import Stages

COLUMNS = ("connectivity", "step", "seed", "cluster", "silhouette", "p", "agreement", "frozen")
MAX_STEPS = 12
"""Steps at which seeds are clustered, including the first and the last."""


def over_training(observed: Observed, settings: Stages) -> pd.DataFrame:
    """Clusters of the barrier matrix at steps that have all pairs, at most twelve.

    Returns:
        A row for each step and seed: ``cluster`` from 0; ``silhouette`` and ``p`` of the division; ``agreement``, the
        adjusted Rand index with the clusters at the last step; ``frozen``, whether the clusters are the final ones from
        this step on (false if there is one cluster at the end).
    """
    rows = []
    for name, part in observed.pairs.groupby("series", sort=False):
        connectivity = str(name)
        if not connectivity.startswith(BARRIER) or not chosen(part, settings.connectivity):
            continue
        seeds = complete(part[part["step"] == part["step"].max()])
        if len(seeds) < clusters.MIN_SEEDS:
            continue
        matrices = {float(step): square(at, seeds) for step, at in part.groupby("step")}
        complete_at = {step: values for step, values in matrices.items() if not np.isnan(values).any()}
        count = len(complete_at)
        evenly = np.unique(np.linspace(0, count - 1, min(MAX_STEPS, count)).round().astype(int))
        steps = [list(complete_at)[k] for k in evenly]
        divisions = [clusters.clusters(complete_at[step], stream(settings, "clusters", step)) for step in steps]
        if not divisions:
            continue
        agreement, freezes = clusters.frozen([one.labels for one in divisions])
        for n, (step, one) in enumerate(zip(steps, divisions, strict=True)):
            rows += [
                {"connectivity": connectivity, "step": step, "seed": str(seed), "cluster": int(label),
                 "silhouette": one.silhouette, "p": one.p, "agreement": float(agreement[n]),
                 "frozen": freezes is not None and n >= freezes}
                for seed, label in zip(seeds, one.labels, strict=True)
            ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))
