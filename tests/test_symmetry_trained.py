"""Trained models of every architecture: a planted element makes a barrier, and alignment removes it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from architectures import barrier, point, resnet, vgg, vit
from cases import bert, gpt2
from sklearn.datasets import load_digits
from torch import Tensor, nn
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM

from landscape.demo.recipe import Recipe
from landscape.demo.train import Trainer
from landscape.objectives import Objective, causal_lm, masked_lm, module
from landscape.symmetry import align
from landscape.symmetry.group import canonical, move
from landscape.symmetry.group.element import draw
from landscape.symmetry.group.move import Move
from landscape.symmetry.settings import AlignSettings
from landscape.symmetry.tables import table_of

LENGTH, STEPS = 32, 200
SIZE = {"vocab_size": 512, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "max_position_embeddings": 64}  # fmt: skip


@cache
def words() -> Tensor:
    from pathlib import Path

    return Trainer(Recipe(), Path()).ids


def chain() -> Tensor:
    """Tokens of which most have one successor, so that a small masked model has something to learn soon."""
    random = torch.Generator().manual_seed(0)
    after, ids = torch.randperm(55, generator=random), [0]
    for jump, anywhere in zip(torch.rand(60_000, generator=random), torch.randint(55, (60_000,), generator=random),
                              strict=True):  # fmt: skip
        ids.append(int(anywhere) if jump < 0.1 else int(after[ids[-1]]))
    return torch.tensor(ids) + 5


def language(model: Any, masked: bool = False) -> Objective:
    """A language model after a few hundred steps on the packaged novel, or the chain, and its loss on the end of it."""
    ids = chain() if masked else words()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for step in range(2 * STEPS if masked else STEPS):
        random = torch.Generator().manual_seed(step)
        rows = ids[torch.randint(len(ids) - 9000, (16, 1), generator=random) + torch.arange(LENGTH)]
        inputs, labels = rows, rows
        if masked:
            hidden = torch.rand(rows.shape, generator=random) < 0.3
            inputs, labels = rows.masked_fill(hidden, 3), rows.masked_fill(~hidden, -100)
        optimizer.zero_grad()
        model(input_ids=inputs, labels=labels).loss.backward()
        optimizer.step()
    held = ids[-40 * LENGTH :].view(40, LENGTH)
    if not masked:
        return causal_lm.build(model, {"input_ids": held})
    places = torch.arange(4) * 7 + 3
    shown = held.index_fill(1, places, 3)
    return masked_lm.build(model, {"input_ids": shown, "positions": places.repeat(40, 1), "targets": held[:, places]})


def images(model: Any, field: str, norms: bool = False) -> Objective:
    """A classifier of scikit-learn's digits, in three equal colours."""
    data = load_digits()
    x = (torch.tensor(data.images, dtype=torch.float32) / 8 - 1)[:, None].repeat(1, 3, 1, 1)
    y = torch.tensor(data.target)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    model.train()
    for step in range(STEPS):
        some = torch.randint(1200, (64,), generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        out = model(x[some])
        F.cross_entropy(getattr(out, "logits", out), y[some]).backward()
        optimizer.step()
    batch = {field: x[1500:], "labels": y[1500:]}

    def loss(out: Any, part: dict[str, Tensor]) -> Tensor:
        return F.cross_entropy(getattr(out, "logits", out), part["labels"], reduction="none")

    statistics = ({field: x[:400], "labels": y[:400]},) if norms else ()
    return module.build(model, batch, loss, inputs=(field,), statistics=statistics)


def perceptron() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 40), nn.ReLU(), nn.Linear(40, 30), nn.Tanh(), nn.Linear(30, 10))


def small(config: Callable[..., Any], **more: Any) -> Any:
    return config(**SIZE, intermediate_size=96, **more)


TRAINED: dict[str, Callable[[], Objective]] = {
    "bert": lambda: language(bert(hidden_size=48, num_attention_heads=4, intermediate_size=96,
                                  hidden_dropout_prob=0.0), masked=True),
    "gpt2": lambda: language(gpt2(vocab_size=512, n_positions=64, n_embd=48, n_head=4)),
    "gpt2 untied": lambda: language(gpt2(vocab_size=512, n_positions=64, n_embd=48, n_head=4,
                                         tie_word_embeddings=False)),
    "gpt_neox": lambda: language(GPTNeoXForCausalLM(small(GPTNeoXConfig))),
    "llama": lambda: language(LlamaForCausalLM(small(LlamaConfig, num_key_value_heads=2))),
    "vit": lambda: images(vit(10), "pixel_values"),
    "resnet": lambda: images(resnet("bottleneck", 10), "pixel_values", norms=True),
    "perceptron": lambda: images(perceptron(), "inputs"),
    "vgg": lambda: images(vgg(norm=False, classes=10), "inputs"),
    "vgg with norms": lambda: images(vgg(norm=True, classes=10), "inputs", norms=True),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_a_planted_barrier_is_taken_out_of_a_trained_model(name: str) -> None:
    """Orders and maps are planted that keep the norm; raw above 0.3 nats, aligned below 1e-4."""
    torch.manual_seed(0)
    objective = TRAINED[name]()
    here, table = point(objective), table_of(objective.model)
    params = objective.space.params(here)
    for seed in range(2):
        element = draw(table, torch.Generator().manual_seed(seed), stretch=seed == 1)
        planted = Move(element, canonical.gains(table, params))
        there = move.moved(table, objective.space, here, planted)
        raw = barrier(objective, here, there)
        found = align.align(table, [lambda: here, lambda there=there: there], "weights", AlignSettings(), objective)[1]
        aligned = barrier(objective, here, move.moved(table, objective.space, there, found.move))
        print(f"{name}: raw {raw:.3f}, aligned {aligned:.1e}")
        assert raw > 0.3 and abs(aligned) < 1e-4
