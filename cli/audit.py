"""``landscape audit``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from landscape.cli.progress import console, progress
from landscape.cli.trust import trust_options
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.checkpoints.audit.hashes import Finding
    from landscape.checkpoints.audit.trajectory import Seen
    from landscape.checkpoints.families import Family
    from landscape.study.checkpoint import Checkpoint

SHOWN = 6


@trust_options
@click.command()
@click.argument("target", metavar="FAMILY|FOLDER|hf://REPOSITORY")
@click.option("--seed", "seeds", multiple=True, type=int, help="Only this seed of a family; may be repeated.")
@click.option("--step", "steps", multiple=True, type=int, help="Only this step of a family; may be repeated.")
@click.option(
    "--tensors/--hashes", default=None, help="Also load the weights. [default: for what lies on disk, not for the hub]"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout: findings and distances.")
def command(target: str, seeds: tuple[int, ...], steps: tuple[int, ...], tensors: bool | None, as_json: bool) -> None:
    """Labels that serve the same or foreign weights, or none.

    First by the hashes of files, for which the hub is asked and no weights are fetched; then, with --tensors, by the
    tensors: steps that are equal, share matrices with a far one, or lie off their run's way.
    """
    from landscape.checkpoints.audit import hashes

    checkpoints, family = _chosen(target, seeds, steps)
    try:
        with progress("listing", len(checkpoints)) as tick:
            labelled = hashes.listed(checkpoints, tick)
    except InputError as error:
        if family is None:
            raise
        _say_known(family, checkpoints)
        raise InputError(f"the labels were not compared, only what is known is listed: {error}") from error
    found = hashes.by_hashes(labelled, family)
    there = [label.checkpoint for label in labelled if label.weights and not label.is_main]
    count = f"{len(checkpoints)} checkpoint{'' if len(checkpoints) == 1 else 's'}"
    _say(found, f"{count} of {target}, by the hashes of their files")
    runs: list[list[Seen]] = []
    if there and (tensors or (tensors is None and all(c.place is None for c in there))):
        runs, lost = _walked(there)
        more = [hashes.with_known(f, checkpoints, family) for f in [*lost, *_new(runs, found)]]
        _table(runs)
        _say(more, "by their tensors")
        found = [*found, *more]
    if family:
        _unseen(family, found, {(int(c.seed or 0), c.step) for c in checkpoints})
    if as_json:
        for finding in found:
            click.echo(json.dumps({"table": "finding", **vars(finding)}))
        for row in _rows(runs):
            click.echo(json.dumps({"table": "trajectory", **row}))


def _chosen(target: str, seeds: tuple[int, ...], steps: tuple[int, ...]) -> tuple[list[Checkpoint], Family | None]:
    from landscape.checkpoints import find, sources
    from landscape.checkpoints.audit import hashes
    from landscape.checkpoints.hub import places

    if not Path(target).exists() and "{" not in target and (named := sources.family_parts(target)) is not None:
        family, values = named
        given = {key: (int(value),) for key, value in values.items()}
        return sources.of_family(family.name, seeds or given.get("seed"), steps or given.get("step")), family
    if seeds or steps:
        raise InputError(f"--seed and --step choose from a family, and {target} is none; landscape families lists them")
    if target.startswith(places.SCHEME) and "{" not in target:
        return hashes.of_repository(target)
    return (_below(Path(target)) if Path(target).is_dir() else find(target)), None


def _below(folder: Path) -> list[Checkpoint]:
    """Every checkpoint in a folder and its folders, or the one that it is."""
    from landscape.checkpoints import find, formats, local
    from landscape.study.checkpoint import in_order

    if formats.has_weights(folder):
        return find(str(folder))
    inside = sorted(path for path in folder.rglob("*") if path.is_dir() and formats.has_weights(path))
    found = [local.labelled(path) for path in inside] or find(str(folder))
    return in_order(sorted(found, key=lambda c: c.ref), ["seed", "step"])


def _walked(checkpoints: Sequence[Checkpoint]) -> tuple[list[list[Seen]], list[Finding]]:
    from landscape.checkpoints.audit import trajectory

    runs = trajectory.runs(checkpoints)
    with progress("reading", len(checkpoints)) as tick:
        walks = [trajectory.walk(run, tick) for run in runs]
    return [seen for seen, _ in walks], [finding for _, lost in walks for finding in lost]


def _new(runs: list[list[Seen]], found: list[Finding]) -> list[Finding]:
    """What the tensors tell that the hashes did not."""
    from landscape.checkpoints.audit import trajectory

    known = [set(finding.labels) for finding in found if finding.kind == "same weights"]
    return [f for f in trajectory.findings(runs) if not (f.kind == "same tensors" and set(f.labels) in known)]


def _say(found: list[Finding], where: str) -> None:
    known = sum(bool(finding.known) for finding in found)
    count = f"{len(found)} finding{'' if len(found) == 1 else 's'}{f', {known} of them known' if known else ''}"
    console.print(f"{where}: {count}", markup=False)
    absent = [f for f in found if f.kind in {"no revision", "no weights"}]
    for finding in (f for f in found if f not in absent):
        source = f" [known: {finding.known}]" if finding.known else ""
        names = "" if any(name in finding.says for name in finding.labels) else f": {_some(finding.labels)}"
        console.print(f"  {finding.kind}: {finding.says}{names}{source}", markup=False)
    for kind, source in sorted({(f.kind, f.known) for f in absent}):
        missing = [f.labels[0] for f in absent if (f.kind, f.known) == (kind, source)]
        console.print(
            f"  {kind}: {len(missing)}: {_some(missing)}{f' [known: {source}]' if source else ''}", markup=False
        )


def _say_known(family: Family, checkpoints: Sequence[Checkpoint]) -> None:
    """What the tables know to be wrong with some checkpoints of a family, for which nothing is asked of the hub."""
    chosen = {(int(c.seed or 0), c.step) for c in checkpoints}
    known = [(defect, len(defect.labels & chosen)) for defect in family.defects if defect.labels & chosen]
    console.print(f"{family.name}: {len(known)} known defects, without asking the hub", markup=False)
    for defect, count in known:
        console.print(f"  {defect.kind}: {defect} ({count} labels)", markup=False)


def _unseen(family: Family, found: list[Finding], audited: set[tuple[int, int | None]]) -> None:
    """Known defects of what was audited that no finding shows."""
    for defect in family.defects:
        here = defect.labels & audited
        if here and not any(str(defect) in finding.known for finding in found):
            console.print(f"  known and not seen here: {defect} ({len(here)} labels)", markup=False)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _rows(runs: list[list[Seen]]) -> list[dict[str, object]]:
    from landscape.space import storage_floor

    rows: list[dict[str, object]] = []
    for run in runs:
        for place, step in enumerate(run):
            floor = max(storage_floor(s.stored) for s in run[max(0, place - 1) : place + 1])
            relative = step.to_previous / step.length if step.length else 0.0
            rows.append({
                "checkpoint": step.name, "seed": step.checkpoint.seed, "step": step.checkpoint.step,
                "to_previous": relative, "to_first": step.to_first / step.length if step.length else 0.0,
                "stored": step.stored, "below_floor": place > 0 and relative < floor,
            })  # fmt: skip
    return rows


def _table(runs: list[list[Seen]]) -> None:
    if not any(len(run) > 1 for run in runs):
        return
    table = Table(
        caption="distances over the length of the checkpoint, matrices only; *: rounding on disk may be all of it",
        box=None,
    )
    for title in ("checkpoint", "stored", "to the step before", "to the first step"):
        table.add_column(title, justify="left" if title in {"checkpoint", "stored"} else "right")
    for run in runs:
        for place, row in enumerate(_rows([run])):
            mark = "*" if row["below_floor"] else ""
            apart = (f"{row['to_previous']:.2e}{mark}", f"{row['to_first']:.2e}") if place else ("", "")
            table.add_row(str(row["checkpoint"]), str(row["stored"]), *apart)
    console.print(table)
