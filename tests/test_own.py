"""Models, batches and losses of the user's own file, by command, study and Python."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import nn

import landscape as ls
from landscape import own
from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.study.file import read_study

MINE = """
import torch
from torch import nn


def net():
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def data(seed):
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(40, 4, generator=random)
    return {"inputs": x, "labels": (x[:, 0] > 0).long() + (x[:, 1] > 0.3).long()}


def loss(outputs, batch):
    losses = nn.functional.cross_entropy(outputs, batch["labels"], reduction="none")
    return {"loss": losses, "accuracy": outputs.argmax(dim=-1) == batch["labels"]}


def build(seed="7"):
    return net(), data(int(seed)), loss


def both():
    return {"model": net(), "batches": data(7), "loss": loss, "fit_batches": [data(8), data(9)], "unit": "nats"}


def table(model, symmetry_group):
    return {"0.weight": "unit -", "0.bias": "unit", "2.weight": "- unit", "2.bias": "-"}


def wrong(model, symmetry_group):
    return {"0.weight": "unit -", "0.bias": "-", "2.weight": "- unit", "2.bias": "-"}


def uneven(model, symmetry_group):
    return {"0.weight": "unit unit", "0.bias": "unit", "2.weight": "- unit", "2.bias": "-"}


def normed():
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3))
    return {"model": model, "batches": data(7), "loss": loss, "statistics": data(8)}


def broken():
    return net(), data(7), lambda outputs, batch: outputs.mean()


def failing():
    return net(), data(7)["nothing"], loss


def two():
    return net(), data(7)


def wide():
    return net().double(), data(7), loss


number = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of one's own, and state dicts without a config."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    for seed in range(3):
        torch.manual_seed(seed)
        Path(f"seed_{seed}").mkdir()
        model: Any = own.function("mine.py:net")()
        torch.save({"state_dict": {f"module.{k}": 2 * v for k, v in model.state_dict().items()}}, f"seed_{seed}/w.pt")
    return tmp_path


REFS = ["seed_0/w.pt", "seed_1/w.pt"]
FEW = ["--points", "3", "--resamples", "100"]


def usual(ref: str, seed: int = 7) -> tuple[float, float]:
    """Loss and accuracy as a user computes them."""
    made: Any = own.function("mine.py:net")()
    state = torch.load(ref, weights_only=True)["state_dict"]
    made.load_state_dict({name.removeprefix("module."): value for name, value in state.items()})
    batch: Any = own.function("mine.py:data")(seed)
    with torch.no_grad():
        outputs = made(batch["inputs"])
    right = (outputs.argmax(dim=-1) == batch["labels"]).float().mean()
    return float(nn.functional.cross_entropy(outputs, batch["labels"])), float(right)


@pytest.mark.slow
def test_command_study_and_python_give_the_numbers_of_the_user(folder: Path) -> None:
    done = CliRunner().invoke(cli, ["barriers", *REFS, "--objective", "mine.py:build", *FEW, "--json"])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    (row,) = [row for row in rows if row["table"] == "barrier" and row["definition"] == "chord"]
    assert [row["loss_a"], row["loss_b"]] == pytest.approx([usual(ref)[0] for ref in REFS], abs=1e-6)
    assert row["objective"] == "mine.py:build" and row["examples"] == 40 and row["length"] is None
    ends = [r for r in rows if r["table"] == "metric_profile" and r["metric"] == "accuracy" and r["t"] in (0, 1)]
    assert [end["value"] for end in ends] == pytest.approx([usual(ref)[1] for ref in REFS], abs=1e-6)
    found = ls.barriers(REFS, objective="mine.py:build", points=3, resamples=100)
    assert found.matrix.iloc[0, 1] == pytest.approx(row["barrier"], abs=1e-9)
    (folder / "study.toml").write_text(
        'version = 1\nname = "own"\n[checkpoints]\nfolder = "seed_{seed}/w.pt"\n[data]\nobjective = "mine.py:build"\n'
        '[data.other]\ntext = "8"\n[[measure]]\nkind = "barriers"\npoints = 3\nresamples = 100\n'
        'on = ["main", "other"]\nalign = ["none", "weights"]\nalignment = { table = "mine.py:table" }\n'
        '[[measure]]\nkind = "curves"\nfit_text = "9"\nfit_steps = 3\nfit_batch = 8\npoints = 3\ncontrol = false\n'
    )
    ran = ls.run("study.toml", workers=1)
    assert not ran.failed
    rows_of = ran.rows("barrier")
    line = rows_of[(rows_of["definition"] == "chord") & (rows_of["path"] == "linear") & (rows_of["align"] == "none")]
    pair = line[(line["seed_a"] == 0) & (line["seed_b"] == 1)].drop_duplicates("data").set_index("data")
    assert pair.loc["main", "barrier"] == pytest.approx(row["barrier"], abs=1e-9)
    assert pair.loc["other", "loss_a"] == pytest.approx(usual(REFS[0], 8)[0], abs=1e-6)
    record = ran.store.record()
    assert record["versions"]["mine.py:build"] == own.digest("mine.py:build")
    assert "mine.py:table" in record["versions"]
    before = set(ran.keys)
    (folder / "mine.py").write_text(f"{MINE}\n# another content\n")
    assert not before & set(ls.run("study.toml", workers=1).keys)


