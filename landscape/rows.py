"""Every table of results: its columns with dtype, unit and meaning. The store refuses a row that does not fit.

A row is a flat mapping whose entry ``table`` names its table. Two groups of columns are open: labels of checkpoints,
which the user names, and metrics, which the objective names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from landscape.columns import Column, Table, error_of, flag, label, number, text, whole

Cell = str | int | float | bool | None
Row = dict[str, Cell]
TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,), "whole": (int,), "number": (float, int), "flag": (bool,), "label": (int, str),
}  # fmt: skip

LABELS = (
    label("seed", "training run"),
    whole("step", "optimizer steps it was trained for", "steps", optional=True),
    whole("branch_step", "for branches: the last step that they share", "steps", optional=True),
    label("branch", "for branches: which of those spawned at this step"),
)
DATA = (
    text("data", "data set: main is [data], others are [data.NAME]"),
    text("objective", "loss that is measured"),
    text("unit", "unit of the loss"),
    whole("examples", "examples of the data set"),
    whole("length", "length of an example; missing for models in memory", "tokens", optional=True),
    text("dtype", "dtype of the forward pass"),
    number("dtype_error", "largest error of a mean loss seen against float32; missing for float32", optional=True),
    text("buffers", "whose learned buffers the points take; missing for a model without any", optional=True),
    flag("bos", "whether a text begins with the start token", optional=True),
    number("unknown", "share of tokens that the tokenizer does not know", "1", optional=True),
    number("uniform_loss", "loss of a uniform guess", optional=True),
    text(
        "adapter",
        "how adapters are taken: merged into their base, or their factors; missing for whole models",
        optional=True,
    ),
)
HOW = (
    text("device", "where it was computed", optional=True),
    text("strategy", "how points and examples were batched", optional=True),
    whole("threads", "threads of the forward pass", optional=True),
    number("seconds", "time that it took", "s", optional=True),
)
CHECKPOINT = (text("checkpoint", "reference of the checkpoint"), *LABELS)
PAIR = (
    text("a", "reference of the first checkpoint"),
    text("b", "reference of the second checkpoint"),
    *(replace(c, name=f"{c.name}_{side}") for side in "ab" for c in LABELS if c.name != "branch_step"),
    text("defect_a", "known defect of the first checkpoint"),
    text("defect_b", "known defect of the second checkpoint"),
    LABELS[2],
    text("between", "labels in which alone the two differ, or how steps of a run are paired"),
)
ALIGN = (
    text("align", "way in which the second is aligned to the first: none, weights, activations, learned, random"),
    text("symmetry_group", "symmetries that were used; missing where nothing is aligned", optional=True),
    text("groups", "patterns of the groups that could change"),
)
PATH = (*PAIR, text("path", "kind of path; control is a curve to a random point"), *ALIGN)
GRID = (
    whole("points", "points of the t grid, ends included"),
    text("grid", "even, or adaptive"),
    number("t_error", "error of the profile between its points; missing on an even grid", optional=True),
    whole("evaluations", "evaluations of one example at one point between the ends"),
)
CURVE = (
    text("curve", "file of the learned curve, below the results", optional=True),
    whole("bends", "anchors between the ends", optional=True),
    number("path_length", "length of the path", "distance of parameters", optional=True),
    number("arc_mean_loss", "mean loss along the path by arc length", optional=True),
    number("arc_mean_loss_error", "standard error over examples of arc_mean_loss", optional=True),
)
BARRIER = (
    number("barrier", "cross-fitted estimate of the barrier"),
    number("low", "lower end of its 95 % interval over examples"),
    number("high", "upper end of its 95 % interval over examples"),
    number("plugin", "largest value of the mean profile itself, biased upward"),
    number("t_at_max", "t of the maximum; missing for definitions without one", "1", optional=True),
    number("loss_a", "loss of the first end"),
    number("loss_b", "loss of the second end"),
)
EXTENT = tuple(
    column for name, meaning in (
        ("largest_loss", "largest loss along the path"),
        ("loss_increase", "largest loss along the path less that of the better end"),
        ("mean_loss", "mean loss over t"),
        ("mean_loss_increase", "mean loss over t less that of the better end"),
    ) for column in (number(name, meaning), error_of(number(name, meaning)))
)  # fmt: skip
DISTANCE = (
    number("distance", "Euclidean distance of the parameters", "distance of parameters"),
    number("relative_distance", "distance over the mean norm of both", "1", optional=True),
    text("stored_a", "dtype of the first checkpoint on disk", optional=True),
    text("stored_b", "dtype of the second checkpoint on disk", optional=True),
    flag("below_floor", "whether rounding on disk could be all of the distance", optional=True),
)
LOSS = (number("loss", "mean loss over examples"), number("error", "standard error of the loss over examples"))
SHARPNESS = (
    number("curvature", "largest eigenvalue of the Hessian", "unit of the loss per squared parameter"),
    number("gradient_variance", "variance of the gradient of one example along its eigenvector",
           "squared unit of the loss per squared parameter"),
)  # fmt: skip
CONTENT = text("content", "hash of config and weights")

TABLES: Mapping[str, Table] = {table.name: table for table in (
    Table("loss", "a checkpoint: its loss", (
        *CHECKPOINT, *LOSS,
        text("stored", "dtype of the weights on disk; missing for a model in memory", optional=True),
        text("defect", "known defect"), *DATA, *HOW,
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
    ), ("_a", "_b"), metrics=True),
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
    Table("behaviour", "a pair: how differently both behave", (
        *PAIR, text("probe", "probe, or predictions"), text("metric", "distance"),
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
