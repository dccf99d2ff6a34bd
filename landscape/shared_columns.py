"""Columns that several tables of results share."""

from __future__ import annotations

from dataclasses import replace

from landscape.columns import OF_METRIC, flag, label, number, text, whole, with_errors

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
    text("adapter", "how adapters are taken: merged, or factors; missing for whole models", optional=True),
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
    number("t_error", "error of the profile between its points; missing for even grids and metrics", optional=True),
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
EXTENT = with_errors(
    number("largest_loss", "largest loss along the path"),
    number("loss_increase", "largest loss along the path less that of the better end"),
    number("mean_loss", "mean loss over t"),
    number("mean_loss_increase", "mean loss over t less that of the better end"),
)
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
METRIC = (
    text("metric", "metric of the objective: accuracy, perplexity, f1, or one of your own"),
    text("better", "higher or lower"),
)  # fmt: skip
METRIC_BARRIER = (
    number("barrier", "cross-fitted estimate of the barrier; a change for the worse is positive", OF_METRIC),
    *(replace(c, unit=OF_METRIC if c.unit != "1" else "1") for c in BARRIER[1:5]),
    number("value_a", "metric of the first end", OF_METRIC), number("value_b", "metric of the second end", OF_METRIC),
)  # fmt: skip
METRIC_EXTENT = with_errors(
    number("worst", "worst value along the path", OF_METRIC),
    number("fall", "how much worse that is than the better end", OF_METRIC),
    number("mean_value", "mean value over t", OF_METRIC),
    number("mean_fall", "how much worse that is than the better end", OF_METRIC),
)
CONTENT = text("content", "hash of config and weights")
