"""Clusters of the seeds over training, and when they freeze."""

from __future__ import annotations

import numpy as np
import pandas as pd

from landscape.stages.association import clusters
from landscape.stages.association.aligned import complete, square
from landscape.stages.association.hypotheses import stream
from landscape.stages.events.dating import chosen
from landscape.stages.series.observed import BARRIER, Observed
from landscape.stages.settings import Stages

COLUMNS = ("connectivity", "step", "seed", "cluster", "silhouette", "p", "agreement", "frozen")


MOST = 12
"""Steps at which clusters are looked for, the first and the last among them."""


def over_training(observed: Observed, settings: Stages) -> pd.DataFrame:
    """Clusters of the barrier matrix at steps that have all pairs, twelve at most.

    Returns:
        A row for each step and seed: ``cluster`` from 0; ``silhouette`` and ``p`` of the division; ``agreement``, the
            adjusted Rand index with the clusters at the last step; ``frozen``, whether these are the last ones from
            here on (false where
        there is one cluster at the end).
    """
    rows = []
    for name, part in observed.pairs.groupby("series", sort=False):
        connectivity = str(name)
        if not connectivity.startswith(BARRIER) or not chosen(part, settings.connectivity):
            continue
        seeds = complete(part[part["step"] == part["step"].max()])
        if len(seeds) < clusters.LEAST:
            continue
        matrices = {float(step): square(at, seeds) for step, at in part.groupby("step")}
        whole = {step: values for step, values in matrices.items() if not np.isnan(values).any()}
        kept = [
            list(whole)[k] for k in np.unique(np.linspace(0, len(whole) - 1, min(MOST, len(whole))).round().astype(int))
        ]
        whole = {step: whole[step] for step in kept}
        found = [clusters.clusters(values, stream(settings, "clusters", step)) for step, values in whole.items()]
        if not found:
            continue
        agreement, freezes = clusters.frozen([one.labels for one in found])
        for n, (step, one) in enumerate(zip(whole, found, strict=True)):
            rows += [
                {"connectivity": connectivity, "step": step, "seed": str(seed), "cluster": int(label),
                 "silhouette": one.silhouette, "p": one.p, "agreement": float(agreement[n]),
                 "frozen": freezes is not None and n >= freezes}
                for seed, label in zip(seeds, one.labels, strict=True)
            ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))
