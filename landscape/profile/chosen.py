"""The rows of a metric in the form of rows of the loss, so that all that reads barriers and profiles reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from landscape.errors import InputError
from landscape.profile.metrics import LOSS

if TYPE_CHECKING:
    import pandas as pd

NAMES = {
    "value_a": "loss_a", "value_b": "loss_b", "worst": "largest_loss", "fall": "loss_increase",
    "mean_value": "mean_loss", "mean_fall": "mean_loss_increase", "value": "loss", "drop": "rise",
}  # fmt: skip
"""What the columns of a metric are called in rows of the loss."""
BARRIER, PROFILE = "barrier", "profile"
OF_METRICS = {BARRIER: "metric_barrier", PROFILE: "metric_profile"}
"""The tables of metrics beside those of the loss."""


def of_metric(tables: Mapping[str, pd.DataFrame], metric: str) -> dict[str, pd.DataFrame]:
    """Tables with a metric in the place of the loss: in ``barrier``, ``profile`` and ``loss``.

    Args:
        tables: Rows by table.
        metric: The metric; ``loss`` changes nothing.

    Raises:
        InputError: If there are rows of pairs, and none of this metric.
    """
    import pandas as pd

    if metric == LOSS:
        return dict(tables)
    out = dict(tables)
    for table, own in OF_METRICS.items():
        rows = tables.get(own, pd.DataFrame())
        if not len(tables.get(table, ())) and rows.empty:
            continue
        known = [] if rows.empty else sorted(set(rows["metric"]))
        if metric not in known:
            raise InputError(
                f"no row has the metric {metric}; there {'is' if not known else 'are'} {', '.join([LOSS, *known])}: "
                "give one of these"
            )
        errors = {f"{name}_error": f"{loss}_error" for name, loss in NAMES.items()} | {"value_error": "error"}
        out[table] = rows[rows["metric"] == metric].rename(columns={**NAMES, **errors})
        if table == PROFILE:
            out[table] = out[table].assign(evaluated=True)
    losses = tables.get(LOSS, pd.DataFrame())
    if metric in losses:
        out[LOSS] = losses.assign(loss=losses[metric], error=losses[f"{metric}_error"], unit=metric)
    return out
