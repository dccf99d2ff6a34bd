"""The barrier matrix that a user gets by default, against the loop that everybody writes: whole processes, in turn.

python benchmarks/headline.py demo small wide
python benchmarks/headline.py --rounds 3 demo --demo DEMO

The usual script imports torch and transformers, loads all checkpoints, tokenizes the text, and for every pair and each
of eleven t interpolates the state dicts, calls ``load_state_dict`` and goes through all examples by a DataLoader, ends
included. Its start counts, as ours does. A truth of 33 Chebyshev points on all examples says how far both are off.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
HERE = Path(__file__)


@dataclass(frozen=True)
class Job:
    """What is compared.

    Attributes:
        seeds: Checkpoints.
        sequences: Examples.
        length: Tokens of an example.
        width: Of the model; 0 is the demo's trained checkpoints.
        layers: Of the model.
        steps: Training steps of each seed on the packaged text.
    """

    seeds: int
    sequences: int
    length: int
    width: int = 64
    layers: int = 2
    steps: int = 200


JOBS = {
    "demo": Job(5, 512, 64),
    "long": Job(5, 3462, 64),
    "many": Job(10, 512, 64),
    "small": Job(3, 128, 128, width=256, layers=6, steps=60),
    "wide": Job(4, 256, 128, width=512, layers=8, steps=30),
}
POINTS = 11


def train(job: Job, folder: Path) -> list[Path]:
    """Trained seeds with their tokenizer: barriers of random weights would be no barriers."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    sys.path.insert(0, str(ROOT))
    from landscape.demo import TRAINING_TEXT

    text = Path(TRAINING_TEXT).read_text("utf-8")
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    made.train_from_iterator([text], trainers.BpeTrainer(vocab_size=512, special_tokens=["<s>"], show_progress=False,
                             initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))  # fmt: skip
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=made)
    ids = torch.tensor(tokenizer(text)["input_ids"])
    out = []
    for seed in range(job.seeds):
        torch.manual_seed(seed)
        config = transformers.GPT2Config(vocab_size=512, n_positions=job.length, n_embd=job.width, n_layer=job.layers,
                                         n_head=4, bos_token_id=None, eos_token_id=None)  # fmt: skip
        model = transformers.GPT2LMHeadModel(config)
        optimizer = torch.optim.AdamW(model.parameters(), 3e-3 if job.width < 200 else 1e-3)
        for _ in range(job.steps):
            starts = torch.randint(len(ids) - job.length, (32, 1))
            batch = ids[starts + torch.arange(job.length)]
            optimizer.zero_grad()
            model(input_ids=batch, labels=batch).loss.backward()
            optimizer.step()
        model.eval().save_pretrained(folder / f"seed_{seed}")
        tokenizer.save_pretrained(folder / f"seed_{seed}")
        out.append(folder / f"seed_{seed}")
    return out


def usual(folders: list[str], sequences: int, length: int, points: int) -> None:
    """The usual script: prints the chord barrier of each pair."""
    import numpy as np
    import torch
    from torch.utils.data import DataLoader
    from transformers import AutoModelForCausalLM, AutoTokenizer

    sys.path.insert(0, str(ROOT))
    from landscape.demo import HELD_OUT_TEXT

    tokenizer = AutoTokenizer.from_pretrained(folders[0], trust_remote_code=False)
    ids = torch.tensor(tokenizer(Path(HELD_OUT_TEXT).read_text("utf-8"))["input_ids"])
    count = len(ids) // length
    chosen = torch.linspace(0, count - 1, sequences, dtype=torch.float64).round().long()
    loader = DataLoader(ids[: count * length].view(count, length)[chosen], batch_size=32)
    models = [AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False).eval() for folder in folders]
    states = [model.state_dict() for model in models]
    model = AutoModelForCausalLM.from_pretrained(folders[0], trust_remote_code=False).eval()
    times = (
        np.linspace(0, 1, points) if points == POINTS else (1 - np.cos(np.pi * np.arange(points) / (points - 1))) / 2
    )
    with torch.no_grad():
        for a, b in itertools.combinations(range(len(folders)), 2):
            means = []
            for t in times:
                model.load_state_dict({k: (1 - t) * v + t * states[b][k] for k, v in states[a].items()})
                means.append(sum(float(model(input_ids=x, labels=x).loss) * len(x) for x in loader) / sequences)
            mean = np.array(means)
            rise = mean - (1 - times) * mean[0] - times * mean[-1]
            print(json.dumps({"pair": [a, b], "barrier": float(rise.max())}), flush=True)


def whole(command: list[str]) -> tuple[float, list[dict[str, Any]]]:
    """Seconds of a process, and what it printed."""
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begin
    assert done.returncode == 0, done.stderr[-2000:]
    return seconds, [json.loads(line) for line in done.stdout.splitlines()]


def chords(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of chord barriers in the order of the pairs."""
    chord = (row for row in rows if row["table"] == "barrier" and row["definition"] == "chord")
    return sorted(chord, key=lambda row: (row["a"], row["b"]))


def compare(name: str, rounds: int, sides: dict[str, list[str]]) -> None:
    """Print a line for each side of a job."""
    job = JOBS[name]
    with tempfile.TemporaryDirectory() as place:
        folders = [str(folder) for folder in train(job, Path(place))]
        size = ["--sequences", str(job.sequences), "--length", str(job.length)]
        loop = [sys.executable, str(HERE), "--usual", *folders, *size]
        ours = [str(Path(sys.executable).with_name("landscape")), "barriers", *folders, *size, "--json"]
        truth = [row["barrier"] for row in whole([*loop, "--points", "33"])[1]]
        seconds: dict[str, list[float]] = {}
        found: dict[str, list[dict[str, Any]]] = {}
        for _ in range(rounds):
            for side, more in {"usual loop": [], **sides}.items():
                took, rows = whole(loop if side == "usual loop" else [*ours, *more])
                seconds.setdefault(side, []).append(took)
                found[side] = rows if side == "usual loop" else chords(rows)
        for side, took in seconds.items():
            ratios = [a / b for a, b in zip(seconds["usual loop"], took, strict=True)]
            rows = found[side]
            off = max(abs(row["barrier"] - true) for row, true in zip(rows, truth, strict=True))
            inside = ""
            if side != "usual loop":
                held = sum(
                    row["low"] - 1e-9 <= true <= row["high"] + 1e-9 for row, true in zip(rows, truth, strict=True)
                )
                widest = max(row["high"] - row["low"] for row in rows) / 2
                inside = f"{held} of {len(rows)} within, widest ± {widest:.4f}"
            print(
                f"| {name} | {side} | {statistics.median(took):.1f} | {statistics.median(ratios):.2f} "
                f"({min(ratios):.2f} to {max(ratios):.2f}) | {off:.4f} | {inside} |",
                flush=True,
            )


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*", default=["demo"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--usual", action="store_true", help="Be the usual script.")
    parser.add_argument("--sequences", type=int)
    parser.add_argument("--length", type=int)
    parser.add_argument("--points", type=int, default=POINTS)
    given = parser.parse_args()
    if given.usual:
        usual(given.jobs, given.sequences, given.length, given.points)
        return
    print(f"{len(os.sched_getaffinity(0))} cores")
    print("| job | side | s | times the usual loop | largest difference from the truth | |\n|---|---|---|---|---|---|")
    sides = {"default": [], "11 points": ["--points", "11"], "half-width 0.02": ["--precision", "0.02"]}
    for name in given.jobs:
        compare(name, given.rounds, sides)


if __name__ == "__main__":
    main()
