"""The checkpoints that a study asks for."""

from __future__ import annotations

from landscape.checkpoints.sources import expand, of_family
from landscape.study.sections import Checkpoints
from landscape.study.tasks import Checkpoint


def listed(wanted: Checkpoints) -> tuple[list[Checkpoint], list[Checkpoint]]:
    """The checkpoints of a study and their branches, as found on disk or named in a family's table."""
    if wanted.family is not None:
        seeds = of_family(wanted.family, wanted.seeds, wanted.steps)
    else:
        assert wanted.folder is not None
        seeds = expand(wanted.folder, {"seed": wanted.seeds, "step": wanted.steps}, wanted.config or "")
    if (kids := wanted.branches) is None:
        return seeds, []
    fields = {"seed": kids.seeds, "branch_step": kids.branch_step, "branch": kids.branches, "step": kids.steps}
    return seeds, expand(kids.folder, fields, wanted.config or "")


def incomplete(checkpoints: list[Checkpoint]) -> list[str]:
    """How many combinations of the seeds and steps of a study are missing, in a sentence."""
    there = {(c.seed, c.step) for c in checkpoints if c.seed is not None and c.step is not None}
    seeds, steps = (sorted({pair[k] for pair in there}) for k in (0, 1))
    lost = [f"seed {seed} step {step}" for seed in seeds for step in steps if (seed, step) not in there]
    if not lost:
        return []
    return [f"{len(lost)} of {len(seeds) * len(steps)} combinations of seed and step are missing: {_some(lost)}"]


def warnings(checkpoints: list[Checkpoint]) -> list[str]:
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
