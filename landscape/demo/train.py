"""Training of small GPT-2s on the packaged text: seeds, and branches of one seed."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from transformers.utils import logging

from landscape.files import replacing_folder
from landscape.foreign import Pretrained
from landscape.points.memory import keep_freed_memory
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
    divisors: tuple[int, ...] = (16, 8, 4, 2)
    activation: str = "gelu_new"
    text: Path = TRAINING_TEXT
    whole_words: bool = False

    @property
    def saved(self) -> tuple[int, ...]:
        """Steps at which a seed is saved: 0, the powers of two, more steps of each octave if wanted, and the last step.

        >>> Recipe(steps=12).saved
        (0, 1, 2, 4, 8, 12)
        """
        powers = [round(2 ** (k / self.per_octave)) for k in range(self.per_octave * self.steps.bit_length())]
        return (0, *sorted({*(p for p in powers if p < self.steps), self.steps}))

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


@dataclass
class Trainer:
    """Trains jobs; a worker keeps it between them."""

    recipe: Recipe
    out: Path

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer: a byte-level BPE of the training text, or its words."""
        if self.recipe.whole_words:
            return self._words()
        bpe = Tokenizer(models.BPE())
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        bpe.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        size = self.recipe.vocabulary
        trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
        bpe.train_from_iterator([self.recipe.text.read_text("utf-8")], trainer)
        return PreTrainedTokenizerFast(tokenizer_object=bpe)  # type: ignore[no-untyped-call]

    @cached_property
    def ids(self) -> torch.Tensor:
        """Token ids of the training text."""
        return torch.tensor(self.tokenizer(self.recipe.text.read_text("utf-8"), verbose=False)["input_ids"])

    def _words(self) -> PreTrainedTokenizerFast:
        """A token for each word and for the end of a line."""
        known = ["\n", *sorted(set(self.recipe.text.read_text("utf-8").split()))]
        tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(known)}))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split("\n", "isolated"),
            pre_tokenizers.Split(" ", "removed"),
        ])
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer)  # type: ignore[no-untyped-call]

    def __call__(self, run: Run) -> None:
        """Train a job and save its checkpoints, unless they exist."""
        checkpoints = folders(run, self.recipe, self.out)
        if checkpoints[-1].exists():
            return
        model = self._model(run.seed)
        optimizer = _optimizer(model)
        if run.branch_step is None:
            for step, folder in zip(self.recipe.saved, checkpoints, strict=True):
                self._train(model, optimizer, step, order=run.seed)
                self._save(model, folder)
            return
        self._train(model, optimizer, run.branch_step, order=run.seed)
        for branch, folder in enumerate(checkpoints):
            twin = copy.deepcopy(model)
            its = _optimizer(twin)
            its.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            self._train(
                twin, its, self.recipe.steps, order=1_000 + 100 * run.branch_step + branch, begin=run.branch_step
            )
            self._save(twin, folder)

    def _model(self, seed: int) -> Any:
        r = self.recipe
        torch.manual_seed(seed)
        config = GPT2Config(
            vocab_size=len(self.tokenizer), n_positions=r.length, n_embd=r.width, n_layer=r.layers, n_head=r.heads,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=None,
            activation_function=r.activation,
        )  # fmt: skip
        model: Pretrained = GPT2LMHeadModel(config).train()
        model.loss_type = "ForCausalLM"  # the default, set to avoid a warning
        return model

    def _train(self, model: Pretrained, optimizer: Any, end: int, *, order: int, begin: int | None = None) -> None:
        """Continue training to step ``end``; the batch of a step depends on ``order`` and the step only."""
        r = self.recipe
        done = next((int(s["step"]) for s in optimizer.state.values()), 0) if begin is None else begin
        for step in range(done, end):
            random = torch.Generator().manual_seed(order * 1_000_003 + step)
            starts = torch.randint(len(self.ids) - r.length, (r.batch, 1), generator=random)
            batch = self.ids[starts + torch.arange(r.length)]
            for group in optimizer.param_groups:
                group["lr"] = r.rate_at(step)
            optimizer.zero_grad()
            model(input_ids=batch, labels=batch).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    def _save(self, model: Pretrained, folder: Path) -> None:
        """Save a checkpoint atomically."""
        with replacing_folder(folder) as new:
            model.save_pretrained(new)
            self.tokenizer.save_pretrained(new)


def _optimizer(model: Pretrained) -> torch.optim.AdamW:
    """AdamW; its learning rate is set at every step."""
    return torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.1, fused=True)


def start_worker(recipe: Recipe, out: Path, device: str) -> Callable[[Run], None]:
    """A trainer with one thread: for models this small, more threads are slower.

    Args:
        recipe: What is trained.
        out: Where checkpoints are saved.
        device: Always the processor.
    """
    assert device == "cpu"
    torch.set_num_threads(1)
    keep_freed_memory()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return Trainer(recipe, out)
