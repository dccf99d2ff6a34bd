"""A barrier matrix on a terminal: in colour, and no wider than the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table
from rich.text import Text

from landscape.profile.metrics import LOSS

if TYPE_CHECKING:
    import pandas as pd

COLOURS = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], float)
"""Viridis, from no barrier to the largest: it is read in grey and by colour-blind people too."""
BORDER = 3
"""Columns of the terminal beside the text of a cell."""
FITS = 1e6
"""Values below it are printed to three decimals."""


def tables(rows: pd.DataFrame, names: Sequence[str], title: str, width: int, metric: str = LOSS) -> Iterator[Table]:
    """The lower half of a matrix; in several tables side by side if it is wider than the terminal.

    Args:
        rows: Rows of the table ``barrier``, of one definition and one way to align.
        names: References of the checkpoints, in their order.
        title: Title of the first table.
        width: Columns of the terminal.
        metric: What the diagonal holds.
    """
    none = "failed" if metric == LOSS else "none"
    whole = has_intervals(rows, len(names), width)
    cells = _cells(rows, intervals=whole)
    losses = {ref: loss for side in "ab" for ref, loss in zip(rows[side], rows[f"loss_{side}"], strict=True)}
    each = max([_wide(text) for text in cells.values()], default=5) + BORDER
    room = max(1, (width - _label(len(names))) // each)
    for start in range(0, len(names), room):
        shown = range(start, min(start + room, len(names)))
        last = start + room >= len(names)
        table = Table(
            title=title if start == 0 else "", caption=f"on the diagonal: {metric} of the checkpoint" if last else None
        )
        table.add_column("")
        for column in shown:
            table.add_column(str(column + 1), justify="right", no_wrap=True)
        for i in range(start, len(names)):
            own = _number(losses[names[i]]) if names[i] in losses else none
            here = [cells.get((names[j], names[i]), "") if j < i else own if j == i else "" for j in shown]
            table.add_row(str(i + 1), *here)
        yield table


def has_intervals(rows: pd.DataFrame, count: int, width: int) -> bool:
    """Whether there is room for the intervals below the barriers.

    Args:
        rows: Rows of the table ``barrier``, of one definition.
        count: Number of checkpoints.
        width: Columns of the terminal.
    """
    each = max([_wide(text) for text in _cells(rows, intervals=True).values()], default=0) + BORDER
    return _label(count) + each * count <= width


def _label(count: int) -> int:
    """Columns that the numbers of the checkpoints take."""
    return len(str(count)) + BORDER + 1


def _wide(text: Text) -> int:
    return max(len(line) for line in text.plain.splitlines())


def _cells(rows: pd.DataFrame, *, intervals: bool) -> dict[tuple[str, str], Text]:
    """The text of each pair."""
    most = max(float(rows["barrier"].max()), 1e-12)
    out = {}
    for row in rows.to_dict("records"):
        text = f"{_number(row['barrier'])}{'*' if row['below_floor'] else ''}"
        text += f"\n{_number(row['low'])} to {_number(row['high'])}" if intervals else ""
        out[row["a"], row["b"]] = Text(text, style=_style(row["barrier"] / most), justify="right")
    return out


def _number(value: float) -> str:
    """A number to three decimals, or to three digits where it would not fit a cell."""
    return f"{value:.3f}" if abs(value) < FITS else f"{value:.3g}"


def _style(share: float) -> str:
    """Text on the colour of a share of the largest barrier."""
    at = min(max(share, 0.0), 1.0) * (len(COLOURS) - 1)
    below = min(int(at), len(COLOURS) - 2)
    colour = COLOURS[below] + (at - below) * (COLOURS[below + 1] - COLOURS[below])
    ink = "black" if colour @ (0.299, 0.587, 0.114) > 128 else "white"
    return f"{ink} on #{''.join(f'{round(part):02x}' for part in colour)}"
