"""Tiny checkpoints with random weights, for the scripts beside this file."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
import transformers as T
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

__all__ = ["Path", "T", "gpt2", "json", "os", "save", "shutil", "text", "tok", "torch", "true_loss"]

T.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
WORDS = "the quick brown fox jumps over a lazy dog while seven small birds sing under old grey stones near cold rivers"
SPECIAL = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>", "unk_token": "<unk>"}


def text(seed: int = 0, words: int = 6000, offset: int = 0) -> str:
    """Words drawn by Zipf's law; ``offset`` says which is the most frequent."""
    known = WORDS.split()
    weights = torch.arange(1, len(known) + 1).float().reciprocal()
    drawn = torch.multinomial(weights, words, replacement=True, generator=torch.Generator().manual_seed(seed))
    return " ".join(known[(n + offset) % len(known)] for n in drawn.tolist()) + "\n"


def tok(source: str, size: int = 290) -> Any:
    """A tokenizer of byte pairs, trained on a text."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = list(SPECIAL.values())
    made.train_from_iterator(
        [source],
        trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False, initial_alphabet=alphabet),
    )
    names = {name: token for name, token in SPECIAL.items() if name != "unk_token"}
    return T.PreTrainedTokenizerFast(tokenizer_object=made, **names, cls_token="<s>", sep_token="</s>")


def save(model: Any, folder: str | Path, tokenizer: Any, noise: float = 0.15) -> Any:
    """Save a model away from its initial weights, with a tokenizer."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * noise)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


def gpt2(folder: str | Path, seed: int, tokenizer: Any, cls: Any = None, **changes: Any) -> Any:
    """Save a small GPT-2."""
    torch.manual_seed(seed)
    usual = {"vocab_size": 300, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "bos_token_id": 1}
    config = T.GPT2Config(**{**usual, "eos_token_id": 2, **changes})
    return save((cls or T.GPT2LMHeadModel)(config), folder, tokenizer)


def true_loss(cls: Any, folder: str, tokenizer: Any, file: str, sequences: int = 32, length: int = 16) -> float:
    """Loss of ``from_pretrained`` on stretches that are spread evenly over a text."""
    model = cls.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.tensor(tokenizer(Path(file).read_text(), add_special_tokens=False)["input_ids"])
    count = len(ids) // length
    chosen = torch.linspace(0, count - 1, sequences, dtype=torch.float64).round().long()
    batch = ids[: count * length].view(count, length)[chosen]
    with torch.no_grad():
        logits = model(input_ids=batch).logits.float()
    return float(torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), batch[:, 1:]))
