"""The barrier matrix of a few seeds: this package against the usual loop and against the hardware.

The usual loop is what the field writes: interpolate the state dicts, ``load_state_dict``, a pass of a DataLoader for
each t, both ends again for every pair. Both sides end with the same matrix, which is checked. Each is timed in turn
in one process, and the ratio of each round is what counts. Checkpoints are synthetic: speed does not depend on weights.

    python benchmarks/barriers.py gpt2-256 gpt2-demo            # this CPU
    python benchmarks/barriers.py --device cuda bert-base gpt2  # a GPU; needs torch, transformers, numpy, scipy
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from landscape.checkpoints.configs import fused
from landscape.objectives import Objective, causal_lm, masked_lm
from landscape.points.evaluate import losses, tuner
from landscape.points.strategy import Strategy


@dataclass(frozen=True)
class Shape:
    """A model and the data it is measured on.

    Attributes:
        config: Of the model.
        kind: Causal or masked.
        seeds: Number of checkpoints.
        sequences: Number of examples.
        length: Tokens of each.
        looped: Pairs that the usual loop does, where all would take hours; its seconds are those of all in proportion.
    """

    config: Callable[[], Any]
    kind: str = "causal"
    seeds: int = 4
    sequences: int = 32
    length: int = 128
    looped: int | None = None


def gpt2(width: int, layers: int, heads: int, vocabulary: int, length: int) -> Callable[[], Any]:
    """Config of a GPT-2."""
    return lambda: transformers.GPT2Config(
        n_embd=width, n_layer=layers, n_head=heads, vocab_size=vocabulary, n_positions=length,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip


SHAPES = {
    "gpt2-demo": Shape(gpt2(64, 2, 4, 512, 64), seeds=5, sequences=128, length=64),
    "gpt2-256": Shape(gpt2(256, 6, 8, 4096, 128), sequences=16),
    "gpt2-256-50k": Shape(gpt2(256, 4, 4, 50257, 128), sequences=8),
    "gpt2-512": Shape(gpt2(512, 8, 8, 8192, 128), sequences=8),
    "gpt2": Shape(gpt2(768, 12, 12, 50257, 128), seeds=3, sequences=4),
    "bert-base": Shape(transformers.BertConfig, kind="masked", seeds=3, sequences=4),
    "bert-base-25": Shape(transformers.BertConfig, kind="masked", seeds=25, sequences=16, looped=3),
}
TIMES = np.linspace(0, 1, 11)


def make(kind: str, config: Any) -> Any:
    """A model of transformers."""
    return (transformers.BertForMaskedLM if kind == "masked" else transformers.GPT2LMHeadModel)(config)


def build(shape: Shape, device: str) -> tuple[Objective, Tensor]:
    """The objective and a synthetic point for each seed."""
    torch.manual_seed(0)
    config = fused(shape.config())
    ids = torch.randint(config.vocab_size, (shape.sequences, shape.length))
    if shape.kind == "masked":
        chosen = torch.rand(ids.shape).argsort(dim=1)[:, : round(0.15 * shape.length)].sort(dim=1).values
        batch = {"input_ids": ids, "positions": chosen, "targets": ids.gather(1, chosen)}
        objective = masked_lm.build(make(shape.kind, config), batch)
    else:
        objective = causal_lm.build(make(shape.kind, config), {"input_ids": ids})
    base = objective.space.vector(dict(objective.model.named_parameters()))
    points = torch.stack([base + 0.01 * torch.randn(base.shape) for _ in range(shape.seeds)])
    return objective.to(torch.device(device)), points.to(device)


@torch.no_grad()
def usual(
    shape: Shape, objective: Objective, points: Tensor, batch_size: int, pairs: Sequence[tuple[int, int]]
) -> np.ndarray:
    """Mean loss ``[pairs, t]`` by the usual loop, on the model as its config makes it."""
    model = make(shape.kind, shape.config()).to(points.device).eval()
    model.loss_type = "ForMaskedLM" if "targets" in objective.batch else "ForCausalLM"
    states = []
    for point in points:
        model.load_state_dict(objective.space.params(point), strict=False)
        states.append({name: value.clone() for name, value in model.state_dict().items()})
    ids = labels = objective.batch["input_ids"]
    if "targets" in objective.batch:
        labels = torch.full_like(ids, -100).scatter(1, objective.batch["positions"], objective.batch["targets"])
    loader = DataLoader(TensorDataset(ids, labels), batch_size=batch_size)
    out = []
    for a, b in pairs:
        for t in TIMES.tolist():
            state = {name: (1 - t) * value + t * states[b][name] for name, value in states[a].items()}
            model.load_state_dict(state)
            total = sum(float(model(input_ids=x, labels=y).loss) * len(x) for x, y in loader)
            out.append(total / len(ids))
    return np.array(out).reshape(len(pairs), len(TIMES))


def ours(
    objective: Objective, points: Tensor, strategy: Strategy | None, dtype: Any, pairs: Sequence[tuple[int, int]]
) -> np.ndarray:
    """Mean loss ``[pairs, t]`` by the evaluator, each end once."""
    used = sorted({i for pair in pairs for i in pair})
    rows = torch.zeros(len(used) + len(pairs) * (len(TIMES) - 2), len(points), dtype=torch.float64)
    rows[range(len(used)), used] = 1
    for n, (a, b) in enumerate(pairs):
        own = slice(len(used) + n * (len(TIMES) - 2), len(used) + (n + 1) * (len(TIMES) - 2))
        rows[own, a], rows[own, b] = torch.tensor(1 - TIMES[1:-1]), torch.tensor(TIMES[1:-1])
    mean = losses(objective, points, rows, strategy=strategy, dtype=dtype).double().mean(dim=1).numpy()
    ends = dict(zip(used, mean, strict=False))
    inside = mean[len(used) :].reshape(len(pairs), -1)
    return np.stack([[ends[a], *row, ends[b]] for (a, b), row in zip(pairs, inside, strict=True)])


def matmul_rate(device: str, dtype: str) -> float:
    """Floating-point operations a second of a large matrix product."""
    size = 8192 if device != "cpu" else 2048
    a = torch.randn(size, size, device=device).to(getattr(torch, dtype, torch.float32))
    torch.backends.cuda.matmul.allow_tf32 = dtype == "tf32"
    seconds = best_time(lambda: a @ a, device, 5)
    torch.backends.cuda.matmul.allow_tf32 = False
    return 2 * size**3 / seconds


def best_time(work: Callable[[], object], device: str, rounds: int) -> float:
    """Least seconds of a few rounds, after one that does not count."""
    seconds = []
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    return min(seconds[1:])


def fastest(objective: Objective, points: Tensor, dtype: Any) -> Strategy:
    """What the search ends with, given as much work as it wants."""
    search = tuner(objective, sys.maxsize)
    rows = torch.full((64, len(points)), 1 / len(points), dtype=torch.float64)
    while search.trial:
        losses(objective, points, rows, strategy=search, dtype=dtype)
    return search.best


_worker: dict[str, Any] = {}


def start_worker(name: str, dtype: str) -> None:
    """Set a worker process up: one thread, its own objective, its own timing."""
    torch.set_num_threads(1)
    objective, points = build(SHAPES[name], "cpu")
    strategy = fastest(objective, points, dtype)
    _worker.update(objective=objective, points=points, strategy=strategy, dtype=dtype)


def work(deal: tuple[list[int], list[tuple[int, int]]]) -> tuple[np.ndarray, np.ndarray]:
    """Losses at some ends and between some pairs."""
    ends, pairs = deal
    one = torch.eye(len(_worker["points"]), dtype=torch.float64)
    between = [(1 - t) * one[a] + t * one[b] for a, b in pairs for t in TIMES[1:-1].tolist()]
    rows = torch.cat([one[ends], torch.stack(between)])
    w = _worker
    values = losses(w["objective"], w["points"], rows, strategy=w["strategy"], dtype=w["dtype"])
    mean = values.double().mean(dim=1).numpy()
    return mean[: len(ends)], mean[len(ends) :].reshape(len(pairs), -1)


def workers(pool: Any, count: int, seeds: int, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """As :func:`ours`, with the ends and the pairs dealt out to worker processes."""
    deals = [(list(range(seeds))[k::count], list(pairs)[k::count]) for k in range(count)]
    ends: dict[int, float] = {}
    inside: dict[tuple[int, int], np.ndarray] = {}
    for (own, some), (end, rows) in zip(deals, pool.map(work, deals), strict=True):
        ends.update(zip(own, end, strict=True))
        inside.update(zip(some, rows, strict=True))
    return np.stack([[ends[a], *inside[a, b], ends[b]] for a, b in pairs])


def rounds(sides: dict[str, Callable[[], np.ndarray]], count: int, device: str) -> dict[str, list[float]]:
    """Seconds of each side, in turn, ``count`` times."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(count):
        for name, side in sides.items():
            begin = time.perf_counter()
            side()
            if device != "cpu":
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


