"""The checkpoints that a study asks for."""

from __future__ import annotations

from landscape.checkpoints.local import expand
from landscape.study import Checkpoints
from landscape.task import Checkpoint


def listed(wanted: Checkpoints) -> tuple[list[Checkpoint], list[Checkpoint]]:
    """The checkpoints of a study and their children, as found on disk."""
    seeds = expand(wanted.folder, {"seed": wanted.seeds, "step": wanted.steps})
    if (kids := wanted.children) is None:
        return seeds, []
    fields = {"seed": kids.seeds, "parted": kids.parted, "child": kids.children, "step": kids.steps}
    return seeds, expand(kids.folder, fields)