@pytest.mark.slow
def test_alignment_takes_a_table_of_ones_own(folder: Path) -> None:
    """That of the chain allows signs of tanh too; permutations are the same."""
    how = {"objective": "mine.py:both", "points": 3, "resamples": 100, "align": "weights"}
    chain = ls.barriers(REFS, **how, alignment={"symmetry_group": "permutations"})
    mine = ls.barriers(REFS, **how, alignment={"table": "mine.py:table", "symmetry_group": "permutations"})
    assert mine.matrix.iloc[0, 1] == pytest.approx(chain.matrix.iloc[0, 1], abs=1e-6)
    assert mine.aligned["architecture"].iloc[0] == "mine.py:table" and chain.aligned["architecture"].iloc[0] == "chain"
    assert "nats" in set(mine.frame["unit"])
    wrong = ls.barriers(REFS, **how, alignment={"table": "mine.py:wrong"})
    assert any("mine.py:wrong is wrong for this model" in said for said in wrong.failed.values())
    with pytest.raises(InputError, match=r"gives unit to axes of 6 and of 4 \(0.weight\)"):
        ls.barriers(REFS, **how, alignment={"table": "mine.py:uneven"})
    with pytest.raises(InputError, match=r"mine.py:number|has no function number"):
        ls.barriers(REFS, **how, alignment={"table": "mine.py:number"})
    with pytest.raises(InputError, match=r"mine.py:net fails: TypeError"):
        ls.barriers(REFS, **how, alignment={"table": "mine.py:net"})
    moved = ls.align(*REFS, objective="mine.py:both", out="moved", align="activations", points=3, resamples=100)
    assert not moved.failed
    there = ls.barriers([REFS[0], "moved"], objective="mine.py:both", points=3, resamples=100)
    assert there.frame["loss_b"].iloc[0] == pytest.approx(usual(REFS[1])[0], abs=1e-5)


def test_everything_else_is_measured(folder: Path) -> None:
    curve = ls.curve(*REFS, objective="mine.py:both", fit_steps=3, fit_batch=8, points=3, control=False, out="curve")
    assert not curve.failed and Path("curve/bend_1/model.safetensors").is_file()
    refs = [*REFS, "seed_2/w.pt"]
    assert not ls.plane(refs, objective="mine.py:build", resolution=3).failed
    assert not ls.llc(REFS[0], objective="mine.py:build", chains=2, draws=8, burn_in=2, batch=8).failed
    assert not ls.simplex(refs, objective="mine.py:build", mixtures=1).failed
    few = ls.barriers(REFS, objective="mine.py:build", points=3, resamples=100, sequences=10)
    assert set(few.frame["examples"]) == {10}


