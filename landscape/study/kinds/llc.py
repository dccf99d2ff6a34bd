"""The local learning coefficient of each checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from landscape.errors import InputError
from landscape.llc.settings import ChainSettings
from landscape.spec import MOST_SEED
from landscape.study.kinds.among import Among, among, none_of
from landscape.study.kinds.losses import after_ends
from landscape.study.measure import Grid, Group, Hashes, Measure
from landscape.study.proposal import Inventory, Proposal
from landscape.study.tasks import Spec, Task

HELD = 7
"""Vectors that the search for the largest curvature holds: a few directions, a product and a gradient."""
AT_CHECKPOINT, AT_END = (8, 64), (5, 32)
"""Gradients that the largest curvature takes, about, at a checkpoint and at the end of a chain, and the largest number
of examples of each."""
FEW_STEPS = 5
"""Training steps at which coefficients are proposed."""


class Llc(Measure, ChainSettings):
    """The local learning coefficient of each checkpoint.

    Attributes:
        kind: Always ``llc``.
        among: Of the checkpoints of runs, of branches, or of both.
        parts: Tasks that the chains of a checkpoint are cut into, for several workers at one checkpoint.
        tile: Checkpoints whose chains may run in one batch, for small models; a tile is one task.
    """

    ELSEWHERE: ClassVar[frozenset[str]] = frozenset({"kind", "among", "at_steps", "on", "parts", "tile"})

    kind: Literal["llc"] = "llc"
    among: Among = "runs"
    parts: int = Field(1, ge=1)
    tile: int = Field(1, ge=1)

    @classmethod
    def proposals(cls, there: Inventory) -> Iterator[Proposal]:
        """At a few steps; the settings of chains should be calibrated before."""
        at = {"at_steps": there.steps(FEW_STEPS)} if there.steps(FEW_STEPS) else {}
        yield Proposal(
            "local learning coefficients; find step_size and localisation first, with: landscape llc --calibrate",
            at, on=False,
        )  # fmt: skip

    def groups(self, grid: Grid) -> Iterator[Group]:
        """As many checkpoints as a tile has."""
        every = among(self.among, self.at_steps, grid)
        yield from (every[i : i + self.tile] for i in range(0, len(every), self.tile))

    def tasks(self, group: Group, hashes: Hashes, on: str) -> Iterator[Task[Spec]]:
        """Curvatures; chains, cut by checkpoints and by their numbers; then the coefficients.

        Raises:
            InputError: If a batch is larger than the data.
        """
        examples, data = hashes.data[on].sequences, hashes.main(on)
        if self.batch != "all" and self.batch > examples:
            raise InputError(
                f"a batch of {self.batch} examples is wanted and there are {examples}; lower batch or give more data"
            )
        moving = Curvature(parameters=self.parameters, seed=self.seed)
        curvatures = [Task(moving, (checkpoint,), data=data, on=on) for checkpoint in group]
        needs = tuple(task.key for task in curvatures) if self.step_size == "auto" else ()
        cut = [tuple(range(self.chains)[part :: self.parts]) for part in range(min(self.parts, self.chains))]
        chains = [
            replace(Task(Chains(llc=self, numbers=some, halved=halved), tuple(group), data=data, on=on), needs=needs)
            for halved in ((False, True) if self.extrapolate else (False,))
            for some in cut
        ]
        for checkpoint in group:
            yield from after_ends(Task(self, (checkpoint,), data=data, on=on), self.dtype, *curvatures, *chains)

    def nothing(self, grid: Grid) -> str:
        """There is no checkpoint."""
        return none_of(self.kind, grid)

    @property
    def of_chains(self) -> ChainSettings:
        """Its own."""
        return self

    def behaviour(self, *, distances: bool) -> Iterator[str]:
        """The coefficient over training."""
        if self.among != "branches":
            yield "llc"


class Curvature(Spec):
    """The largest curvature of the loss at a checkpoint, the top eigenvalue of its Hessian.

    Attributes:
        kind: Always ``curvature``.
        parameters: Which parameters move.
        seed: Of the first direction.
        dtype: Always float32.
    """

    kind: Literal["curvature"] = "curvature"
    parameters: tuple[str, ...] | None
    seed: int = Field(0, ge=0, le=MOST_SEED)
    dtype: Literal["float32"] = "float32"

    def vectors(self, task: Task[Spec]) -> int:
        """Those of the search for the largest curvature."""
        return HELD

    def gradients(self, task: Task[Spec], examples: int) -> int:
        """One for each product with the Hessian, and that at the checkpoint."""
        return _of_curvature(*AT_CHECKPOINT, examples)


class Chains(Spec):
    """Some chains around checkpoints.

    Attributes:
        kind: Always ``chains``.
        llc: The settings of the coefficients that they are for.
        numbers: Which of the chains.
        halved: Whether with half the step and twice as many steps.
    """

    KEEPS_LOSSES: ClassVar[bool] = True

    kind: Literal["chains"] = "chains"
    llc: Llc
    numbers: tuple[int, ...]
    halved: bool

    def deciding(self) -> dict[str, JsonValue]:
        """Those of the chains; how many there are in all decides nothing of one of them."""
        own = {name: value for name, value in self.llc.deciding().items() if name not in ("chains", "extrapolate")}
        return {**own, "numbers": list(self.numbers), "halved": self.halved}

    def vectors(self, task: Task[Spec]) -> int:
        """Each chain, and its gradient; or those of the search for the largest curvature where it ends."""
        return max(2 * len(task.checkpoints) * len(self.numbers), HELD)

    def gradients(self, task: Task[Spec], examples: int) -> int:
        """One for each example of each step, and those of the curvature at its end."""
        batch = examples if self.llc.batch == "all" else self.llc.batch
        steps = (self.llc.draws + self.llc.burn_in) * (2 if self.halved else 1)
        return len(task.checkpoints) * len(self.numbers) * (steps * batch + _of_curvature(*AT_END, examples))


def _of_curvature(gradients: int, most: int, examples: int) -> int:
    return gradients * min(examples, most)
