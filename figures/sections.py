"""The sections of a report: each a figure with its words, or nothing where there are no rows for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from landscape.figures import llc
from landscape.figures.curves import by_path, loss_by_path
from landscape.figures.frames import Frames
from landscape.figures.interpolation import interpolation, some
from landscape.figures.llc import llc_over_training
from landscape.figures.loss import loss_over_training
from landscape.figures.matrix import LEAST_SCALE, barrier_matrix
from landscape.figures.plane import about as about_plane
from landscape.figures.plane import loss_plane
from landscape.figures.probes import about, panels, probes_over_training
from landscape.figures.simplex import mixtures
from landscape.figures.stages import stages_over_training
from landscape.figures.style import caption, note
from landscape.figures.symmetry import barriers_by_symmetry
from landscape.figures.traces import SMOOTH, traces
from landscape.figures.training import barrier_over_training

WITHIN = ("children", "neighbours", "last")
"""Pairs of one run, which are no cells of a matrix of seeds."""
MATRICES = 4
PLANES = 4


@dataclass(frozen=True)
class Section:
    """A figure with its words."""

    title: str
    text: str
    figure: Figure
    note: str


def sections(frames: Frames) -> list[Section]:
    """The sections of a report, in its order."""
    makers = [
        _stages,
        _matrices,
        _symmetry,
        _training,
        _curves,
        _bent,
        _planes,
        _mixtures,
        _parting,
        _loss,
        _llc,
        _traces,
        _together,
        _behaviour,
    ]
    return [section for make in makers if (section := make(frames)) is not None]


def _stages(frames: Frames) -> Section | None:
    """The main figure: everything over training on one axis."""
    if frames.curve.empty:
        return None
    figure = stages_over_training(frames.series, frames.curve, frames.event, frames.stage, boundaries=frames.boundaries)
    kinds = [kind for kind in dict.fromkeys(frames.stage.get("begins", [])) if kind != "start"]
    bounds = f"bounded by {' and '.join(kinds)} ({frames.boundaries})" if kinds else "not bounded"
    text = (
        f"thin: seeds; thick: mean over seeds, smoothed, 90 % band; background: stages, {bounds}; dashed: boundaries, "
        "with their 90 % intervals at the top; diamonds: half-way through the change of the mean, or "
        "the median of when seeds settle, 90 % interval"
    )
    note(figure.axes[0], text)
    return Section(
        "Stages",
        "Loss, local learning coefficient, barriers and behaviour at the same steps, and the stages of training. That "
        "changes fall together here says little: everything changes with training. Whether seeds that connect early "
        "also behave early is tested below.",
        figure, text,
    )  # fmt: skip


def _between_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[~rows["between"].isin(WITHIN)]


def _matrices(frames: Frames) -> Section | None:
    if frames.barriers.empty or (rows := _between_seeds(frames.barriers)).empty:
        return None
    by_step = rows[rows["between"] == "seeds"]
    steps = some(sorted(by_step["step_a"].dropna().unique().tolist()), MATRICES)
    chosen = [by_step[by_step["step_a"] == step] for step in steps]
    rest = rows.drop(by_step.index[by_step["step_a"].notna()])
    chosen += [part for _, part in rest.groupby("between")]
    columns = min(2, len(chosen))
    shape = (-(-len(chosen) // columns), columns)
    figure, axes = plt.subplots(*shape, figsize=(4.9 * columns, 4.4 * shape[0] + 0.4), squeeze=False)
    for spare in axes.flat[len(chosen) :]:
        spare.remove()
    for ax, part in zip(axes.flat, chosen, strict=False):
        barrier_matrix(part, ax=ax, vmax=max(float(rows["barrier"].max()), LEAST_SCALE))
    text = caption(rows) + "; ±: half of the 95 % interval over examples"
    note(axes[0][0], text)
    return Section(
        "Barrier matrices",
        "Each cell is the barrier between two checkpoints. The colour scale is shared by all matrices. Zero would mean "
        "that a straight line of low loss joins the two models.",
        figure, text,
    )  # fmt: skip


def _training(frames: Frames) -> Section | None:
    if frames.training.empty or frames.training["step"].isna().any():
        return None
    rows = frames.barriers[frames.barriers["between"] == "seeds"]
    figure, ax = plt.subplots(figsize=(8, 4.6))
    barrier_over_training(frames.training, rows, ax=ax)
    text = caption(rows) + "; interval: jackknife over seeds, since pairs share seeds, and the error of the examples"
    note(ax, text)
    return Section(
        "Mean barrier over training",
        "The mean over all pairs of seeds at each saved step. Where it rises, the seeds move into regions that a "
        "straight line no longer joins.",
        figure, text,
    )  # fmt: skip


def _symmetry(frames: Frames) -> Section | None:
    """Raw, matched and random, at the last step that has them."""
    rows = frames.matched
    if rows.empty:
        return None
    between = rows["between"].iloc[0]
    rows, means = (frame[frame["between"] == between] for frame in (rows, frames.by_symmetry))
    last = rows["step_a"].max()
    if pd.notna(last):
        rows, means = rows[rows["step_a"] == last], means[means["step"] == last]
    figure, ax = plt.subplots(figsize=(8, 4.6))
    barriers_by_symmetry(means, rows, ax=ax)
    checks = frames.match
    worst = checks.loc[(checks["output_difference"] / checks["tolerance"]).idxmax()]
    untied = "; heads untied from embeddings where streams turn" if checks["untied"].any() else ""
    text = (
        f"dots: pairs, 95 % interval over examples; diamonds: mean, 95 % interval by jackknife over checkpoints; "
        f"{caption(rows)}{f'; step {int(last):,}' if pd.notna(last) else ''}{untied}"
    )
    note(ax, text)
    return Section(
        "Symmetries taken out",
        "Two runs may be one solution in other coordinates: with units, heads and the stream in another order, or "
        "turned. Matched, all checkpoints are brought into the coordinates of the first; the control has random ones. "
        "What is left of a barrier after matching is no such artefact, or one that this way of matching has not found. "
        f"No function was changed: in {len(checks)} checks outputs differed by {worst['output_difference']:.1g} at "
        f"most in float64, where rounding explains {worst['tolerance']:.1g}.",
        figure, text,
    )  # fmt: skip


def _curves(frames: Frames) -> Section | None:
    if frames.curves.empty:
        return None
    rows = _between_seeds(frames.profiles)
    unit = str(rows["unit"].iloc[0])
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.8))
    interpolation(frames.curves, value="loss", unit=unit, ax=left, legend=False)
    interpolation(frames.curves, value="rise", unit=unit, ax=right)
    text = caption(rows.assign(definition=frames.barriers["definition"].iloc[0])) + (
        "; band: 95 % interval of the mean over pairs, by jackknife over seeds, and the error of the examples"
    )
    note(left, text)
    return Section(
        "Interpolation curves",
        "The loss of the models on the straight line between two seeds, averaged over pairs. On the left as it is; on "
        "the right above the chord that joins the two ends, whose largest value is the barrier.",
        figure, text,
    )  # fmt: skip


def _bent(frames: Frames) -> Section | None:
    if frames.bent.empty:
        return None
    rows = frames.bent
    control = " and to a random point as far away (the control)" if "control" in set(rows["path"]) else ""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.8))
    loss_by_path(frames.bent_profiles, unit=str(rows["unit"].iloc[0]), ax=left)
    by_path(frames.by_path, rows, value="mean_climb", ax=right)
    text = (
        f"mean climb: mean loss along the path, above the better end; {caption(rows[rows['path'] != 'control'])}; "
        "curves were fitted on other text; dots: 95 % interval over examples; "
        "diamonds: mean, 95 % interval by jackknife over checkpoints"
    )
    note(left, text)
    return Section(
        "Learned curves",
        f"Curves whose bends were trained for low loss between two checkpoints{control}, judged on text that they were "
        "not trained on. Where a curve stays low and the straight line does not, the two checkpoints lie in one bent "
        "valley. The control shows how low a bend of the same budget gets the loss on the way to nowhere in "
        "particular; its far end is bad, so its largest loss says nothing.",
        figure, text,
    )  # fmt: skip


def _planes(frames: Frames) -> Section | None:
    if frames.plane.empty:
        return None
    names = some(list(dict.fromkeys(frames.plane["plane"])), PLANES)
    columns = min(2, len(names))
    shape = (-(-len(names) // columns), columns)
    figure, axes = plt.subplots(*shape, figsize=(max(6.2 * columns, 9), 5 * shape[0]), squeeze=False)
    for spare in axes.flat[len(names) :]:
        spare.remove()
    notes = []
    for ax, name in zip(axes.flat, names, strict=False):
        rows, places = (frame[frame["plane"] == name] for frame in (frames.plane, frames.place))
        loss_plane(rows, places, ax=ax)
        notes.append(about_plane(rows, places))
    text = "; ".join([*dict.fromkeys(notes), caption(frames.plane)])
    note(axes[0][0], text)
    return Section(
        "Planes",
        "The loss on planes through the space of weights, with the checkpoints in it. Distances are true: a unit is "
        "the same on both axes and everywhere. What lies off the plane is not seen.",
        figure, text,
    )  # fmt: skip


def _mixtures(frames: Frames) -> Section | None:
    if frames.mixture.empty:
        return None
    groups = [rows for _, rows in frames.mixture.groupby("checkpoints", sort=False)]
    rows = max(groups, key=lambda group: -1 if pd.isna(step := group["step"].iloc[0]) else step)
    figure, ax = plt.subplots(figsize=(8, 4.6))
    mixtures(rows, ax=ax)
    step = rows["step"].iloc[0]
    text = f"{caption(rows)}; bars: 95 % interval over examples" + (f"; step {int(step):,}" if pd.notna(step) else "")
    note(ax, text)
    return Section(
        "Mixtures",
        "The loss of averages of checkpoints: of two, of all (the uniform soup), and with random shares. In a convex "
        "region an average is no worse than its members.",
        figure, text,
    )  # fmt: skip


def _parting(frames: Frames) -> Section | None:
    if frames.parting.empty:
        return None
    rows = frames.barriers[frames.barriers["between"] == "children"]
    end = int(rows["step_a"].max())
    figure, ax = plt.subplots(figsize=(8, 4.6))
    barrier_over_training(frames.parting, rows, ax=ax, by="parted", label="step at which the children parted")
    few = int(frames.parting["pairs"].min())
    spread = (
        "the error of the examples only, one pair a step" if few < 3 else "jackknife over children, and the examples"
    )
    text = f"{caption(rows)}; children compared at step {end:,}; interval: {spread}"
    note(ax, text)
    return Section(
        "Onset of linear connectivity",
        f"Children share every step of training up to the one on the axis and then see other data orders until step "
        f"{end:,}. Once the barrier stays at zero, the rest of training no longer leaves the region that a straight "
        "line joins: the run has become stable to the noise of the data order. An interval of a mean over few children "
        "is wider than their spread, because it is about the data orders that were not run.",
        figure, text,
    )  # fmt: skip


def _loss(frames: Frames) -> Section | None:
    rows = frames.losses
    if "parted" in rows:
        rows = rows[rows["parted"].isna()]
    if rows.empty or rows["step"].isna().any() or rows["seed"].isna().any():
        return None
    figure, ax = plt.subplots(figsize=(8, 4.6))
    loss_over_training(rows, ax=ax)
    text = (
        caption(rows)
        + "; bars: 95 % interval over examples; no barrier or t grid: these are the checkpoints themselves"
    )
    note(ax, text)
    return Section("Loss over training", "Held-out loss of every seed, at the ends of all paths.", figure, text)


def _llc(frames: Frames) -> Section | None:
    rows = frames.llc
    if rows.empty:
        return None
    rows = rows[rows["step"].notna() & rows["seed"].notna()]
    if rows.empty:
        return None
    of = rows.assign(children=rows["parted"].notna())
    groups = [
        part for _, part in of.groupby(["children", "sampler", "moved", "mode", "n_beta", "localisation"], sort=False)
    ]
    figure, axes = plt.subplots(len(groups), figsize=(8, 4.6 * len(groups)), squeeze=False)
    for ax, part in zip(axes.flat, groups, strict=True):
        if part["children"].any():
            last = int(part["step"].max())
            llc_over_training(part, ax=ax, by="parted", label=f"step at which children, now at {last:,}, parted")
        else:
            llc_over_training(part, ax=ax)
        if len(groups) > 1:
            ax.set_title(f"moved: {part['moved'].iloc[0]}; localisation {part['localisation'].iloc[0]:g}", fontsize=10)
    text = f"{'; '.join(dict.fromkeys(llc.about(part) for part in groups))}; {caption(rows)}"
    note(axes[-1][0], text)
    doubtful = rows[~rows["sound"].astype(bool)]
    why = Counter(alarm.split(" (")[0].split(":")[0] for text in doubtful["alarms"] for alarm in text.split("; "))
    said = f" Doubtful: {len(doubtful)} of {len(rows)} ({', '.join(f'{w}: {n}' for w, n in why.most_common(3))})."
    return Section(
        "Local learning coefficient over training",
        "How many directions around a checkpoint cost loss, counted smoothly: half of the parameters at a regular "
        "minimum, less where the loss is degenerate. A jump goes with a change of what the model computes."
        f"{said if len(doubtful) else ''}",
        figure, text,
    )  # fmt: skip


def _together(frames: Frames) -> Section | None:
    """Loss, barrier, coefficient and probes, all against step."""
    rows = frames.probe
    if rows.empty:
        return None
    rows = rows[rows["parted"].isna() & rows["step"].notna()]
    if rows["step"].nunique() < 2:
        return None
    losses = frames.losses
    losses = (
        losses[losses["parted"].isna() & losses["step"].notna() & losses["seed"].notna()] if len(losses) else losses
    )
    llc_ = frames.llc[frames.llc["parted"].isna() & frames.llc["step"].notna()] if len(frames.llc) else frames.llc
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
    note(axes[0], text)
    return Section(
        "What is learned, and when",
        "Loss, barrier between seeds, local learning coefficient and what the models can do, at the same steps. What "
        "moves together in one run need not belong together: everything changes with training.",
        figure, text,
    )  # fmt: skip


def _behaviour(frames: Frames) -> Section | None:
    """Distances of behaviour beside the barriers, at the last step."""
    rows = frames.behaviour
    if rows.empty or (rows := _between_seeds(rows)).empty:
        return None
    rows = rows[rows["probe"] == rows["probe"].iloc[0]]
    rows = rows[rows["step_a"].isna() | (rows["step_a"] == rows["step_a"].max())]
    barriers = frames.barriers
    if len(barriers):
        barriers = _between_seeds(barriers)
        barriers = barriers[barriers["step_a"].isna() | (barriers["step_a"] == rows["step_a"].max())]
    metrics = list(dict.fromkeys(rows["metric"]))
    names = {"disagreement": "disagreement (1 - kappa)", "divergence": "Jensen-Shannon divergence (nats)"}
    figure, axes = plt.subplots(1, len(metrics) + (not barriers.empty), figsize=(15, 4.8), squeeze=False)
    left = iter(axes.flat)
    if not barriers.empty:
        barrier_matrix(barriers, ax=next(left))
    for metric, ax in zip(metrics, left, strict=True):
        barrier_matrix(rows[rows["metric"] == metric].rename(columns={"value": "barrier"}), ax=ax, label=names[metric])
    asked = rows["probe"].iloc[0]
    text = f"{asked}: {rows['items'].iloc[0]} items; ±: half of the 95 % interval over examples"
    note(axes[0][0], text)
    return Section(
        "How differently the seeds behave",
        "For each pair how often two models choose differently, chance agreement taken out, and how far their "
        "predictions lie apart, beside the barrier between them. Seeds of one loss can behave in different ways.",
        figure, text,
    )  # fmt: skip


def _traces(frames: Frames) -> Section | None:
    if frames.traces.empty:
        return None
    parts = [rows for _, rows in frames.traces.groupby("checkpoint", sort=False)]
    figure, axes = plt.subplots(1, len(parts), figsize=(max(5.2 * len(parts), 8), 4.4), squeeze=False)
    for ax, rows in zip(axes.flat, parts, strict=True):
        traces(rows, ax=ax, first=ax is axes.flat[0])
    text = f"thin: the loss of each step on its own batch; thick: its running mean over {SMOOTH} steps; {caption(rows)}"
    note(axes[0][0], text)
    return Section(
        "Chains",
        "The loss along the chains behind the first and the last coefficient. After the burn-in it should be level, "
        "and the chains should look alike; spikes mean that the step is too large.",
        figure, text,
    )  # fmt: skip
