"""The barrier matrix that a user gets by default, against the loop that everybody writes: whole processes, in turn.

python benchmarks/headline.py demo small wide
python benchmarks/headline.py --rounds 3 --sides default auto --start demo
python benchmarks/headline.py wide --rounds 1 --folder trained --in-proportion

The usual script imports torch and transformers, loads all checkpoints, tokenizes the text, and for every pair and each
t of an even grid interpolates the state dicts, calls ``load_state_dict`` and goes through all examples by a DataLoader,
ends included. Its start counts, as ours does. It runs with the eleven points that are usual, and with the fewest of 11,
21, 41 and 81 at which no barrier is off by more than a quarter of our widest interval, which is what ours allows the
error between points to be: an equal result. The truth is the polynomial through 33 Chebyshev points on all examples.
Where the loop takes an hour, ``--in-proportion`` takes the start of the truth and n / 33 of its other seconds for the
loop of n points: the truth is the same script. Where it takes longer still, ``--pairs 1`` runs the truth on the first
pair alone, and takes as long for each other pair. ``--folder`` keeps the trained checkpoints for another sitting.
"""

from __future__ import annotations

import argparse
import contextlib
import io
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
POINTS, GRIDS, DENSE = 11, (11, 21, 41, 81), 33


def train(job: Job, folder: Path) -> list[Path]:
    """Trained seeds with their tokenizer: barriers of random weights would be no barriers. What is there stays."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    sys.path.insert(0, str(ROOT))
    from landscape.texts import TRAINING_TEXT

    text = Path(TRAINING_TEXT).read_text("utf-8")
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    made.train_from_iterator([text], trainers.BpeTrainer(vocab_size=512, special_tokens=["<s>"], show_progress=False,
                             initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))  # fmt: skip
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=made)
    ids = torch.tensor(tokenizer(text)["input_ids"])
    out = [folder / f"seed_{seed}" for seed in range(job.seeds)]
    for seed, place in enumerate(out):
        if (place / "tokenizer.json").exists():
            continue
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
        model.eval().save_pretrained(place)
        tokenizer.save_pretrained(place)
    return out


def usual(folders: list[str], sequences: int, length: int, points: int, most: int | None) -> None:
    """The usual script: prints the chord barrier of each pair, or of the first ones, and the seconds it took."""
    import numpy as np
    import torch
    from torch.utils.data import DataLoader
    from transformers import AutoModelForCausalLM, AutoTokenizer

    sys.path.insert(0, str(ROOT))
    from landscape.texts import HELD_OUT_TEXT

    tokenizer = AutoTokenizer.from_pretrained(folders[0], trust_remote_code=False)
    ids = torch.tensor(tokenizer(Path(HELD_OUT_TEXT).read_text("utf-8"))["input_ids"])
    count = len(ids) // length
    chosen = torch.linspace(0, count - 1, sequences, dtype=torch.float64).round().long()
    loader = DataLoader(ids[: count * length].view(count, length)[chosen], batch_size=32)
    models = [AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False).eval() for folder in folders]
    states = [model.state_dict() for model in models]
    model = AutoModelForCausalLM.from_pretrained(folders[0], trust_remote_code=False).eval()
    times = np.linspace(0, 1, points) if points in GRIDS else (1 - np.cos(np.pi * np.arange(points) / (points - 1))) / 2
    with torch.no_grad():
        for a, b in itertools.islice(itertools.combinations(range(len(folders)), 2), most):
            begin, means = time.perf_counter(), []
            for t in times:
                model.load_state_dict({k: (1 - t) * v + t * states[b][k] for k, v in states[a].items()})
                means.append(sum(float(model(input_ids=x, labels=x).loss) * len(x) for x in loader) / sequences)
            mean = np.array(means)
            rise = mean - (1 - times) * mean[0] - times * mean[-1]
            took = time.perf_counter() - begin
            print(json.dumps({"barrier": float(rise.max()), "rise": rise.tolist(), "seconds": took}), flush=True)


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


def read(rise: list[float], points: int) -> float:
    """The largest rise on an even grid, of the polynomial through values at Chebyshev points."""
    import numpy as np
    from scipy.interpolate import BarycentricInterpolator

    t = (1 - np.cos(np.pi * np.arange(len(rise)) / (len(rise) - 1))) / 2
    return float(BarycentricInterpolator(t, rise, rng=0)(np.linspace(0, 1, points)).max())


def compare(
    name: str, rounds: int, sides: dict[str, list[str]], folder: Path, in_proportion: bool, most: int | None
) -> None:
    """Print a line for each side of a job."""
    job = JOBS[name]
    folders = [str(seed) for seed in train(job, folder / name)]
    size = ["--sequences", str(job.sequences), "--length", str(job.length)]
    loop = [sys.executable, str(HERE), "--usual", *folders, *size]
    ours = [str(Path(sys.executable).with_name("landscape")), "barriers", *folders, *size, "--json"]
    pairs = job.seeds * (job.seeds - 1) // 2
    whole_truth, rows = whole([*loop, "--points", str(DENSE), "--pairs", str(most or pairs)])
    each = statistics.mean(row["seconds"] for row in rows)
    begin = whole_truth - each * len(rows)
    dense = [row["rise"] for row in rows]
    truth = [read(rise, 2001) for rise in dense]
    first = chords(whole([*ours, *next(iter(sides.values()))])[1])
    allowed = max(row["high"] - row["low"] for row in first) / 4
    off = {n: max(abs(read(rise, n) - true) for rise, true in zip(dense, truth, strict=True)) for n in GRIDS}
    equal = next((n for n in GRIDS if off[n] <= allowed), GRIDS[-1])
    loops = {f"usual loop, {n} points": n for n in sorted({POINTS, equal})}
    seconds: dict[str, list[float]] = {side: [] for side in [*loops, *sides]}
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for side, n in loops.items():
            if in_proportion:
                took, rows = begin + pairs * each * n / DENSE, [{"barrier": read(rise, n)} for rise in dense]
            else:
                took, rows = whole([*loop, "--points", str(n)])
            seconds[side].append(took)
            found[side] = rows
        for side, more in sides.items():
            took, rows = whole([*ours, *more])
            seconds[side].append(took)
            found[side] = chords(rows)[: len(truth)]
    for side, all_took in seconds.items():
        against = [ratio(seconds[f"usual loop, {n} points"], all_took) for n in (POINTS, equal)]
        words = [name, side, f"{statistics.median(all_took):.1f}", *against, errors(found[side], truth)]
        print(f"| {' | '.join(words)} |", flush=True)


def ratio(theirs: list[float], mine: list[float]) -> str:
    """How many times as long they take: the median of the rounds, with the least and the greatest."""
    ratios = [a / b for a, b in zip(theirs, mine, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def errors(rows: list[dict[str, Any]], truth: list[float]) -> str:
    """The largest difference from the truth; how many intervals hold it, and the widest."""
    off = max(abs(row["barrier"] - true) for row, true in zip(rows, truth, strict=True))
    if "low" not in rows[0]:
        return f"{off:.4f} | knows no error"
    held = sum(row["low"] <= true <= row["high"] for row, true in zip(rows, truth, strict=True))
    widest = max(row["high"] - row["low"] for row in rows) / 2
    return f"{off:.4f} | {held} of {len(rows)} within, widest ± {widest:.4f}"


def start(rounds: int) -> None:
    """Print how late two tiny checkpoints begin their first forward pass, and the memory of both processes."""
    with tempfile.TemporaryDirectory() as place:
        folders = [str(folder) for folder in train(Job(2, 32, 32, width=32, layers=1, steps=5), Path(place))]
        found: dict[str, list[tuple[float, float]]] = {"script": [], "ours": []}
        for _ in range(rounds):
            for side, rows in found.items():
                command = [sys.executable, str(HERE), *folders, "--first", side, "--begun", str(time.time())]
                (row,) = whole(command)[1]
                rows.append((row["seconds"], row["memory"]))
        late, memory = ([a[k] / b[k] for a, b in zip(found["ours"], found["script"], strict=True)] for k in (0, 1))
        print(f"first forward pass: {statistics.median(late):.2f} ({min(late):.2f} to {max(late):.2f}) times as late; "
              f"memory {statistics.median(memory):.2f} times the script's")  # fmt: skip


def growth(rounds: int, folder: Path) -> None:
    """Print how the seconds of the default grow: slopes on a log-log scale, the start of the command left out."""
    import numpy as np

    axes = {"seeds": (3, 5, 10), "sequences": (256, 512, 1024), "length": (16, 32, 64)}
    folders = [str(seed) for seed in train(JOBS["many"], folder / "many")]

    def seconds(seeds: int = 5, sequences: int = 512, length: int = 64) -> float:
        words = [*folders[:seeds], "--sequences", str(sequences), "--length", str(length), "--json"]
        command = [str(Path(sys.executable).with_name("landscape")), "barriers", *words]
        return statistics.median(whole(command)[0] for _ in range(rounds))

    begin = seconds(2, 2, 4)
    for axis, sizes in axes.items():
        took = [seconds(**{axis: size}) - begin for size in sizes]
        slope = float(np.polyfit(np.log(sizes), np.log(took), 1)[0])
        print(f"| {axis} | {', '.join(map(str, sizes))} | {', '.join(f'{t:.1f}' for t in took)} | {slope:.2f} |")


def first_pass(folders: list[str], side: str, begun: float) -> None:
    """Print the seconds until the first forward pass of a model, and the largest memory at the end in KiB."""
    import torch

    seen: list[float] = []
    torch.nn.modules.module.register_module_forward_pre_hook(lambda *_: seen.append(time.time() - begun))
    if side == "script":
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folders[0], trust_remote_code=False)
        models = [AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False).eval() for folder in folders]
        ids = torch.tensor(tokenizer("It is a truth universally acknowledged. " * 200)["input_ids"][: 32 * 32])
        with torch.no_grad():
            for model in models:
                model(input_ids=ids.view(32, 32), labels=ids.view(32, 32))
    else:
        from landscape.cli.main import main as command

        sys.argv = ["landscape", "barriers", *folders, "--sequences", "32", "--length", "32", "--points", "3"]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            command()
    status = Path("/proc/self/status").read_text()  # getrusage would count what the parent held when it forked
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"seconds": seen[0], "memory": peak}))


SIDES = {
    "default": [], "auto": ["--dtype", "auto"], "bfloat16": ["--dtype", "bfloat16"],
    "11 points": ["--points", "11"], "half-width 0.02": ["--halfwidth", "0.02"],
}  # fmt: skip


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=["default", "auto"])
    parser.add_argument("--start", action="store_true", help="Also time the start of a tiny job.")
    parser.add_argument("--folder", type=Path, help="Where the trained checkpoints are kept and found again.")
    parser.add_argument("--in-proportion", action="store_true", help="Time the loop by that of the truth.")
    parser.add_argument("--pairs", type=int, help="Only so many pairs have their truth; the loop is in proportion.")
    parser.add_argument("--growth", action="store_true", help="How the seconds grow with seeds, examples and tokens.")
    parser.add_argument("--usual", action="store_true", help="Be the usual script.")
    parser.add_argument("--first", choices=["script", "ours"], help="Be one side of --start.")
    parser.add_argument("--begun", type=float)
    parser.add_argument("--sequences", type=int)
    parser.add_argument("--length", type=int)
    parser.add_argument("--points", type=int, default=POINTS)
    given = parser.parse_args()
    if given.usual:
        usual(given.jobs, given.sequences, given.length, given.points, given.pairs)
        return
    if given.first:
        first_pass(given.jobs, given.first, given.begun)
        return
    print(f"{len(os.sched_getaffinity(0))} cores")
    if given.start:
        start(given.rounds)
    sides = {side: SIDES[side] for side in given.sides}
    with tempfile.TemporaryDirectory() as place:
        folder = given.folder or Path(place)
        if given.growth:
            growth(given.rounds, folder)
        print("| job | side | s | times the usual loop | times the loop of equal result | largest error | |")
        print("|---|---|---|---|---|---|---|")
        for name in given.jobs:
            compare(name, given.rounds, sides, folder, given.in_proportion or given.pairs is not None, given.pairs)


if __name__ == "__main__":
    main()
