"""What commands share: what is told while tasks run, rows as JSON, and the exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click
from pydantic import Field

from landscape.cli.progress import console, listen, progress
from landscape.face.running import Watch
from landscape.spec import Settings

if TYPE_CHECKING:
    import pandas as pd

FAILED = 3
"""Exit code where some tasks failed."""
WATCH = Watch(progress=progress, status=console.status, setup=listen)
USUAL_POINTS = 11
"""Points that papers take."""
UNTIED = "; the head is a parameter of its own, so that the residual stream can turn"


class Output(Settings):
    """What a command prints beside its tables.

    Attributes:
        as_json: One JSON object a line on stdout for each row.
    """

    as_json: bool = Field(False, alias="json")


def finish(ctx: click.Context, tables: Mapping[str, pd.DataFrame], failed: Mapping[str, str], output: Output) -> None:
    """Print rows if that is wanted, and exit with the code of failed tasks if any failed.

    Args:
        ctx: Click's context.
        tables: Rows by table.
        failed: Messages of failed tasks.
        output: What is wanted.
    """
    if output.as_json:
        for table, frame in tables.items():
            for row in records(frame):
                click.echo(json.dumps({"table": table, **row}))
    if failed:
        ctx.exit(FAILED)


def records(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Rows as JSON has them."""
    return [dict(row) for row in json.loads(frame.to_json(orient="records", double_precision=15))]


def say(line: str) -> None:
    """Print a line on stderr, without markup."""
    console.print(line, markup=False)


def saved(rows: pd.DataFrame, examples: int, halfwidth: float, *, each: bool = True) -> str:
    """How many evaluations a wanted halfwidth saved, whether it was reached, and what it leaves out.

    Args:
        rows: Chord rows of the table ``barrier``.
        examples: How many there are.
        halfwidth: Wanted half-width of the interval, in the unit of the loss.
        each: Whether it was wanted of each pair; else of their mean.
    """
    took, whole = int(rows["evaluations"].sum()), (USUAL_POINTS - 2) * examples * len(rows)
    wide = int((rows["high"] - rows["low"] > 2 * halfwidth).sum())
    need = "barrier needs" if len(rows) == 1 else "barriers need"
    missed = f"; {wide} of {len(rows)} {need} more than these {examples} examples" if wide and each else ""
    return (
        f"to ± {halfwidth:g}, the error between the points not counted: {took:,} evaluations between the ends, "
        f"{took / whole:.0%} of the {whole:,} of {USUAL_POINTS} even points on all {examples} examples{missed}"
    )


def chosen_dtype(rows: pd.DataFrame) -> str:
    """Which dtype ``auto`` has chosen, and why.

    Args:
        rows: Of the table ``barrier``.
    """
    chosen = sorted(rows["dtype"].unique())
    why = "the fastest here whose error is below a tenth of the interval"
    if chosen == ["float32"]:
        from landscape.points.fastest import is_emulated

        why = (
            "no other is faster here with an error below a tenth of each interval, or there is too little to evaluate "
            "to try one"
        )
        if set(rows["device"]) == {"cpu"} and is_emulated():
            why = "this processor has no fast products of matrices in bfloat16"
    return f"dtype auto: {' and '.join(chosen)}; {why}"


def alignments(rows: pd.DataFrame) -> list[str]:
    """What alignment did to distances, and that no function changed; a line for each way to align.

    Args:
        rows: Of the table ``align``.
    """
    from landscape import catalogue

    out = []
    for method, own in rows.groupby("align", sort=False) if len(rows) else ():
        before, after = (own[f"distance_{when}"].mean() for when in ("before", "after"))
        worst = own.loc[(own["output_difference"] / own["tolerance"].clip(lower=1e-300)).idxmax()]
        untied = UNTIED if own["untied"].any() else ""
        out.append(
            f"{catalogue.MATCHERS.label(str(method))} ({own['symmetry_group'].iloc[0]}): mean distance to the first, "
            f"in balanced form, {before:.3g} before and {after:.3g} now; outputs differ by "
            f"{worst['output_difference']:.1g} at most, and rounding explains {worst['tolerance']:.1g}{untied}; "
            f"{own['seconds'].sum():.1f} s"
        )
    return out


def aligned_label(method: str) -> str:
    """A way to align in words."""
    from landscape import catalogue

    return "not aligned" if method == "none" else catalogue.MATCHERS.label(method)
