"""The checkpoints that a study asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from landscape.checkpoints.sources import expand, of_family
from landscape.study.checkpoint import Checkpoint, of_one_kind, order
from landscape.study.measure import Grid
from landscape.study.sections import Checkpoints


def listed(wanted: Checkpoints) -> Grid:
    """The checkpoints of a study and their branches, as found on disk or named in a family's table."""
    if wanted.family is not None:
        runs = of_family(wanted.family, wanted.seeds, wanted.steps)
    else:
        assert wanted.folder is not None
        runs = expand(wanted.folder, wanted.wanted, wanted.config or "")
    kids = wanted.branches
    branches = expand(kids.folder, kids.wanted, wanted.config or "") if kids else []
    every = of_one_kind([replace(c, adapter=wanted.adapter) for c in (*runs, *branches)])
    return Grid(tuple(every[: len(runs)]), tuple(every[len(runs) :]))


def incomplete(checkpoints: Sequence[Checkpoint]) -> list[str]:
    """How many combinations of the labels of a study are missing, in a sentence."""
    names = list(dict.fromkeys(name for c in checkpoints for name, _ in c.labels))
    there = {tuple(c.label(name) for name in names) for c in checkpoints}
    there = {values for values in there if None not in values}
    each = [sorted({values[k] for values in there}, key=order) for k in range(len(names))]
    lost = [
        " ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
        for values in product(*each) if values not in there
    ] if there else []  # fmt: skip
    if len(names) < 2 or not lost:
        return []
    said = f"{', '.join(names[:-1])} and {names[-1]}"
    return [f"{len(lost)} of {len(lost) + len(there)} combinations of {said} are missing: {_some(lost)}"]


def warnings(checkpoints: Sequence[Checkpoint]) -> list[str]:
    """What a user should know before trusting the numbers: known defects, and labels that hold the same weights."""
    said: dict[str, list[str]] = {}
    for checkpoint in checkpoints:
        for defect in filter(None, checkpoint.defect.split("; ")):
            said.setdefault(defect, []).append(checkpoint.ref)
    known = [f"{defect}: {_some(refs)}" for defect, refs in said.items()]
    same: dict[str, list[str]] = {}
    for checkpoint in checkpoints:
        same.setdefault(checkpoint.content, []).append(checkpoint.ref)
    groups = [" = ".join(refs[:4]) + (" = ..." if len(refs) > 4 else "")
              for content, refs in same.items() if content and len(set(refs)) > 1]  # fmt: skip
    return known + ([f"the same weights under several names: {_some(groups)}"] if groups else [])


def _some(refs: list[str]) -> str:
    return ", ".join(refs[:4]) + (f" and {len(refs) - 4} more" if len(refs) > 4 else "")
