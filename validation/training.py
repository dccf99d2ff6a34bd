"""Train five architectures, four seeds each, and write the profiles along paths between them: four minutes.

python validation/training.py    # writes trained_profiles.npz, which trained.py and a test read
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from trained import EXAMPLES, FILE, Trained

from landscape.profile import nodes

LENGTH, TOKENS, SEEDS = 32, 256, 4
SAMPLE = 64
"""Examples on which profiles are evaluated."""


def main() -> None:
    """Write the file."""
    found = list(train())
    np.savez_compressed(
        FILE, names=np.array([p.name for p in found]), halves=np.array([p.half for p in found]),
        lengths=np.array([len(p.rise) for p in found]),
        rises=np.concatenate([p.rise for p in found]).astype(np.float32),
    )  # fmt: skip


def train() -> Iterator[Trained]:
    """Profiles of five architectures."""
    for name, family in families().items():
        runs = runs_of(name, *family)
        yield from (*straight(runs), *bent(runs))


Draw = Callable[[int, Any], dict[str, Any]]
Build = Callable[[Any, dict[str, Any]], Any]


def families() -> dict[str, tuple[Callable[[], Any], tuple[int, ...], Draw, Draw, Build]]:
    """What makes a model; its training steps; what draws training and held-out examples; what builds its objective."""
    import torch
    import transformers as hf
    from torch import nn

    from landscape.objectives import causal_lm, masked_lm, module
    from landscape.texts import HELD_OUT_TEXT, TRAINING_TEXT

    texts = [Path(text).read_text("utf-8") for text in (TRAINING_TEXT, HELD_OUT_TEXT)]
    code = {letter: number for number, letter in enumerate(sorted(set("".join(texts))))}
    train_ids, held_out = (
        torch.tensor([(7 * code[a] + 31 * code[b]) % TOKENS for a, b in zip(t[::2], t[1::2], strict=False)])
        for t in texts
    )

    def sentences(ids: Any, count: int, random: Any) -> dict[str, Any]:
        starts = torch.randint(len(ids) - LENGTH, (count, 1), generator=random)
        return {"input_ids": ids[starts + torch.arange(LENGTH)]}

    def masked(ids: Any, count: int, random: Any) -> dict[str, Any]:
        whole = sentences(ids, count, random)["input_ids"]
        places = torch.rand(whole.shape, generator=random).argsort(1)[:, :5].sort(1).values
        hidden = whole.scatter(1, places, TOKENS)
        return {"input_ids": hidden, "positions": places, "targets": whole.gather(1, places)}

    from sklearn.datasets import load_digits

    pictures, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    pixels, digits = torch.tensor(pictures[order] / 16).float(), torch.tensor(labels[order])

    def drawn(first: int, last: int, count: int, random: Any) -> dict[str, Any]:
        chosen = torch.randint(first, last, (count,), generator=random)
        return {"inputs": pixels[chosen], "labels": digits[chosen]}

    def of_digits(model: Any, batch: dict[str, Any]) -> Any:
        loss = partial(nn.functional.cross_entropy, reduction="none")
        return module.build(model, batch, lambda out, b: loss(out, b["labels"]))

    def perceptron() -> Any:
        return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    size = {"vocab_size": TOKENS, "hidden_size": 48, "num_attention_heads": 4, "max_position_embeddings": LENGTH}
    gpt2 = hf.GPT2Config(vocab_size=TOKENS, n_positions=LENGTH, n_embd=48, n_layer=2, n_head=4, bos_token_id=None,
                         eos_token_id=None)  # fmt: skip
    neox = hf.GPTNeoXConfig(**size, num_hidden_layers=3, intermediate_size=128)
    llama = hf.LlamaConfig(**size, num_hidden_layers=2, num_key_value_heads=4, intermediate_size=96)
    bert = hf.BertConfig(**{**size, "vocab_size": TOKENS + 1}, num_hidden_layers=2, intermediate_size=128)
    text = (20, 60, 200), partial(sentences, train_ids), partial(sentences, held_out), causal_lm.build
    return {
        "gpt2": (lambda: hf.GPT2LMHeadModel(gpt2), *text),
        "gpt_neox": (lambda: hf.GPTNeoXForCausalLM(neox), *text),
        "llama": (lambda: hf.LlamaForCausalLM(llama), *text),
        "bert": (lambda: hf.BertForMaskedLM(bert), (20, 60, 200), partial(masked, train_ids), partial(masked, held_out),
                 masked_lm.build),
        "mlp": (perceptron, (10, 60, 400), partial(drawn, 0, 1200), partial(drawn, 1200, len(digits)), of_digits),
    }  # fmt: skip


@dataclass(frozen=True)
class Runs:
    """Trained checkpoints of one architecture.

    Attributes:
        name: Of the architecture.
        steps: Training steps that are kept.
        objective: On held-out examples.
        fitting: On training examples.
        points: Of each seed, one for each step.
    """

    name: str
    steps: tuple[int, ...]
    objective: Any
    fitting: Any
    points: list[list[Any]]


def generator(seed: int) -> Any:
    """Random numbers."""
    import torch

    return torch.Generator().manual_seed(seed)


def runs_of(
    name: str, make: Callable[[], Any], steps: tuple[int, ...], training: Draw, held_out: Draw, build: Build
) -> Runs:
    """Train the seeds of an architecture."""
    import torch

    torch.manual_seed(0)
    objective = build(make(), held_out(SAMPLE, generator(0)))
    fitting = build(make(), training(EXAMPLES, generator(1)))

    def run(seed: int) -> list[Any]:
        torch.manual_seed(seed)
        model, random, points = make().train(), generator(seed + 100), []
        optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
        for step in range(1, max(steps) + 1):
            optimizer.zero_grad()
            fitting.measure(model, training(32, random))["loss"].mean().backward()
            optimizer.step()
            if step in steps:
                points.append(objective.space.vector(dict(model.named_parameters())).detach().clone())
        return points

    return Runs(name, steps, objective, fitting, [run(seed) for seed in range(SEEDS)])


def profile(runs: Runs, what: str, kind: str, anchors: list[Any], pieces: int = 1) -> Trained:
    """The profile of a path."""
    import torch

    from landscape import paths
    from landscape.points.evaluate import losses
    from landscape.points.strategy import Strategy

    t = nodes.grid(pieces)
    times = torch.tensor(t)
    rows = paths.kind(kind).coefficients(times, anchors, runs.objective.space.sizes)
    found = losses(runs.objective, anchors, rows, strategy=Strategy(examples=SAMPLE)).double().numpy()
    rise = found - (1 - t)[:, None] * found[0] - t[:, None] * found[-1]
    mean = rise.mean(axis=1)
    half = 1.96 * rise[mean.argmax()].std(ddof=1) / EXAMPLES**0.5
    return Trained(f"{runs.name}, {what}", mean, float(half))


def straight(runs: Runs) -> Iterator[Trained]:
    """Pairs of seeds at each step, of steps of one run, and aligned pairs."""
    from landscape.symmetry.group import element
    from landscape.symmetry.search import descent
    from landscape.symmetry.tables import table_of

    points, pairs, space = runs.points, list(combinations(range(SEEDS), 2)), runs.objective.space
    for k, (i, j) in ((k, pair) for k in range(len(runs.steps)) for pair in pairs):
        yield profile(runs, f"step {runs.steps[k]}", "linear", [points[i][k], points[j][k]])
    for i, k in ((i, k) for i in range(SEEDS - 1) for k in range(2)):
        yield profile(runs, "one run", "linear", [points[i][k], points[i][-1]])
    table = table_of(runs.objective.model)
    for i, j in pairs:
        a, b = ({n: v.double() for n, v in space.params(points[x][-1]).items()} for x in (i, j))
        moved = element.apply(table, b, descent.align(table, a, b, generator(0)).element)
        yield profile(runs, "aligned", "linear", [points[i][-1], space.vector(moved).float()])


def bent(runs: Runs) -> Iterator[Trained]:
    """Arcs, fitted curves, and chains by a third seed."""
    import torch

    from landscape.catalogue import PATHS
    from landscape.paths import fit
    from landscape.points.gradients import values_and_grads

    def gradient(point: Any, examples: Any) -> Any:
        loss, gradients = values_and_grads(runs.fitting, point[None], examples)
        return loss[0], gradients[0]

    last = [points[-1] for points in runs.points]
    for a, b in (last[:2], last[2:]):
        yield from (profile(runs, kind, kind, [a, b]) for kind in PATHS if kind != "linear")
        for kind in ("bezier", "polychain"):
            recipe, ends = fit.FitSettings(kind=kind, steps=100), torch.stack([a, b])
            bend = fit.fit(ends, gradient, EXAMPLES, recipe, fit.start(ends, 1), seed=0).inner[0]
            yield profile(runs, kind, kind, [a, bend, b], 2 if kind == "polychain" else 1)
    for i, j, k in ((0, 1, 2), (1, 2, 3), (2, 0, 3)):
        a, b, c = (last[x] for x in (i, j, k))
        yield profile(runs, "a chain by a third seed", "polychain", [a, (a + b) / 2 + 0.3 * (c - a), b], 2)


if __name__ == "__main__":
    main()
