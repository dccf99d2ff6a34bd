"""Loss, barriers, coefficient and probes over training, in panels."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape.figures.frames import Frames
from landscape.figures.llc import llc_over_training
from landscape.figures.loss import loss_over_training
from landscape.figures.probes import about, probe_over_training, probes_over_training
from landscape.figures.section import Section
from landscape.figures.style import panels
from landscape.figures.training import barrier_over_training

SETTINGS = ["sampler", "moved", "mode", "n_beta", "localisation"]


def over_training(
    probes: pd.DataFrame, losses: pd.DataFrame, means: pd.DataFrame, pairs: pd.DataFrame, llc: pd.DataFrame
) -> Figure:
    """A panel for the loss, the accuracy, the barrier, the coefficient, and each headline score of a probe.

    Args:
        probes: Rows of the table ``probe``.
        losses: Rows of the table ``loss``, with the accuracy if the objective has one; may be empty, as all below.
        means: Mean barrier between seeds by step.
        pairs: Rows of the table ``barrier`` of the pairs of seeds.
        llc: Rows of the table ``llc``, for one setting of the sampler.
    """
    metrics = probes_over_training(probes)
    known = "accuracy" in losses and bool(losses["accuracy"].notna().any())
    several = sum(not part.empty for part in (losses, means, llc)) + known
    figure, axes = panels(several + len(metrics))
    free = iter(axes)
    if not losses.empty:
        loss_over_training(losses, ax=next(free))
    if known:
        _accuracy(losses, next(free))
    if not means.empty:
        barrier_over_training(means, pairs, ax=next(free))
    if not llc.empty:
        llc_over_training(llc, ax=next(free))
    probes_over_training(probes, list(free))
    for ax in axes:
        ax.tick_params(axis="x", labelsize="x-small", labelrotation=60)
        ax.set_xlabel("training step", fontsize="small")
        ax.yaxis.label.set_fontsize("small")
        if ax is not axes[0] and (legend := ax.get_legend()) is not None and len(legend.get_texts()) > len(metrics):
            legend.remove()
    return figure


def _accuracy(losses: pd.DataFrame, ax: Axes) -> None:
    """The accuracy on the data of the loss, which classifiers have; it has no interval."""
    rows = losses.rename(columns={"accuracy": "value"}).assign(subset="", error=float("nan"), chance=float("nan"))
    probe_over_training(rows[["seed", "step", "value", "subset", "error", "chance"]], ax=ax)
    ax.set_ylabel("accuracy \N{UPWARDS ARROW}")


def section(frames: Frames) -> Section | None:
    """Loss, barrier, coefficient and probes by step."""
    rows = frames.probe
    if rows.empty:
        return None
    rows = rows[rows["branch_step"].isna() & rows["step"].notna()]
    if rows["step"].nunique() < 2:
        return None
    losses, llc = (
        part[part["branch_step"].isna() & part["step"].notna()] if len(part) else part
        for part in (frames.losses, frames.llc)
    )
    losses = losses[losses["seed"].notna()] if len(losses) else losses
    llc = next(part for _, part in llc.groupby(SETTINGS, sort=False)) if len(llc) else llc
    training = frames.training if len(frames.training) and frames.training["step"].notna().all() else pd.DataFrame()
    pairs = frames.barriers[frames.barriers["between"] == "seed"] if len(training) else pd.DataFrame()
    every = {"probes": rows, "losses": losses, "means": training, "pairs": pairs, "llc": llc}
    known = {name: part for name, part in every.items() if not part.empty}
    words = ", ".join(name if name in known else "pd.DataFrame()" for name in every)
    return Section.of(
        "What is learned, and when",
        "Loss, barrier between seeds, local learning coefficient and scores of probes, at the same steps. Two curves "
        "that change at the same steps need not be related: everything changes over training.",
        over_training(**every), about(rows), rows=known, draw=f"together.over_training({words})",
    )  # fmt: skip
