"""A first study file for what there is: what makes sense to measure, and what each measure would cost."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from landscape import catalogue
from landscape.checkpoints.grid import incomplete, listed
from landscape.errors import InputError
from landscape.face.forecast import forecast, speed
from landscape.face.inventory import Inputs, Section, There, of_family, of_folder
from landscape.study import kinds
from landscape.study.checkpoint import Checkpoint, order
from landscape.study.expand import tasks
from landscape.study.file import Study
from landscape.study.measure import Grid
from landscape.study.proposal import Inventory, Proposal, Setting

LENGTH = 128
"""Tokens of an example, if the model takes so many."""
SHOWN = 12
"""Values of a label that are listed."""


@dataclass(frozen=True)
class Priced:
    """A measure that makes sense, and what it costs.

    Attributes:
        kind: Its kind.
        proposal: What it answers, and its settings.
        cost: Its cost in words.
    """

    kind: str
    proposal: Proposal
    cost: str


def draft(target: str, out: Path, given: Inputs) -> str:
    """The text of a study file for a folder of runs, or for a family of public checkpoints.

    Args:
        target: The folder, or the name of the family.
        out: The study file, to whose folder paths are relative.
        given: What is given beside it.

    Raises:
        InputError: If the target is neither, or its checkpoints cannot be measured.
    """
    there = of_folder(Path(target), out.parent, given) if Path(target).is_dir() else of_family(target, given)
    head = "\n".join([*_checkpoints(there), *_data(there, given)])
    grid = listed(_study(f'{head}[[measure]]\nkind = "llc"', out).checkpoints)
    there = replace(there, inventory=replace(there.inventory, grid=grid))
    priced = list(_priced(there.inventory, head, out))
    if not any(one.proposal.on for one in priced):
        priced[:1] = [replace(one, proposal=replace(one.proposal, on=True)) for one in priced[:1]]
    first = [
        f"# Made by: landscape init {target}",
        "# Edit it; see what it takes with `landscape plan`; run it, or go on with it, with `landscape run`.",
        "# Measures that begin with # are suggestions: they take longer, or need a decision. Times are those of the",
        "# floating-point operations on this machine; models under ten million parameters take several times that.",
    ]
    text = "\n".join([*first, head, *(line for one in priced for line in _measure(one))])
    _study(text, out)
    return text


def _study(text: str, out: Path) -> Study:
    bases = {"bases": (out.parent,)}
    return Study.model_validate(tomllib.loads(text), context=bases)


def _checkpoints(there: There) -> Iterator[str]:
    """The sections of checkpoints."""
    yield from ("version = 1", f"name = {toml(there.name)}", "", "[checkpoints]")
    yield from _settings(there.checkpoints)
    yield from (f"# {line}" for line in _labels(there.inventory.grid.runs))
    yield from (f"# {note}" for note in (*there.notes, *incomplete(there.inventory.grid.runs)))
    yield ""
    if there.branches:
        yield "[checkpoints.branches] # a shared prefix of training up to branch_step, then other data orders"
        yield from _settings(there.branches)
        yield from (f"# {line}" for line in _labels(there.inventory.grid.branches))
        yield ""


def _labels(checkpoints: Sequence[Checkpoint]) -> Iterator[str]:
    """The values of each label, in a line each."""
    yield f"{len(checkpoints)} checkpoints"
    for name in dict.fromkeys(name for c in checkpoints for name, _ in c.labels):
        values = sorted({value for c in checkpoints if (value := c.label(name)) is not None}, key=order)
        shown = [*map(str, values[: SHOWN - 1]), "...", str(values[-1])] if len(values) > SHOWN else map(str, values)
        yield f"{name}: {', '.join(shown)}"


def _data(there: There, given: Inputs) -> Iterator[str]:
    """The section of data."""
    yield from ("[data]", f"objective = {toml(there.inventory.objective)}")
    if given.text:
        yield f"text = {toml(given.text)}"
    else:
        yield '# text = "heldout.txt" # text that the models were not trained on; left out, the packaged novel'
    if there.positions is not None and there.positions < LENGTH:
        yield f"length = {there.positions} # the longest that the models take"
    yield ""


def _priced(there: Inventory, head: str, out: Path) -> Iterator[Priced]:
    """The measures that have something to measure, each with its cost."""
    rate, seen = speed(), set[str]()
    for kind in catalogue.MEASURES:
        for proposal in kinds.kind(kind).proposals(there):
            lines = "\n".join(["[[measure]]", f'kind = "{kind}"', *_settings(proposal.settings)])
            study = _study(f"{head}\n{lines}\n", out)
            if lines in seen or (cost := _cost(study, there.grid, rate)) is None:
                continue
            seen.add(lines)
            yield Priced(kind, proposal, cost)


def _cost(study: Study, grid: Grid, rate: float) -> str | None:
    """What a study of one measure takes, in words; None if there is nothing to measure."""
    try:
        planned = tasks(study, grid)
    except InputError:
        return None
    used = {c.ref: c for task in planned for c in task.checkpoints}
    found = forecast(study, planned, used.values(), flops_per_second=rate)
    pairs = sum(len(task.pairs) for task in planned)
    counts = (("pair", pairs), ("checkpoint", len(used)), ("task", found.tasks))
    said = [f"{count} {noun}{'s' * (count > 1)}" for noun, count in counts if count]
    return ", ".join([*said, f"about {_time(found.seconds)}"])


def _measure(one: Priced) -> Iterator[str]:
    """The lines of a measure; of one that is not wanted yet, as comments."""
    lines = [f'kind = "{one.kind}"', *_settings(one.proposal.settings)]
    mark = "" if one.proposal.on else "# "
    yield f"# {one.proposal.why}"
    yield f"# {one.cost}"
    yield from (f"{mark}{line}" for line in ("[[measure]]", *lines))
    yield ""


def _settings(section: Section) -> Iterator[str]:
    yield from (f"{name} = {toml(value)}" for name, value in section.items())


def toml(value: Setting) -> str:
    """A value as a study file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = "".join(f"\\u{ord(c):04x}" if ord(c) < 32 or c in '"\\' else c for c in value)
        return f'"{escaped}"'
    if isinstance(value, int | float):
        return str(value)
    return f"[{', '.join(map(toml, value))}]"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{max(1, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
