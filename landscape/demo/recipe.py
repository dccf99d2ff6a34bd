"""How the small runs are trained, and which there are; no tensor library is imported before a worker starts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from landscape.texts import TRAINING_TEXT


@dataclass(frozen=True)
class Recipe:
    """How every run is trained.

    The learning rate is high, so that runs with different data orders diverge, and decays to a twentieth, so that they
    converge.

    Attributes:
        steps: Number of training steps.
        batch: Sequences in a batch.
        length: Tokens in a sequence.
        vocabulary: Number of tokens of the tokenizer.
        width: Size of the hidden states.
        layers: Number of layers.
        heads: Number of attention heads of a layer.
        rate: Largest learning rate, per step.
        warmup: Steps over which the learning rate rises.
        branches: Number of branches spawned at each branch step.
        per_octave: Checkpoints of a seed in each doubling of the step.
        first: The first step after 0 at which a seed may be saved.
        divisors: ``steps`` over each of these is a branch step.
        activation: Activation function, by its name in transformers.
        text: The training text.
        whole_words: Whether tokens are words, not byte pairs.
    """

    steps: int = 512
    batch: int = 16
    length: int = 64
    vocabulary: int = 512
    width: int = 64
    layers: int = 2
    heads: int = 4
    rate: float = 2.5e-3
    warmup: int = 20
    branches: int = 3
    per_octave: int = 1
    first: int = 1
    divisors: tuple[int, ...] = (16, 8, 4, 2)
    activation: str = "gelu_new"
    text: Path = TRAINING_TEXT
    whole_words: bool = False

    @property
    def saved(self) -> tuple[int, ...]:
        """Steps at which a seed is saved: 0, the powers of two, more steps of each octave if wanted, and the last step.

        >>> Recipe(steps=12).saved
        (0, 1, 2, 4, 8, 12)
        >>> Recipe(steps=12, first=4).saved
        (0, 4, 8, 12)
        """
        powers = [round(2 ** (k / self.per_octave)) for k in range(self.per_octave * self.steps.bit_length())]
        return (0, *sorted({*(p for p in powers if self.first <= p < self.steps), self.steps}))

    @property
    def branch_steps(self) -> tuple[int, ...]:
        """Steps at which branches are spawned: 0, and the total over each of the divisors."""
        return (0, *sorted({self.steps // n for n in self.divisors if self.steps // n > 0}))

    def rate_at(self, step: int) -> float:
        """Learning rate per step: a linear warm-up, then a cosine decay to a twentieth."""
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.rate * min(1.0, (step + 1) / self.warmup) * (0.95 * cosine + 0.05)


def planted_recipe(text: Path, steps: int) -> Recipe:
    """How a run on the planted language is trained: two checkpoints per octave, and no branches."""
    return Recipe(steps=steps, rate=4e-3, branches=0, per_octave=2, text=text, whole_words=True)


@dataclass(frozen=True)
class Run:
    """One training job: a seed, or the branches of a seed that are spawned at ``branch_step``."""

    seed: int
    branch_step: int | None = None
    needs: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its unique key."""
        return (
            f"seed {self.seed}"
            if self.branch_step is None
            else f"branches of seed {self.seed} spawned at {self.branch_step}"
        )


def seeds_of(count: int) -> list[Run]:
    """The jobs of this many seeds."""
    return [Run(seed) for seed in range(count)]


def branches_of(recipe: Recipe) -> list[Run]:
    """The jobs of the branches of seed 0, if any, the longest first."""
    return [Run(0, branch_step) for branch_step in recipe.branch_steps if recipe.branches]


def folders(run: Run, recipe: Recipe, out: Path) -> list[Path]:
    """The checkpoints that a job writes, in order.

    Args:
        run: The job.
        recipe: How it is trained.
        out: Folder of all checkpoints.
    """
    if run.branch_step is None:
        return [out / f"seed_{run.seed}" / f"step_{step}" for step in recipe.saved]
    spawned = out / "branches" / f"seed_{run.seed}" / f"branched_at_{run.branch_step}"
    return [spawned / f"branch_{branch}" / f"step_{recipe.steps}" for branch in range(recipe.branches)]


def start_worker(recipe: Recipe, out: Path, device: str) -> Callable[[Run], None]:
    """A trainer with one thread: for models this small, more threads are slower.

    Args:
        recipe: What is trained.
        out: Where checkpoints are saved.
        device: Always the processor.
    """
    import torch
    from transformers.utils import logging

    from landscape.demo.train import Trainer
    from landscape.points.memory import keep_freed_memory

    assert device == "cpu"
    torch.set_num_threads(1)
    keep_freed_memory()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return Trainer(recipe, out)
