"""Barrier matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape.figures.captions import caption, steps_in_words
from landscape.figures.details import pair_and_line, pairs, said
from landscape.figures.frames import Frames, between_seeds
from landscape.figures.interpolation import some
from landscape.figures.section import Detail, Section, Spots
from landscape.figures.style import DARK, label_text, literal, panels, run_text, run_words
from landscape.rows import TABLES

ROOMY, CROWDED = 6, 12
"""Number of checkpoints up to which a cell has room for value and error, and for the value alone."""
MOST_LETTERS = 4
"""Letters of names that stand side by side; longer names are turned."""
MAX_LETTERS = 24
"""Letters of a name that are shown at a side of a matrix."""
MAX_LABELS = 20
"""Checkpoints that are named at a side of a matrix; of more, every second, third, ... one is."""
COLOURS = "mako_r"
LIGHT = "white"
"""Letters on dark cells."""
MIN_SCALE = 0.01
"""Smallest barrier at the dark end of the scale, in units of the barriers, so that noise is not amplified."""
WIDTH, ROOM_BELOW = 9.6, 0.8
"""Width of matrices side by side, and height of their scale, in inches."""
MAX_MATRICES = 4
"""Steps that the report shows."""
MAX_SPOTS = 2000
"""Cells of a figure up to which each is said under the pointer."""


def barrier_matrix(
    rows: pd.DataFrame, *, ax: Axes | None = None, vmax: float | None = None, label: str = "", bar: bool = True
) -> Axes:
    """Heatmap of the barriers between checkpoints; each pair is one cell below the diagonal.

    Args:
        rows: Rows of the table ``barrier``, for one definition. If they share one step, checkpoints are named by seed,
            else by seed and step, with any other labels that differ, or by folder.
        ax: Axes to draw on; None is the current axes.
        vmax: Barrier at the dark end of the scale.
        label: Label of the scale, if the column ``barrier`` holds another distance.
        bar: Whether to draw the scale of colours.

    Returns:
        The axes. Small matrices are annotated with value and half-width of the 95 % interval where it is not zero in
        the digits that are shown, larger ones with the value. The largest are an image with a pixel for each cell.
    """
    ax = ax or plt.gca()
    table = rows.assign(half=(rows["high"] - rows["low"]) / 2)
    names = _names(rows)
    value, half = (_below(_square(table, column, names)) for column in ("barrier", "half"))
    roomy = len(value) < ROOMY

    def annotation(v: float, h: float) -> str:
        error = f"\n±{h:.3f}" if roomy and f"{h:.3f}" not in {"0.000", "nan"} else ""
        return "" if np.isnan(v) else f"{v:.3f}{error}" if roomy else f"{v:.2f}"

    dark = vmax or max(float(np.nanmax(value)), MIN_SCALE)
    scale = {"label": label or f"barrier ({rows['unit'].iloc[0]})", "shrink": 0.8}
    if len(value) >= CROWDED:
        _draw_pixels(value, ax, dark, scale if bar else None)
    else:
        text = np.vectorize(annotation, otypes=[str])(value, half)
        sns.heatmap(
            value, ax=ax, vmin=0, vmax=dark, square=True, cmap=COLOURS, annot=text, fmt="", mask=value.isna(),
            annot_kws={"fontsize": "x-small"}, linewidths=0.5, cbar=bar, cbar_kws=scale,
        )  # fmt: skip
        for letters in ax.texts:
            letters.set_color(DARK if letters.get_color() == ".15" else LIGHT)
        ax.tick_params(axis="x", rotation=90 if max(map(len, value.columns)) > MOST_LETTERS else 0)
        ax.tick_params(axis="y", rotation=0)
    ax.grid(visible=False)
    steps = _steps(rows)
    seeds = len(steps) == 1 and rows["seed_a"].notna().all() and not _further_labels(rows)
    word = run_words(rows["seed_a"].iloc[0]).split()[0] if seeds else "checkpoint"
    ax.set(xlabel=word, ylabel=word)
    ax.set_title(f"step {steps[0]:,}" if len(steps) == 1 else "")
    return ax


def _draw_pixels(value: pd.DataFrame, ax: Axes, dark: float, scale: dict[str, object] | None) -> None:
    """Draw a pixel for each cell: for a thousand checkpoints one image, and not a million shapes."""
    image = ax.imshow(value, cmap=COLOURS, vmin=0, vmax=dark, interpolation="none")
    if scale is not None:
        ax.figure.colorbar(image, ax=ax, **scale)  # type: ignore[arg-type]
    every = -(-len(value) // MAX_LABELS)
    ticks = range(0, len(value), every)
    ax.set_xticks(ticks, value.columns[::every], rotation=90, fontsize="x-small")
    ax.set_yticks(ticks, value.index[::every], fontsize="x-small")


def _short(name: str) -> str:
    """A name that leaves room for the matrix: its beginning and its end, which tell checkpoints apart."""
    return name if len(name) <= MAX_LETTERS else f"{name[: MAX_LETTERS // 3]}…{name[-MAX_LETTERS + MAX_LETTERS // 3 :]}"


def _below(square: pd.DataFrame) -> pd.DataFrame:
    """The cells below the diagonal of a symmetric table, without its empty first row and last column."""
    lower = np.tril(np.ones(square.shape, dtype=bool), -1)
    return square.where(lower).iloc[1:, :-1]


def _steps(rows: pd.DataFrame) -> list[int]:
    return sorted({int(step) for side in "ab" for step in rows[f"step_{side}"].dropna()})


def _names(rows: pd.DataFrame) -> dict[str, str]:
    """Name of each checkpoint, in the order of seed and step."""
    more = _further_labels(rows)
    columns = ["ref", *more, "seed", "step"]
    ends = pd.concat([
        rows[[side, *(f"{name}_{side}" for name in columns[1:])]].set_axis(columns, axis=1) for side in "ab"
    ]).drop_duplicates("ref").sort_values([*columns[1:], "ref"])  # fmt: skip
    one_step = len(_steps(rows)) == 1
    names: dict[str, str] = {}
    for ref, *words, seed, step in ends.itertuples(index=False):
        known = [label_text(word) for word in words if pd.notna(word)]
        if pd.notna(seed):
            known.append(label_text(seed) if one_step else run_text(seed))
        known += [] if one_step or pd.isna(step) else [f"step {int(step)}"]
        plain = not known or (pd.isna(step) and not one_step) or (pd.isna(seed) and not more)
        name = PurePath(ref).name if plain else " ".join(known)
        names[ref] = name if name not in names.values() else ref
    return names


def _further_labels(rows: pd.DataFrame) -> list[str]:
    """The labels of checkpoints beside the usual ones, where some are not the same for all."""
    known = {column.name for column in TABLES["barrier"].columns}
    names = [str(column)[:-2] for column in rows.columns if str(column).endswith("_a") and column not in known]
    ends = {name: pd.concat([rows[f"{name}_a"], rows[f"{name}_b"]]) for name in names if f"{name}_b" in rows}
    return [name for name, values in ends.items() if values.nunique(dropna=False) > 1]


def _square(table: pd.DataFrame, column: str, names: dict[str, str]) -> pd.DataFrame:
    both = pd.concat([table[["a", "b", column]], table[["a", "b", column]].rename(columns={"a": "b", "b": "a"})])
    both = both[both["a"] != both["b"]].drop_duplicates(["a", "b"])
    square = both.pivot(index="a", columns="b", values=column).reindex(index=list(names), columns=list(names))
    shown = [literal(_short(name)) for name in names.values()]
    return square.astype(float).set_axis(shown, axis=0).set_axis(shown, axis=1)


def barrier_matrices(rows: pd.DataFrame) -> Figure:
    """Matrices of a few steps, and of pairs that share no step, on one scale of colours.

    Args:
        rows: Rows of the table ``barrier`` of pairs of runs, for one definition.
    """
    parts = _parts(rows)
    figure, axes = panels(len(parts), *_layout(parts), least=0.0)
    figure.set_layout_engine("compressed")  # by which titles of square panels have room
    figure.set_figheight(figure.get_figheight() + ROOM_BELOW)
    dark = max(float(rows["barrier"].max()), MIN_SCALE)
    for ax, part in zip(axes, parts, strict=True):
        barrier_matrix(part, ax=ax, vmax=dark, bar=False)
    colours = axes[0].images[0] if axes[0].images else axes[0].collections[0]
    figure.colorbar(
        colours, ax=axes, label=f"barrier ({rows['unit'].iloc[0]})", location="bottom", shrink=0.6, aspect=30
    )
    return figure


def _layout(parts: Sequence[pd.DataFrame]) -> tuple[int, tuple[float, float]]:
    """Matrices in a row, and width and height of one, in inches: cells have room for what is written in them."""
    names = [list(_names(part).values()) for part in parts]
    count = max(map(len, names))
    letters = min(max(len(name) for some_names in names for name in some_names), MAX_LETTERS)
    cells = (count - 1) * (0.58 if count <= ROOMY else 0.42) if count <= CROWDED else 3.4
    width, height = cells + 0.9 + 0.08 * letters, cells + 0.9 + 0.08 * letters * (letters > MOST_LETTERS)
    return max(1, min(4, int(WIDTH // width))), (width, height)


def _parts(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of each matrix that is drawn: of a step where all pairs share theirs, else of all pairs of a kind."""
    parts = list[pd.DataFrame]()
    for _, part in rows.groupby("between", sort=False):
        known = part["step_a"].notna()
        if (part["step_a"] == part["step_b"])[known].all():
            steps = some(sorted(part["step_a"].dropna().unique().tolist()), MAX_MATRICES)
            parts += [part[part["step_a"] == step] for step in steps]
            part = part[~known]
        parts += [part] if len(part) else []
    return parts


