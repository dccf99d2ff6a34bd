"""``landscape llc`` and ``landscape curve`` as whole processes against the scripts that others would run.

python benchmarks/commands.py llc curve --rounds 3

Both sides get two trained checkpoints of the demo's size, the same text, and the same number of steps, examples and
points. *llc*: devinterp 2.0.1 (``pip install devinterp==2.0.1``), ``sample`` at equal settings; the coefficient is
``n beta (mean loss of the chains - loss of the checkpoint)``. *curve*: the published loop for a quadratic Bezier curve
(Garipov et al. 2018): a random t and batch a step, Adam on the middle point by autograd through the interpolated
weights, then ``load_state_dict`` and a DataLoader pass at each of 21 even t.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from headline import ROOT, Job, train, whole

HERE = Path(__file__)
LENGTH, SEQUENCES, FITTED = 64, 256, 512
DRAWS, CHAINS, BATCH, N_BETA, LOCALISATION, STEP_SIZE = 200, 4, 32, 30.0, 100.0, 2e-4
STEPS, RATE, POINTS = 300, 2e-3, 21


def sequences(folder: str, text: Any, count: int) -> Any:
    """Evenly spread stretches of a text, as tokens."""
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    ids = torch.tensor(tokenizer(Path(text).read_text("utf-8"))["input_ids"])
    stretches = ids[: len(ids) // LENGTH * LENGTH].view(-1, LENGTH)
    return stretches[torch.linspace(0, len(stretches) - 1, count, dtype=torch.float64).round().long()]


def llc(folders: list[str]) -> None:
    """The usual script: prints the coefficient of one checkpoint."""
    import torch
    from datasets import Dataset
    from devinterp.slt.sampling import sample
    from transformers import AutoModelForCausalLM

    sys.path.insert(0, str(ROOT))
    from landscape.texts import HELD_OUT_TEXT

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(folders[0], trust_remote_code=False).eval()
    ids = sequences(folders[0], HELD_OUT_TEXT, SEQUENCES)
    data = Dataset.from_dict({"input_ids": ids.tolist()}).with_format("torch")
    with torch.no_grad():
        first = float(model(input_ids=ids, labels=ids).loss)
    with tempfile.TemporaryDirectory() as out:
        tree = sample(model, data, {}, lr=STEP_SIZE, n_beta=N_BETA, num_chains=CHAINS, num_draws=DRAWS,
                      batch_size=BATCH, num_init_loss_batches=1, localization=LOCALISATION, output_path=f"{out}/out",
                      device="cpu")  # fmt: skip
        trace = next(
            values for node in tree.subtree for name, values in node.data_vars.items()
            if "loss" in name and "init" not in name
        )  # fmt: skip
        print(json.dumps({"value": N_BETA * (float(trace.mean()) - first)}))


def curve(folders: list[str]) -> None:
    """The usual script: fits a curve, and prints the largest loss along it."""
    import torch
    from torch.func import functional_call
    from torch.utils.data import DataLoader
    from transformers import AutoModelForCausalLM

    sys.path.insert(0, str(ROOT))
    from landscape.texts import HELD_OUT_TEXT, TRAINING_TEXT

    torch.manual_seed(0)
    models = [AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False).eval() for folder in folders]
    a, b = ({name: p.detach().clone() for name, p in model.named_parameters()} for model in models)
    middle = {name: ((a[name] + b[name]) / 2).requires_grad_() for name in a}
    train_ids, ids = sequences(folders[0], TRAINING_TEXT, FITTED), sequences(folders[0], HELD_OUT_TEXT, SEQUENCES)
    optimizer = torch.optim.Adam(middle.values(), RATE)

    def at(t: float) -> dict[str, torch.Tensor]:
        return {n: (1 - t) ** 2 * a[n] + 2 * t * (1 - t) * middle[n] + t**2 * b[n] for n in a}

    for step in range(STEPS):
        done = min(1.0, max(0.0, (step / STEPS - 0.5) / 0.4))
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - 0.99 * done)
        batch = train_ids[torch.randint(len(train_ids), (BATCH,))]
        optimizer.zero_grad()
        functional_call(
            models[0], at(float(torch.rand(()))), kwargs={"input_ids": batch, "labels": batch}
        ).loss.backward()
        optimizer.step()
    loader, losses = DataLoader(ids, batch_size=32), []
    with torch.no_grad():
        for t in torch.linspace(0, 1, POINTS).tolist():
            models[0].load_state_dict(at(t), strict=False)
            losses.append(sum(float(models[0](input_ids=x, labels=x).loss) * len(x) for x in loader) / len(ids))
    print(json.dumps({"value": max(losses)}))


USUAL = {"llc": llc, "curve": curve}


def commands(job: str, folders: list[str], out: str) -> tuple[list[str], Any]:
    """Our command for a job, and how its value is read from the rows."""
    tool, size = str(Path(sys.executable).with_name("landscape")), ["--length", str(LENGTH), "--json"]
    if job == "llc":
        numbers = {"sequences": SEQUENCES, "chains": CHAINS, "draws": DRAWS, "burn-in": 0, "batch": BATCH,
                   "n-beta": N_BETA, "localisation": LOCALISATION, "step-size": STEP_SIZE}  # fmt: skip
        refs, value = folders[:1], lambda rows: next(row["llc"] for row in rows if "llc" in row)
    else:
        numbers = {"sequences": SEQUENCES, "fit-sequences": FITTED, "fit-steps": STEPS, "fit-batch": BATCH,
                   "fit-parts": 1, "rate": RATE, "points": POINTS}  # fmt: skip
        size += ["--no-control", "--out", out]
        refs = folders
        value = lambda rows: next(  # noqa: E731
            r["largest_loss"] for r in rows if r.get("path") == "bezier" and "largest_loss" in r
        )
    return [tool, job, *refs, *size, *(f"--{name}={number}" for name, number in numbers.items())], value


def compare(job: str, rounds: int) -> None:
    """Print a line for each side."""
    with tempfile.TemporaryDirectory() as place:
        folders = [str(folder) for folder in train(Job(2, SEQUENCES, LENGTH), Path(place))]
        seconds: dict[str, list[float]] = {"usual script": [], "landscape": []}
        values: dict[str, list[float]] = {"usual script": [], "landscape": []}
        for round_ in range(rounds):
            ours, read = commands(job, folders, f"{place}/curve_{round_}")
            for side, command in (("usual script", [sys.executable, str(HERE), "--usual", job, *folders]),
                                  ("landscape", ours)):  # fmt: skip
                whole_s, rows = whole(command)
                seconds[side].append(whole_s)
                values[side].append(rows[-1]["value"] if side == "usual script" else read(rows))
        for side, took in seconds.items():
            ratios = [a / b for a, b in zip(seconds["usual script"], took, strict=True)]
            spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            words = [job, side, f"{statistics.median(took):.1f}", spread, f"{statistics.mean(values[side]):.3f}"]
            print(f"| {' | '.join(words)} |", flush=True)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*", default=["llc", "curve"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--usual", choices=USUAL, help="Be the usual script.")
    given = parser.parse_args()
    if given.usual:
        USUAL[given.usual](given.jobs)
        return
    print("| command | side | s | times the usual script | coefficient, or largest loss |\n|---|---|---|---|---|")
    for job in given.jobs:
        compare(job, given.rounds)


if __name__ == "__main__":
    main()
