"""A checkpoint: a reference that is resolved once, with its labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from landscape.errors import InputError

Label = int | str
"""The value of a label: a whole number, or a word."""
Labels = tuple[tuple[str, Label], ...]
"""Labels by name, in the order of the pattern."""
USUAL_LABELS = ("seed", "step", "branch_step", "branch")
"""Labels that every row has a column for."""
FACTORS = ":factors"
"""End of the content of a checkpoint whose factors are its point."""
NO_CONFIG = "none"
"""In place of the folder of a config, where the user says what model the weights are of."""
STEP_LABELS = ("step", "branch_step")
"""Labels that are training steps, and so whole numbers."""


@dataclass(frozen=True)
class Place:
    """Where on the hub one checkpoint lies.

    Attributes:
        repo: ``organisation/name``.
        revision: A branch, a tag, a pull request's ref or a commit.
        folder: The folder within the repository.
        title: If given, the commit on ``revision`` with this title.
    """

    repo: str
    revision: str = "main"
    folder: str = ""
    title: str = ""

    def __str__(self) -> str:
        revision = "" if self.revision == "main" else f"@{self.revision}"
        return f"hf://{self.repo}{revision}{f'/{self.folder}' if self.folder else ''}" + (
            f' (commit "{self.title}")' if self.title else ""
        )


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint.

    Attributes:
        ref: The reference, as rows and messages name it; for one on this disk its path.
        labels: What it is called by: seed, step, and whatever else a pattern has.
        place: Where on the hub it lies; None for one on this disk.
        content: Hash of config and weights; empty until it is known.
        commit: For a checkpoint on the hub, the commit that its name was resolved to.
        config: The folder of its config.json, if that is not its own; :data:`NO_CONFIG` if its model has none.
        defect: What is known to be wrong with it.
        adapter: Whether an adapter is merged into its base, or its factors are the point.
    """

    ref: str
    labels: Labels = ()
    place: Place | None = None
    content: str = ""
    commit: str = ""
    config: str = ""
    defect: str = ""
    adapter: Literal["merged", "factors"] = "merged"

    def label(self, name: str) -> Label | None:
        """The value of a label; None if it has no such label."""
        return dict(self.labels).get(name)

    @property
    def seed(self) -> Label | None:
        """Which training run."""
        return self.label("seed")

    @property
    def step(self) -> int | None:
        """Optimizer steps it was trained for."""
        return _whole(self.label("step"))

    @property
    def branch_step(self) -> int | None:
        """For a branch, the last step shared with its siblings."""
        return _whole(self.label("branch_step"))

    @property
    def branch(self) -> Label | None:
        """For a branch, which of those spawned at this step."""
        return self.label("branch")

    @property
    def columns(self) -> dict[str, Label | None]:
        """Its labels as columns of a row; the usual ones always among them."""
        return {**dict.fromkeys(USUAL_LABELS), **dict(self.labels)}


def labels(values: Mapping[str, Label | None]) -> Labels:
    """Labels of those values that are known.

    >>> labels({"seed": 3, "step": None})
    (('seed', 3),)
    """
    return tuple((name, value) for name, value in values.items() if value is not None)


def relabelled(checkpoint: Checkpoint, values: Mapping[str, Label | None]) -> Checkpoint:
    """The checkpoint with these labels set; None takes a label away."""
    return replace(checkpoint, labels=labels({**dict(checkpoint.labels), **values}))


def of_one_kind(checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Checkpoints in which the values of a label are all whole numbers or all words, so that they fit one column.

    >>> [c.seed for c in of_one_kind([Checkpoint("x", (("seed", 1),)), Checkpoint("y", (("seed", "b"),))])]
    ['1', 'b']
    """
    words = {name for c in checkpoints for name, value in c.labels if isinstance(value, str)}
    return [
        replace(c, labels=tuple((name, str(value) if name in words else value) for name, value in c.labels))
        for c in checkpoints
    ]


def order(value: Label | None) -> tuple[bool, bool, int, str]:
    """A sort key under which whole numbers come before words, and both before a missing label.

    >>> sorted(["b", None, 10, 9], key=order)
    [9, 10, 'b', None]
    """
    number = value if isinstance(value, int) else 0
    return value is None, isinstance(value, str), number, value if isinstance(value, str) else ""


def in_order(checkpoints: Iterable[Checkpoint], names: Iterable[str]) -> list[Checkpoint]:
    """Checkpoints sorted by some labels."""
    names = list(names)
    return sorted(checkpoints, key=lambda c: tuple(order(c.label(name)) for name in names))


def steps_at(at: tuple[int, ...] | str, checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Those of some steps of each run; a checkpoint alone is kept.

    Args:
        at: The steps; ``last`` is the last of each run, ``all`` is all.
        checkpoints: What one reference means.

    Raises:
        InputError: If a step is in no run.
    """
    if at == "all" or len(checkpoints) < 2:
        return list(checkpoints)
    if at == "last":
        last: dict[Labels, float] = {}
        for c in checkpoints:
            last[_run(c)] = max(_time(c), last.get(_run(c), 0))
        return [c for c in checkpoints if _time(c) == last[_run(c)]]
    there = sorted({c.step for c in checkpoints if c.step is not None})
    if lost := [step for step in at if step not in there]:
        raise InputError(
            f"no checkpoint of {checkpoints[0].ref} and {len(checkpoints) - 1} others is at step {lost[0]}; their "
            f"steps are {', '.join(map(str, there))}"
        )
    return [c for c in checkpoints if c.step in at]


def _time(checkpoint: Checkpoint) -> float:
    """Its step; a final model, which has none, is after all."""
    return math.inf if checkpoint.step is None else float(checkpoint.step)


def _run(checkpoint: Checkpoint) -> Labels:
    return tuple((name, value) for name, value in checkpoint.labels if name != "step")


def _whole(value: Label | None) -> int | None:
    return value if isinstance(value, int) else None
