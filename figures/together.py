"""Everything over training in panels: loss, barriers, coefficient and probes."""

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
    """Loss, barrier, coefficient and probes, all against step."""
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
    llc_ = frames.llc[frames.llc["branch_step"].isna() & frames.llc["step"].notna()] if len(frames.llc) else frames.llc
    training = frames.training if len(frames.training) and frames.training["step"].notna().all() else pd.DataFrame()
    asked = probes_over_training(rows)
    figure, axes = panels(sum(not part.empty for part in (losses, training, llc_)) + len(asked))
    left = iter(axes)
    if not losses.empty:
        loss_over_training(losses, ax=next(left))
    if not training.empty:
        pairs = frames.barriers[frames.barriers["between"] == "seeds"]
        barrier_over_training(training, pairs, ax=next(left))
    if not llc_.empty:
        one = ["sampler", "moved", "mode", "n_beta", "localisation"]
        llc_over_training(next(part for _, part in llc_.groupby(one, sort=False)), ax=next(left))
    probes_over_training(rows, list(left))
    for ax in axes:
        ax.tick_params(axis="x", labelsize=8, labelrotation=60)
        ax.set_xlabel("training step", fontsize=9)
        ax.yaxis.label.set_fontsize(10)
        if ax is not axes[0] and (legend := ax.get_legend()) is not None and len(legend.get_texts()) > len(asked):
            legend.remove()
    text = about(rows)
    return Section.of(
        "What is learned, and when",
        "Loss, barrier between seeds, local learning coefficient and what the models can do, at the same steps. What "
        "moves together in one run need not belong together: everything changes with training.",
        figure, text,
    )  # fmt: skip