def run(name: str, device: str, dtype: Sequence[str], count: int) -> list[dict[str, Any]]:
    """All rows of one shape."""
    shape = SHAPES[name]
    objective, points = build(shape, device)
    pairs = list(combinations(range(shape.seeds), 2))
    evaluated = shape.seeds + len(pairs) * (len(TIMES) - 2)
    cores = len(os.sched_getaffinity(0)) if device == "cpu" else 1
    sides: dict[str, Callable[[], np.ndarray]] = {}

    sizes = (8, 32) if device == "cpu" else (32, 128)
    trial = {n: best_time(lambda n=n: usual(shape, objective, points, n, pairs[:1]), device, 3) for n in sizes}  # type: ignore[misc]
    size = min(trial, key=lambda n: trial[n])
    looped = pairs[: shape.looped]
    sides["usual loop"] = lambda: usual(shape, objective, points, size, looped)
    exact = sides["usual loop"]()

    pools, labels = [], {}
    for kind in dtype:
        best = fastest(objective, points, kind)
        strategies = {"chosen": best}
        if device != "cpu" and shape.looped is None:
            strategies["loop"] = Strategy("loop", 1, best.examples)
            strategies["vmap"] = best if best.kind == "vmap" else Strategy("vmap", 4, max(1, best.examples // 4))
        for label, strategy in strategies.items():
            key = f"{label} {kind}"
            labels[key] = (kind, f"{strategy.kind} {strategy.points}x{strategy.examples}")
            sides[key] = lambda s=strategy, k=kind: ours(objective, points, s, k, pairs)  # type: ignore[misc]
        if cores > 1:
            pool = multiprocessing.get_context("spawn").Pool(cores, start_worker, (name, kind))
            pools.append(pool)
            key = f"{cores} workers {kind}"
            labels[key] = (kind, f"{cores} processes of 1 thread")
            sides[key] = lambda p=pool: workers(p, cores, shape.seeds, pairs)  # type: ignore[misc]

    error = {key: float(np.abs(side()[: len(looped)] - exact).max()) for key, side in sides.items()}
    assert all(e < 1e-4 for key, e in error.items() if labels.get(key, [""])[0] in ("", "float32")), error
    seconds = rounds(sides, count, device)
    seconds["usual loop"] = [s * len(pairs) / len(looped) for s in seconds["usual loop"]]
    for pool in pools:
        pool.terminate()

    with FlopCounterMode(display=False) as flops:
        objective.measure(objective.model, objective.part(0, 1))
    per_point = flops.get_total_flops() * shape.sequences
    rate = {kind: matmul_rate(device, kind) for kind in dtype}
    out = []
    for key in sides:
        median = statistics.median(seconds[key])
        kind, how = labels.get(key, ("float32", f"batches of {size}"))
        ratios = [u / o for u, o in zip(seconds["usual loop"], seconds[key], strict=True)]
        points_done = evaluated if key != "usual loop" else len(pairs) * len(TIMES)
        out.append({
            "shape": name, "side": key, "how": how, "seconds": round(median, 3),
            "points_per_s": round(points_done / median, 2),
            "speedup": round(statistics.median(ratios), 2),
            "speedup_range": [round(min(ratios), 2), round(max(ratios), 2)],
            "matmul_share": round(points_done * per_point / median / rate[kind], 3),
            "max_error": float(f"{error[key]:.1g}"),
        })  # fmt: skip
    rates = ", ".join(f"{kind} {r / 1e9:,.0f} GFLOP/s" for kind, r in rate.items())
    print(f"{name}: matrix product {rates}", file=sys.stderr)
    return out


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", nargs="*", default=["gpt2-demo", "gpt2-256"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", nargs="*", default=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    where = torch.cuda.get_device_name() if options.device != "cpu" else f"{len(os.sched_getaffinity(0))} cores"
    print(f"{where}, torch {torch.__version__}, transformers {transformers.__version__}")
    if not options.json:
        print("| shape | side | how | s | points/s | times the usual loop | share of matmul | largest error |")
        print("|---|---|---|---|---|---|---|---|")
    for r in (row for shape in options.shapes for row in run(shape, options.device, options.dtype, options.rounds)):
        if options.json:
            print(json.dumps(r), flush=True)
            continue
        low, high = r["speedup_range"]
        print(f"| {r['shape']} | {r['side']} | {r['how']} | {r['seconds']} | {r['points_per_s']} "
              f"| {r['speedup']} ({low} to {high}) | {r['matmul_share']:.0%} | {r['max_error']:.0e} |")  # fmt: skip


if __name__ == "__main__":
    main()
