"""Every table of results: its columns with dtype, unit and meaning. The store refuses a row that does not fit.

A row is a flat mapping whose entry ``table`` names its table. Two groups of columns are open: labels of checkpoints,
which the user names, and metrics, which the objective names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from landscape.columns import OF_METRIC, Column, Table, flag, label, number, text, whole, with_errors
from landscape.shared_columns import (
    ALIGN,
    BARRIER,
    CHECKPOINT,
    CONTENT,
    CURVE,
    DATA,
    DISTANCE,
    EXTENT,
    GRID,
    HOW,
    LABELS,
    LOSS,
    METRIC,
    METRIC_BARRIER,
    METRIC_EXTENT,
    PAIR,
    PATH,
    SHARPNESS,
)

Cell = str | int | float | bool | None
Row = dict[str, Cell]
TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,), "whole": (int,), "number": (float, int), "flag": (bool,), "label": (int, str),
}  # fmt: skip


MOVED = (
    text("start", "end that the other tensors stay at: a or b"),
    text("way", "single; from_first, with all components before; from_last, with all after"),
    text("component", "name of the component"), whole("position", "its position in the model, from 0", "1"),
)  # fmt: skip

OF_PROBE = (
    text("probe", "probe; loss for the loss itself, which each probe brings"), text("metric", "score"),
    text("subset", "subset of the items, or empty"), whole("items", "items"), text("better", "higher, lower, or empty"),
    number("chance", "value by chance", "that of the metric", optional=True),
    flag("headline", "whether it stands for the probe in figures"),
)  # fmt: skip

TABLES: Mapping[str, Table] = {table.name: table for table in (
    Table("loss", "a checkpoint: its loss", (
        *CHECKPOINT, *LOSS,
        text("stored", "dtype of the weights on disk; missing for a model in memory", optional=True),
        text("defect", "known defect"),
        text("numbers", "what is kept for each example beside the loss, in this order", optional=True), *DATA, *HOW,
    ), ("",), metrics=True),
    Table("barrier", "a pair, a path and a definition of the barrier", (
        *PATH, text("definition", "definition of the barrier"), *BARRIER, *GRID, *EXTENT, *DISTANCE, *CURVE, *DATA,
        *HOW,
    ), ("_a", "_b")),
    Table("profile", "a pair, a path and a t: the loss there", (
        *PATH, number("t", "position on the path", "1"), *LOSS,
        number("rise", "loss less that of the chord"), number("rise_error", "standard error of the rise over examples"),
        *GRID, flag("evaluated", "whether the point was evaluated, or interpolated"),
        whole("evaluated_on", "examples that it was evaluated on"), CURVE[0], *DATA,
    ), ("_a", "_b")),
    Table("metric_barrier", "a pair, a path, a metric and a definition of the barrier", (
        *PATH, *METRIC, text("definition", "definition of the barrier"), *METRIC_BARRIER, *GRID, *METRIC_EXTENT,
        *DISTANCE, *CURVE, *DATA, *HOW,
    ), ("_a", "_b")),
    Table("metric_profile", "a pair, a path, a metric and an evaluated t: the metric there", (
        *PATH, *METRIC, number("t", "position on the path", "1"),
        *with_errors(number("value", "metric", OF_METRIC), number("drop", "how much worse than the chord", OF_METRIC)),
        *GRID, whole("evaluated_on", "examples that it was evaluated on"), CURVE[0], *DATA,
    ), ("_a", "_b")),
    Table("align", "a checkpoint that was aligned to the first of its group", (
        text("architecture", "symmetry table of the architecture"), *ALIGN, text("a", "reference of the first"),
        text("b", "reference of the aligned checkpoint"), *LABELS, text("defect", "known defect"),
        number("distance_before", "distance to the first in canonical form", "distance of parameters"),
        number("distance_after", "the same after the alignment", "distance of parameters"),
        number("output_difference", "largest difference of an output in float64", "unit of the output"),
        number("tolerance", "difference that rounding would explain", "unit of the output"),
        number("loss_error", "largest change of the loss of an example"),
        flag("untied", "whether the head was made a parameter of its own"), text("moves", "file of the moves"),
        text("unit", "unit of the loss"), text("data", "data set"), HOW[3],
    ), ("",)),
    Table("mixture", "a mixture of checkpoints: its loss", (
        *LABELS,
        text("between", "labels in which the checkpoints differ"),
        text("checkpoints", "references, as JSON"), *DATA, text("kind", "vertex, edge, centre or random"),
        text("weights", "share of each checkpoint, as JSON"), *LOSS,
        number("rise", "loss less the same mixture of the losses"), number("rise_error", "its standard error"),
        number("above_best", "loss less that of the best checkpoint"), number("above_best_error", "its standard error"),
        *HOW,
    ), ("",)),
    Table("trajectory", "a line along a run or a window of its checkpoints, and a number that is read off it", (
        *PAIR, text("start", "where a line starts: checkpoint, or noise as a control"),
        whole("window", "checkpoints of the window, a the oldest and b the newest; missing for lines", optional=True),
        text("metric", "height, ascent, plateau, exceeds_at; of windows gain_over_mean, gain_over_newest"),
        number("value", "its value; missing where the line does not reach it", "that of the metric", optional=True),
        number("low", "lower end of the 95 % interval over examples", "that of the metric", optional=True),
        number("high", "upper end of it; missing where it is open", "that of the metric", optional=True),
        whole("points", "t at which the line was evaluated, ends included; missing for windows", optional=True),
        number("beyond", "largest t; missing for windows", "1", optional=True), *DATA, *HOW,
    ), ("_a", "_b")),
    Table("line", "a line along a run and a t: the loss there", (
        *PAIR, text("start", "as in trajectory"), number("t", "0 for a, 1 for b, and beyond", "1"), *LOSS,
        number("above", "loss less that at t = 0"), number("above_error", "its standard error"), *DATA,
    ), ("_a", "_b")),
    Table("component", "a pair and components that alone move from one end to the other: the rise of the loss", (
        *PATH, *MOVED, number("rise", "cross-fitted estimate of the largest rise above the chord of the original ends"),
        number("low", "lower end of its 95 % interval over examples"),
        number("high", "upper end of its 95 % interval over examples"),
        number("plugin", "largest mean rise itself, biased upward"), number("t_at_max", "t of the maximum", "1"),
        number("loss_moved", "loss where they have moved the whole way"),
        number("loss_moved_error", "its standard error over examples"),
        number("loss_a", "loss of the first end"), number("loss_b", "loss of the second end"),
        whole("tensors", "tensors that move"), whole("parameters", "parameters that move"),
        whole("points", "points of the even t grid, ends included"), *DATA, *HOW,
    ), ("_a", "_b")),
    Table("component_profile", "a pair, components that alone move, and a t: the loss there", (
        *PATH, *MOVED, number("t", "share of the way that they have moved", "1"), *LOSS,
        number("rise", "loss less that of the chord of the original ends"),
        number("rise_error", "standard error of the rise over examples"), *DATA,
    ), ("_a", "_b")),
    Table("plane", "a point of a plane: its loss", (
        text("plane", "key of the plane"), text("kind", "through, random or trajectory"),
        number("explained_x", "share of the variance along x; missing but for trajectories", "1", optional=True),
        number("explained_y", "the same along y", "1", optional=True), *DATA,
        number("x", "first coordinate", "distance of parameters"),
        number("y", "second coordinate", "distance of parameters"), *LOSS,
        number("above", "loss less that of the first checkpoint"), number("above_error", "its standard error"), *HOW,
    )),
    Table("place", "a checkpoint on a plane", (
        text("plane", "key of the plane"), text("kind", "through, random or trajectory"),
        number("explained_x", "as in plane", "1", optional=True),
        number("explained_y", "as in plane", "1", optional=True),
        *DATA, *CHECKPOINT, number("x", "first coordinate", "distance of parameters"),
        number("y", "second coordinate", "distance of parameters"),
        number("off_plane", "distance from the plane", "distance of parameters"), *LOSS,
        number("above", "loss less that of the first checkpoint"), number("above_error", "its standard error"),
    ), ("",)),
    Table("curvature", "a checkpoint: its sharpness", (
        *CHECKPOINT, CONTENT, *SHARPNESS, whole("parameters", "parameters that move"), *DATA,
    ), ("",)),
    Table("chain", "a chain of draws around a checkpoint", (
        *CHECKPOINT, CONTENT, whole("chain", "number of the chain", "1"),
        flag("halved", "whether with half the step and twice as many steps"),
        number("step_size", "step size of the sampler", "squared parameter"),
        *(replace(c, optional=True) for c in SHARPNESS), number("n_beta", "factor on the mean loss", "1"),
        whole("parameters", "parameters that move"),
        number("baseline", "loss in the mode of the chains; missing in evaluation mode", optional=True),
        number("length", "norm of the moving parameters", "distance of parameters"),
        number("distance", "root mean square distance of the draws", "distance of parameters", optional=True),
        text("data", "data set"), *HOW,
    ), ("",)),
    Table("llc", "a checkpoint: its local learning coefficient", (
        *CHECKPOINT, number("llc", "local learning coefficient", "1", optional=True),
        number("error", "Monte Carlo standard error", "1", optional=True),
        number("low", "lower end of the 95 % interval", "1", optional=True),
        number("high", "upper end of the 95 % interval", "1", optional=True),
        text("per_chain", "coefficient of each chain, as JSON"), number("rhat", "split R-hat", "1", optional=True),
        number("ess", "effective sample size", "draws", optional=True),
        whole("diverged", "chains that diverged"),
        number("drift", "rise of the loss between the halves of the draws, in its errors", "1", optional=True),
        number("reach", "distance of the draws over that which the localisation allows", "1", optional=True),
        number("decided", "share of the coefficient that the localisation decides", "1", optional=True),
        flag("reliable", "whether there is no warning"), text("warnings", "what makes it unreliable"),
        text("advice", "what to do about it"), text("sampler", "sampler"), whole("chains", "chains"),
        whole("draws", "draws of a chain"), whole("burn_in", "discarded steps of a chain"),
        whole("batch", "examples of a step; missing for all", optional=True),
        number("step_size", "step size of the sampler", "squared parameter", optional=True),
        number("step_bias", "factor by which the step widens the top Hessian eigenvector", "1", optional=True),
        flag("extrapolated", "whether the bias of the step was removed"), *SHARPNESS,
        number("localisation", "strength of the pull to the checkpoint", "1 per squared parameter"),
        number("n_beta", "factor on the mean loss", "1"), text("mode", "evaluation, or training with dropout"),
        text("moved", "parameters that move"), whole("parameters", "number of these"),
        number("baseline", "loss of the checkpoint"), number("baseline_error", "its standard error over examples"),
        text("traces", "key of the kept traces"), *DATA, *HOW,
    ), ("",)),
    Table("probe", "a checkpoint and a score of a probe", (
        *CHECKPOINT, text("probe", "probe"), text("metric", "score"), text("subset", "subset of the items, or empty"),
        number("value", "its value", "that of the metric", optional=True),
        number("error", "standard error over items", "that of the metric", optional=True), whole("items", "items"),
        text("better", "higher, lower, or empty"),
        number("chance", "value by chance", "that of the metric", optional=True),
        flag("headline", "whether it stands for the probe in figures"), text("about", "what the items are"),
        flag("reliable", "whether there is no warning"), text("warnings", "what makes it unreliable"),
        text("items_hash", "hash of the items"), text("outcomes", "key of the kept outcomes"),
        text("objective", "objective of the study"), flag("bos", "whether texts begin with the start token",
                                                          optional=True), text("data", "data set"), *HOW,
    ), ("",)),
    Table("probe_along", "a pair, a path, a t, and a score of a probe there", (
        *PATH, *OF_PROBE, number("t", "position on the path", "1"),
        number("value", "its value", "that of the metric", optional=True),
        number("error", "standard error over items", "that of the metric", optional=True),
        whole("points", "points of the even t grid, ends included"), text("items_hash", "hash of the items"), *DATA,
        *HOW,
    ), ("_a", "_b")),
    Table("drop", "a pair, a path, and a score of a probe: how far it gets worse between the ends", (
        *PATH, *OF_PROBE, number("drop", "cross-fitted estimate of the largest fall below the chord; of a score that "
                                 "is better the lower it is, the largest rise above it; missing where the score is no "
                                 "mean over items", "that of the metric", optional=True),
        number("low", "lower end of its 95 % interval over items", "that of the metric", optional=True),
        number("high", "upper end of its 95 % interval over items", "that of the metric", optional=True),
        number("plugin", "largest fall itself, biased upward", "that of the metric"),
        number("t_at_max", "t of the maximum", "1"),
        number("value_a", "score of the first end", "that of the metric"),
        number("value_b", "score of the second end", "that of the metric"),
        whole("points", "points of the even t grid, ends included"), text("items_hash", "hash of the items"), *DATA,
        *HOW,
    ), ("_a", "_b")),
    Table("behaviour", "a pair: how differently both behave", (
        *PAIR, text("probe", "probe, or predictions, or kl"), text("metric", "distance"),
        text("subset", "subset of the items, or empty"),
        number("value", "its value", "that of the metric"),
        number("error", "standard error over items", "that of the metric"),
        number("low", "lower end of the 95 % interval", "that of the metric"),
        number("high", "upper end of the 95 % interval", "that of the metric"), whole("items", "items"),
        text("items_hash", "hash of the items"), text("objective", "objective of the study"), text("data", "data set"),
        HOW[0],
    ), ("_a", "_b")),
)}  # fmt: skip
RESERVED = frozenset(
    {"table", "task", "all", "neighbours", "first", "last", *(c.name for t in TABLES.values() for c in t.columns)}
    - {c.name for c in LABELS}
)
"""Names that no label may have: columns, and ways to pair checkpoints."""


def require(rows: Iterable[Row], known_labels: Sequence[str] = ()) -> None:
    """Refuse rows that do not fit their tables.

    Args:
        rows: The rows.
        known_labels: Labels that checkpoints have beside the usual ones.

    Raises:
        ValueError: Naming table, column and cell of the first that does not fit.
    """
    for row in rows:
        name = row.get("table")
        if not isinstance(name, str) or name not in TABLES:
            raise ValueError(f"there is no table {name!r}; tables are {', '.join(TABLES)}")
        _require_fit(TABLES[name], row, known_labels)


def _require_fit(table: Table, row: Row, known_labels: Sequence[str]) -> None:
    """Refuse one row that does not fit.

    Raises:
        ValueError: If it does not.
    """
    columns = {column.name: column for column in columns_of(table, known_labels)}
    for name, cell in row.items():
        if name == "table":
            continue
        column = columns.get(name)
        if column is None:
            if table.metrics and isinstance(cell, float | None):
                continue
            raise ValueError(f"the table {table.name} has no column {name!r}, which holds {cell!r}")
        if cell is None and not column.optional:
            raise ValueError(f"the column {name} of the table {table.name} holds nothing, and must")
        wrong = not isinstance(cell, TYPES[column.dtype]) or (isinstance(cell, bool) and column.dtype != "flag")
        if cell is not None and wrong:
            raise ValueError(f"the column {name} of the table {table.name} holds {cell!r}, which is no {column.dtype}")
    if missing := [name for name, column in columns.items() if name not in row and not column.optional]:
        raise ValueError(f"a row of the table {table.name} has no column {missing[0]}")


def columns_of(table: Table, known_labels: Sequence[str] = ()) -> tuple[Column, ...]:
    """The columns of a table, those of further labels among them."""
    more = (
        label(f"{name}{suffix}", "label of the checkpoint") for suffix in table.labels for name in known_labels
    )  # fmt: skip
    return (*table.columns, *more)
