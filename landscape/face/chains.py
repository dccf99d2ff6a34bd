"""The chains behind local learning coefficients."""

from __future__ import annotations

import pandas as pd

from landscape.study.store import Store


def chains_of(store: Store, llc: pd.DataFrame) -> pd.DataFrame:
    """The chains behind some rows of the table ``llc``: ``chain, draw, loss`` and the columns of the row.

    Args:
        store: Where the traces are kept.
        llc: The rows.

    Returns:
        The loss of each draw, in its unit.
    """
    parts = [
        pd.DataFrame({"chain": chain, "draw": range(len(losses)), "loss": losses, **row})
        for row in llc.to_dict("records")
        for chain, losses in enumerate(store.losses(row["traces"]))
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
