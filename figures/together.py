"""Loss, barriers, coefficient and probes over training, in panels."""

from __future__ import annotations

import pandas as pd

from landscape.figures.frames import Frames
from landscape.figures.llc import llc_over_training
from landscape.figures.loss import loss_over_training
from landscape.figures.probes import about, probes_over_training
from landscape.figures.section import Section
from landscape.figures.style import panels
from landscape.figures.training import barrier_over_training


def section(frames: Frames) -> Section | None:
    """Loss, barrier, coefficient and probes by step."""
    rows = frames.probe
    if rows.empty:
        return None
    rows = rows[rows["branch_step"].isna() & rows["step"].notna()]
    if rows["step"].nunique() < 2:
        return None
    losses = frames.losses
    losses = (
        losses[losses["branch_step"].isna() & losses["step"].notna() & losses["seed"].notna()]
        if len(losses)
        else losses
    )
    llc = frames.llc
    llc = llc[llc["branch_step"].isna() & llc["step"].notna()] if len(llc) else llc
    training = frames.training if len(frames.training) and frames.training["step"].notna().all() else pd.DataFrame()
    metrics = probes_over_training(rows)
    figure, axes = panels(sum(not part.empty for part in (losses, training, llc)) + len(metrics))
    free = iter(axes)
    if not losses.empty:
        loss_over_training(losses, ax=next(free))
    if not training.empty:
        pairs = frames.barriers[frames.barriers["between"] == "seed"]
        barrier_over_training(training, pairs, ax=next(free))
    if not llc.empty:
        settings = ["sampler", "moved", "mode", "n_beta", "localisation"]
        llc_over_training(next(part for _, part in llc.groupby(settings, sort=False)), ax=next(free))
    probes_over_training(rows, list(free))
    for ax in axes:
        ax.tick_params(axis="x", labelsize=8, labelrotation=60)
        ax.set_xlabel("training step", fontsize=9)
        ax.yaxis.label.set_fontsize(10)
        if ax is not axes[0] and (legend := ax.get_legend()) is not None and len(legend.get_texts()) > len(metrics):
            legend.remove()
    text = about(rows)
    return Section.of(
        "What is learned, and when",
        "Loss, barrier between seeds, local learning coefficient and scores of probes, at the same steps. Two curves "
        "that change at the same steps need not be related: everything changes over training.",
        figure, text,
    )  # fmt: skip