def section(frames: Frames) -> Section | None:
    """Barriers between seeds, at a few steps."""
    if frames.barriers.empty or (rows := between_seeds(frames.barriers)).empty:
        return None
    parts = _parts(rows)
    figure = barrier_matrices(rows)
    shown = pd.concat(parts)
    count = rows["step_a"].nunique()
    left_out = sorted({*rows["step_a"].dropna()} - {*shown["step_a"].dropna()})
    text = caption(rows) + "; ±, in small matrices: half-width of the 95 % interval over examples, if not 0.000"
    details = pairs(frames.profiles, rows)
    drawn = zip(figure.axes, parts, strict=False)
    spots = [cells(ax, part, details) for ax, part in drawn] if len(shown) <= MAX_SPOTS else []
    made = Section.of(
        "Barrier matrices",
        "Each cell is the barrier between two checkpoints, on one scale of colours. A barrier of zero means that the "
        "two models are connected by a straight line without a rise of the loss."
        + (f" {len(left_out)} of {count} steps are not drawn: {steps_in_words(left_out)}." if left_out else ""),
        figure, text, rows={"rows": rows}, draw="matrix.barrier_matrices(rows)", spots=spots, details=details,
    )  # fmt: skip
    return replace(made, lead=1)


def cells(ax: Axes, rows: pd.DataFrame, details: Mapping[str, Detail] | None = None) -> Spots:
    """What is said of each cell of a matrix.

    Args:
        ax: Axes on which :func:`barrier_matrix` drew it.
        rows: The rows that it drew.
        details: Charts of the pairs, if there are any.
    """
    names = list(_names(rows))
    where = {name: n for n, name in enumerate(names)}
    middle = 0.0 if ax.images else 0.5
    a, b = (rows[side].map(where).to_numpy() for side in "ab")
    made = [pair_and_line(row, details or {}) for row in rows.to_dict("records")]
    return Spots(
        ax, (np.minimum(a, b) + middle).tolist(), (np.maximum(a, b) - 1 + middle).tolist(),
        [said(row) for row in rows.to_dict("records")], made, "cell",
    )  # fmt: skip
