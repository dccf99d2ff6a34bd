"""Points in generic position, tiny models of the real classes, and folders of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

TIMES = torch.tensor([0.13, 0.5, 0.71], dtype=torch.float64)
WORDS = 60
TEXT = " ".join(f"w{n * n % 53}" for n in range(1, 2000))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gpt2(seed: int = 0, **changes: Any) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    settings = {"vocab_size": WORDS, "n_positions": 24, "n_embd": 12, "n_layer": 2, "n_head": 3}
    config = GPT2Config(**{**settings, "bos_token_id": None, "eos_token_id": None, **changes})
    return rough(GPT2LMHeadModel(config))


def bert(seed: int = 0, kind: type = BertForMaskedLM, **changes: Any) -> Any:
    torch.manual_seed(seed)
    settings = {"vocab_size": WORDS, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3}
    config = BertConfig(**{
        **settings,
        "intermediate_size": 20,
        "max_position_embeddings": 32,
        "pad_token_id": 3,
        **changes,
    })
    return rough(kind(config))


def classifier(seed: int = 0, **changes: Any) -> Any:
    return bert(seed, BertForSequenceClassification, num_labels=3, **changes)


def rough(model: Any) -> Any:
    """The model with weights far from their initial zeros and ones, in evaluation mode."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape) / math.sqrt(1 + parameter.shape[-1] / 12))
    return model.eval()


def auto(config: Any, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return rough(AutoModelForCausalLM.from_config(config))


def tokenizer() -> PreTrainedTokenizerFast:
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    vocabulary = {word: n for n, word in enumerate([*special, *(f"w{n}" for n in range(53))])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]",
        mask_token="[MASK]",
    )  # fmt: skip


def save(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def study(folder: Path, **changes: str) -> Path:
    """A study file over ``folder/seed_{seed}/step_{step}`` with its text."""
    (folder / "text.txt").write_text(TEXT)
    data = {"objective": '"causal-lm"', "text": '"text.txt"', "sequences": "20", "length": "12"} | changes
    extra = data.pop("measure", "")
    file = folder / "study.toml"
    file.write_text(
        'version = 1\nname = "tiny"\n[checkpoints]\nfolder = "seed_{seed}/step_{step}"\n[data]\n'
        + "".join(f"{key} = {value}\n" for key, value in data.items())
        + f'[[measure]]\nkind = "barriers"\npoints = 5\nresamples = 200\n{extra}\n'
    )
    return file


def runs(folder: Path, seeds: int = 3, steps: tuple[int, ...] = (0, 10)) -> Path:
    """Checkpoints of a few random models."""
    for seed in range(seeds):
        for step in steps:
            save(gpt2(1 + seed + 10 * step), folder / f"seed_{seed}" / f"step_{step}")
    return folder


class Bowl(nn.Module):
    """Loss ``sum_i h_i w_i^2 x_e`` of example e: a barrier in closed form."""

    def __init__(self, curvature: Tensor) -> None:
        super().__init__()
        self.register_buffer("curvature", curvature)
        self.w = nn.Parameter(torch.zeros(len(curvature), dtype=curvature.dtype))

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.curvature * self.w**2).sum()


def examples(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def bert_like(kind: type, config: type, **changes: Any) -> Any:
    torch.manual_seed(1)
    settings = {"vocab_size": WORDS, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3}
    return rough(kind(config(**settings, intermediate_size=20, max_position_embeddings=40, pad_token_id=3, **changes)))