def test_norms_get_the_statistics_that_the_function_returns(folder: Path) -> None:
    for seed in range(2):
        torch.manual_seed(seed)
        model: Any = own.function("mine.py:normed")()
        torch.save(model["model"].state_dict(), f"normed_{seed}.pt")
    found = ls.barriers(["normed_0.pt", "normed_1.pt"], objective="mine.py:normed", points=3, resamples=100)
    made: Any = own.function("mine.py:normed")()
    made["model"].load_state_dict(torch.load("normed_0.pt", weights_only=True))
    norm = made["model"][1]
    norm.momentum = 1.0
    with torch.no_grad():
        made["model"].train()(made["statistics"]["inputs"])
        outputs = made["model"].eval()(made["batches"]["inputs"])
    expected = nn.functional.cross_entropy(outputs, made["batches"]["labels"])
    assert found.frame["loss_a"].iloc[0] == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"objective": "mine.py:nothing"}, "mine.py has no function nothing; it has net, data, loss, build"),
        ({"objective": "mine.py:number"}, "mine.py has no function number"),
        ({"objective": "none.py:build"}, "cannot read none.py"),
        ({"objective": "mine.py:broken"}, r"mine.py:broken: the loss has shape \(\) and one number for each of 2"),
        ({"objective": "mine.py:failing"}, r"mine.py:failing fails, line \d+: KeyError: 'nothing'"),
        ({"objective": "mine.py:two"}, "mine.py:two returns tuple; model, batches and loss are wanted"),
        ({"objective": "mine.py:wide"}, "is torch.float64, and points are float32"),
        ({"objective": "mine.py:both", "text": "7"}, "mine.py:both takes no argument, and the text 7 is given"),
        ({"objective": "mine.py:build", "length": 8}, "length is for texts"),
        ({"objective": "mine.py:build", "config": "x"}, "config is for models of transformers"),
        ({"objective": "mine.py"}, "or a function of a file of your own, such as mine.py:build"),
        ({}, r"for a model of your own: --objective mine.py:build"),
    ],
)
def test_what_does_not_fit_is_said(folder: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ls.barriers(REFS, **{"points": 3, **given})


def test_fits_need_other_examples(folder: Path) -> None:
    with pytest.raises(InputError, match="mine.py:build has no other examples to fit or align on"):
        ls.curve(*REFS, objective="mine.py:build", fit_steps=3, points=3)
    with pytest.raises(InputError, match="what is fitted or aligned on a text is measured on another"):
        ls.curve(*REFS, objective="mine.py:build", text="7", fit_text="7", fit_steps=3, points=3)
    with pytest.raises(InputError, match="probes are for models of transformers"):
        ls.probe(REFS[0], "agreement", objective="mine.py:build")


def test_data_sets_of_both_kinds_are_refused(folder: Path) -> None:
    (folder / "study.toml").write_text(
        'version = 1\nname = "own"\n[checkpoints]\nfolder = "seed_{seed}/w.pt"\n[data]\nobjective = "mine.py:build"\n'
        '[data.other]\nobjective = "causal-lm"\n[[measure]]\nkind = "barriers"\n'
    )
    assert read_study(folder / "study.toml").data.objective == f"{folder}/mine.py:build"
    with pytest.raises(InputError, match="the data set other is for models of transformers"):
        ls.run("study.toml", workers=1)


def test_a_file_is_run_once_and_only_if_it_is_named(folder: Path) -> None:
    """Not one that lies beside weights; and again where its content is another."""
    count = "from pathlib import Path\nwith Path('ran').open('a') as ran:\n    ran.write('x')\n"
    Path("seed_0/mine.py").write_text(count)
    Path("counted.py").write_text(f"{count}from mine import build\n")
    ls.barriers(REFS, objective="mine.py:build", points=3, resamples=100)
    assert not Path("ran").exists()
    for _ in range(2):
        ls.barriers(REFS, objective="counted.py:build", points=3, resamples=100)
    assert Path("ran").read_text() == "x"
    Path("counted.py").write_text(f"{count}raise RuntimeError('no')\n")
    with pytest.raises(InputError, match=r"counted.py cannot be run: RuntimeError: no"):
        own.function("counted.py:build")
    assert Path("ran").read_text() == "xx"


def test_the_example_of_the_documentation_runs(folder: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "howto" / "own_model.md").read_text("utf-8")
    Path("mine.py").write_text("".join(re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)))
    for seed in range(2):
        torch.manual_seed(seed)
        model: Any = own.function("mine.py:network")()
        torch.save(model.state_dict(), f"seed_{seed}.pt")
    line = next(line for line in page.splitlines() if line.startswith("landscape barriers") and "table" in line)
    refs = ["seed_0.pt", "seed_1.pt"]
    done = CliRunner().invoke(cli, ["barriers", *refs, *FEW, *line.partition("seed_1.pt ")[2].split()])
    assert done.exit_code == 0 and "aligned by weights" in done.output, done.output


def test_a_loss_in_memory_may_return_metrics() -> None:
    torch.manual_seed(0)
    x = torch.randn(12, 4)
    models = [nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1)) for _ in range(2)]

    def loss(outputs: Any, batch: Any) -> dict[str, torch.Tensor]:
        error = outputs[:, 0] - batch["inputs"][:, 0]
        return {"loss": error**2, "size": error.abs()}

    found = ls.barriers(models, loss=loss, batches={"inputs": x}, points=3, resamples=100)
    with torch.no_grad():
        expected = float((models[0](x)[:, 0] - x[:, 0]).abs().mean())
    sizes = found.metric_profiles[found.metric_profiles["metric"] == "size"]
    assert sizes["value"].iloc[0] == pytest.approx(expected, abs=1e-6) and sizes["t"].iloc[0] == 0
    with pytest.raises(InputError, match="no 'loss' among them"):
        ls.barriers(models, loss=lambda o, b: {"size": o[:, 0]}, batches={"inputs": x}, points=3)
