"""``landscape families``."""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console
from rich.table import Table

from landscape.checkpoints.families import FAMILIES, Family, family

WORDS = 1e9


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout.")
def command(name: str | None, as_json: bool) -> None:
    """Known families of public checkpoints; with NAME its seeds, steps, size and known defects. Needs no network."""
    chosen = [family(name)] if name else list(FAMILIES.values())
    if as_json:
        for each in chosen:
            click.echo(json.dumps(_facts(each)))
    elif name:
        _describe(chosen[0])
    else:
        _list(chosen)


def _facts(each: Family) -> dict[str, object]:
    labels = list(each.labels())
    return {
        "name": each.name,
        "title": each.title,
        "model": each.model,
        "objective": each.objective,
        "parameters": each.parameters,
        "stored": each.stored,
        "seeds": list(each.steps),
        "checkpoints": len(labels),
        "bytes": sum(each.bytes(*label) for label in labels),
        "steps": {seed: list(steps) for seed, steps in each.steps.items()},
        "example": str(each.place(*labels[-1])),
        "defects": [{"says": str(d), "main": d.main, "labels": sorted(d.labels, key=str)} for d in each.defects],
        "notes": list(each.notes),
        "exact": each.whole,
        "source": each.source,
    }


def _list(chosen: list[Family]) -> None:
    table = Table(caption="landscape families NAME says more; ~: not every step is certain", box=None, pad_edge=False)
    for title, where in (("family", "left"), ("seeds", "right"), ("steps", "right"), ("checkpoints", "right"),
                         ("GB each", "right"), ("objective", "left"), ("", "left")):  # fmt: skip
        table.add_column(title, justify=where, no_wrap=True)  # type: ignore[arg-type]
    for each in chosen:
        labels = list(each.labels())
        steps = max(len(steps) for steps in each.steps.values())
        table.add_row(
            each.name, str(len(each.steps)), f"{'' if each.whole else '~'}{steps or 'last'}", f"{len(labels):,}",
            f"{each.bytes(*labels[-1]) / WORDS:.2f}", each.objective, each.title,
        )  # fmt: skip
    Console().print(table) if sys.stdout.isatty() else Console(width=200).print(table)


def _describe(each: Family) -> None:
    labels = list(each.labels())
    total = sum(each.bytes(*label) for label in labels)
    lines = [
        f"{each.name}: {each.title}",
        f"  model        {each.model}, {each.parameters:,} parameters, stored as {each.stored}",
        f"  objective    {each.objective}",
        f"  size         {each.bytes(*labels[-1]) / WORDS:.2f} GB a checkpoint, {total / WORDS:,.0f} GB in all "
        f"{len(labels):,}",
        f"  seeds        {_runs(list(each.steps))}",
        *(f"  steps        {line}" for line in _steps(each)),
        f"  reference    {each.name}:seed={labels[-1][0]}{'' if labels[-1][1] is None else f',step={labels[-1][1]}'}",
        f"  lies at      {each.place(*labels[-1])}",
        *(f"  note         {note}" for note in each.notes),
        *(f"  defect       {defect}: {_where(defect.labels, defect.main)}" for defect in each.defects),
        *([] if each.whole else ["  not certain  the lists are not known to be complete or exact"]),
        f"  from         {each.source}",
    ]
    click.echo("\n".join(lines))


def _steps(each: Family) -> list[str]:
    """A line for each different list of steps."""
    by_steps: dict[tuple[int, ...], list[int]] = {}
    for seed, steps in each.steps.items():
        by_steps.setdefault(steps, []).append(seed)
    return [
        (f"{len(steps)}: {_runs(list(steps))}" if steps else "the last only")
        + (f" (seeds {_runs(seeds)})" if len(by_steps) > 1 else "")
        for steps, seeds in by_steps.items()
    ]


def _where(labels: frozenset[tuple[int, int | None]], main: bool) -> str:
    seeds = sorted({seed for seed, _ in labels})
    steps = sorted({step for _, step in labels if step is not None})
    return f"seed {_runs(seeds)}" + ("" if main else f", step {_runs(steps)}")


def _runs(numbers: list[int]) -> str:
    """Numbers in words: ``0-9``, ``1000-143000 by 1000``.

    >>> _runs([0, 1, 2, 4, 8, 1000, 2000, 3000, 4000])
    '0-2, 4, 8, 1000-4000 by 1000'
    """
    parts, start = [], 0
    while start < len(numbers):
        end = start
        if start + 1 < len(numbers):
            gap = numbers[start + 1] - numbers[start]
            while end + 1 < len(numbers) and numbers[end + 1] - numbers[end] == gap:
                end += 1
        if end - start >= 2:
            parts.append(f"{numbers[start]}-{numbers[end]}{'' if gap == 1 else f' by {gap}'}")
            start = end + 1
        else:
            parts.append(str(numbers[start]))
            start += 1
    return ", ".join(parts)
