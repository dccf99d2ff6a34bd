"""Component-wise connectivity: closed forms, state dicts with some tensors of another, and a planted layer."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import cases
import numpy as np
import oracles
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from numpy.testing import assert_allclose
from torch import Tensor, nn

import landscape as ls
from landscape.cli.main import cli
from landscape.cli.report import frames
from landscape.cli.run import run_study
from landscape.errors import InputError
from landscape.figures.components import section
from landscape.study.file import Study, read_study
from landscape.study.kinds.components import Components, sets
from landscape.study.store import Store

GPT2 = [name for name, _ in cases.gpt2().named_parameters()]


def test_components_are_those_that_move_says() -> None:
    blocks = Components(move="blocks").parts(GPT2)
    assert list(blocks) == ["input", "transformer.h.0", "transformer.h.1", "output"]
    assert [GPT2[n] for n in blocks["input"]] == ["transformer.wte.weight", "transformer.wpe.weight"]
    layers = Components(move="layers").parts(GPT2)
    assert list(layers)[2:5] == ["transformer.h.0.ln_1", "transformer.h.0.attn.c_attn", "transformer.h.0.attn.c_proj"]
    assert len(layers) == 2 + 2 * 6 + 1
    patterns = Components(move=("*.mlp.*", "*.attn.*")).parts(GPT2)
    assert list(patterns) == ["*.mlp.*", "*.attn.*", "rest"] and len(patterns["*.mlp.*"]) == 8
    for parts in (blocks, layers, patterns):
        assert sorted(n for own in parts.values() for n in own) == list(range(len(GPT2)))
    assert list(Components(move="blocks").parts(["cls", "0.weight", "mid.norm.weight", "1.weight", "1.bias"])) == [
        "input", "0", "mid.norm", "1",
    ]  # fmt: skip


@pytest.mark.parametrize(("move", "said"), [
    (("*.mlp.*", "*.h.*"), r"move: \*.mlp.\* and \*.h.\* both take the tensor transformer.h.0.mlp.c_fc.weight"),
    (("*.mpl.*",), r'move: \*.mpl.\* takes no tensor of the model; give "layers", "blocks", or patterns of names such'),
])  # fmt: skip
def test_patterns_that_do_not_fit_the_model_are_refused(move: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Components(move=move).parts(GPT2)


def test_blocks_need_numbers_and_the_grid_is_even() -> None:
    with pytest.raises(
        InputError, match=r"no tensor of the model has a number in its name, such as w, so it has no bl"
    ):
        Components().parts(["w"])
    with pytest.raises(ValueError, match="tolerance chooses where to evaluate, and points = 5 fixes it: leave one out"):
        Components.model_validate({"tolerance": 0.1})


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_set_is_evaluated_once(count: int) -> None:
    found = sets(count, ("single", "from_first", "from_last"))
    assert len(found) == max(1, 3 * count - 3)
    for which, names in found.items():
        for way, k in names:
            wanted = {"single": {k}, "from_first": set(range(k + 1)), "from_last": set(range(k, count))}
            assert set(which) == wanted[way]
    assert sorted(name for names in found.values() for name in names) == sorted(
        (way, k) for way in ("single", "from_first", "from_last") for k in range(count)
    )


class Wells(nn.Module):
    """Loss ``x_e sum_c h_c (w_c^2 - 1)^2``: each layer has two minima, and a barrier of ``h_c`` between them."""

    def __init__(self, w: list[float]) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(1, 1, bias=False) for _ in w])
        with torch.no_grad():
            for layer, value in zip(self.layers, w, strict=True):
                layer.weight.fill_(value)

    def forward(self, x: Tensor) -> Tensor:
        return x * sum((k + 1) * ((layer.weight**2 - 1) ** 2).sum() for k, layer in enumerate(self.layers))


def test_the_one_layer_that_makes_the_barrier_is_read_off_the_heatmap() -> None:
    """The third of five lies in the other well. Its barrier is 3 E[x], and all other layers have none."""
    a, b = Wells([1.0] * 5), Wells([1.0, 1.0, -1.0, 1.0, 1.0])
    x = torch.rand(40, generator=cases.generator(3)) + 0.5
    found = ls.components([a, b], loss=lambda out, batch: out, batches={"inputs": x}, move="layers")
    rows, top = found.frame, 3 * float(x.mean())
    alone = rows[rows["way"] == "single"]
    assert_allclose(alone.groupby("component")["rise"].mean(), [0, 0, top, 0, 0], atol=0.25)
    assert_allclose(alone.groupby("component")["plugin"].mean(), [0, 0, top, 0, 0], atol=1e-5)
    first = rows[rows["way"] == "from_first"].sort_values("position").groupby("position")["plugin"].mean()
    last = rows[rows["way"] == "from_last"].sort_values("position").groupby("position")["plugin"].mean()
    assert_allclose(first, [0, 0, top, top, top], atol=1e-5)
    assert_allclose(last, [top, top, top, 0, 0], atol=1e-5)
    assert ((rows["low"] <= rows["plugin"]) & (rows["plugin"] <= rows["high"])).all()
    shown = found.plot().collections[0].get_array().reshape(5, 3)
    assert shown[:, 0].argmax() == 2 and shown[2, 0] > 100 * np.delete(shown[:, 0], 2).max()
    assert set(rows["start"]) == {"a", "b"} and (rows["t_at_max"][rows["plugin"] > 1] == 0.5).all()


def swapped(one: Any, other: Any, names: list[str]) -> Any:
    """The first model with some tensors of the other."""
    out = copy.deepcopy(one)
    out.load_state_dict({**one.state_dict(), **{name: other.state_dict()[name] for name in names}})
    return out


def study(folder: Path, out: Path, **measure: object) -> dict[str, pd.DataFrame]:
    file = cases.study(out, sequences="5")
    read = read_study(file)
    checkpoints = read.checkpoints.model_copy(update={"folder": str(folder / "seed_{seed}" / "step_{step}")})
    own = Study.model_validate({
        **read.model_dump(exclude={"measure", "checkpoints"}), "checkpoints": checkpoints.model_dump(),
        "measure": [{"kind": "components", "at_steps": [10], **measure}],
    })  # fmt: skip
    assert run_study(own, out, device="cpu", workers=1) == {}
    store = Store(out / "results")
    return store.tables(task["key"] for task in store.record()["tasks"])


def test_rows_are_those_of_state_dicts_with_tensors_of_another(few_runs: Path, tmp_path: Path) -> None:
    """Whole moves end at the other checkpoint, as transformers has it; half of one block is half of its tensors."""
    tables = study(few_runs, tmp_path, points=3, resamples=100)
    rows, profile = tables["component"], tables["component_profile"]
    assert len(rows) == 3 * 2 * 3 * 4 and len(profile) == 3 * len(rows)
    models = {s: cases.gpt2().from_pretrained(few_runs / f"seed_{s}" / "step_10").eval() for s in range(3)}
    ids = torch.tensor(cases.tokenizer()(cases.TEXT)["input_ids"])
    ids = ids[: len(ids) // 12 * 12].view(-1, 12)
    ids = ids[[round(k * (len(ids) - 1) / 4) for k in range(5)]]
    block = [name for name in models[0].state_dict() if ".h.1." in name]
    for (a, b), own in profile.groupby(["seed_a", "seed_b"]):
        for start, one, two in (("a", models[a], models[b]), ("b", models[b], models[a])):
            line = oracles.usual_loop(one, two, ids, [0, 0.5, 1]).mean(axis=1)
            here = own[(own["start"] == start)]
            for way, last in (("from_first", "output"), ("from_last", "input")):
                whole = here[(here["way"] == way) & (here["component"] == last)]
                assert_allclose(whole["loss"], line, atol=5e-6)
            part = oracles.usual_loop(one, swapped(one, two, block), ids, [0, 0.5, 1]).mean(axis=1)
            single = here[(here["way"] == "single") & (here["component"] == "transformer.h.1")]
            assert_allclose(single["loss"], part, atol=5e-6)
            chord = np.array([line[0], (line[0] + line[2]) / 2, line[2]])
            assert_allclose(single["rise"], part - chord, atol=1e-5)
    whole = rows[(rows["way"] == "from_first") & (rows["component"] == "output")]
    assert len(whole) == 6
    for start, end in (("a", "loss_b"), ("b", "loss_a")):
        own = whole[whole["start"] == start]
        assert (own["loss_moved"] - own[end]).abs().max() < 1e-6
    moved = rows[(rows["way"] == "single")].groupby("component", sort=False)["parameters"].first()
    assert moved.sum() == sum(p.numel() for p in models[0].parameters())
    made = section(frames(Store(tmp_path / "results")))
    assert made is not None and "2 starts and 3 pairs, not aligned" in made.note


@pytest.mark.slow
def test_between_seeds_components_move_in_aligned_coordinates(few_runs: Path, tmp_path: Path) -> None:
    """A whole move is the aligned line, whose barrier is another than the raw one."""
    tables = study(
        few_runs, tmp_path, points=3, resamples=100, align=["none", "weights"], ways="from_first", starts="a"
    )
    (tmp_path / "lines").mkdir()
    spec = {"points": 3, "resamples": 100, "align": ["none", "weights"], "between": "all"}
    refs = [str(few_runs / f"seed_{seed}" / "step_10") for seed in range(3)]
    lines = ls.barriers(refs, text=str(tmp_path / "text.txt"), sequences=5, length=12, **spec).profiles
    whole = tables["component_profile"]
    whole = whole[whole["component"] == "output"].merge(lines, on=["a", "b", "align", "t"], suffixes=("", "_line"))
    assert len(whole) == 2 * 3 * 3
    assert_allclose(whole["loss"], whole["loss_line"], atol=1e-5)
    raw, aligned = (whole[(whole["align"] == how) & (whole["t"] == 0.5)]["loss"] for how in ("none", "weights"))
    assert (np.abs(raw.to_numpy() - aligned.to_numpy()) > 1e-3).all()


@pytest.mark.slow
def test_command_and_face_have_the_rows_of_the_study(few_runs: Path, tmp_path: Path) -> None:
    tables = study(few_runs, tmp_path, points=3, resamples=100, move=["*.mlp.*", "*.attn.*"], ways="single")
    wanted = tables["component"].sort_values(["a", "b", "start", "position"])
    refs = [str(few_runs / f"seed_{seed}" / "step_10") for seed in range(3)]
    text = str(tmp_path / "text.txt")
    given = ["--points", "3", "--resamples", "100", "--sequences", "5", "--length", "12", "--text", text]
    moves = ["--move", "*.mlp.*", "--move", "*.attn.*", "--ways", "single"]
    ended = CliRunner().invoke(cli, ["components", *refs, *given, *moves, "--json", "--out", str(tmp_path / "o")])
    assert ended.exit_code == 0, ended.output
    rows = pd.DataFrame([json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")])
    shown = rows[rows["table"] == "component"].sort_values(["a", "b", "start", "position"])
    numbers = ["rise", "low", "high", "loss_moved"]
    assert_allclose(shown[numbers].astype(float), wanted[numbers].astype(float), atol=1e-6)
    assert (tmp_path / "o" / "components.svg").exists()
    assert "rise above the chord of the ends" in ended.stderr


def test_the_plan_counts_from_the_headers(few_runs: Path, tmp_path: Path) -> None:
    """Four blocks: nine sets, two starts and two t, for each of three pairs; and three losses."""
    file = tmp_path / "plan.toml"
    file.write_text(
        f'version = 1\nname = "c"\n[checkpoints]\nfolder = "{few_runs}/seed_{{seed}}/step_{{step}}"\nsteps = [10]\n'
        '[data]\nobjective = "causal-lm"\n[[measure]]\nkind = "components"\npoints = 3\n'
    )
    ended = CliRunner().invoke(cli, ["plan", str(file), "--json", "--tflops", "1"])
    assert ended.exit_code == 0, ended.output
    totals = json.loads(ended.stdout.splitlines()[-1])
    assert totals["points"] == 3 + 3 * 9 * 2 * 2
