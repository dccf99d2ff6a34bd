"""Training of small GPT-2s on the packaged text: seeds, and branches of one seed."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from landscape.demo.recipe import Recipe, Run, folders
from landscape.files import replacing_folder
from landscape.foreign import Pretrained


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
