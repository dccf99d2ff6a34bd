"""The Python face: one import, one call, the rows of the command, and models that lie on no disk."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cases
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from matplotlib.axes import Axes
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModelForCausalLM

import landscape as ls
from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.paths import saved
from landscape.session import data

mpl.use("Agg")
SMALL: dict[str, Any] = {"sequences": 10, "length": 12}
TIMED = ["seconds", "device", "strategy", "threads"]
"""Columns on how a point was evaluated, which differ from run to run."""
State = Mapping[str, Tensor]


@pytest.fixture
def texts(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "text.txt").write_text(cases.TEXT)
    return {"text": tmp_path / "text.txt", **SMALL}


def refs(runs: Path, count: int = 2) -> list[Path]:
    return [runs / f"seed_{seed}" / "step_10" for seed in range(count)]


def net(seed: int, norm: bool = False) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(4, 6), *([nn.BatchNorm1d(6)] if norm else []), nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, 3)
    )


def far(seed: int) -> nn.Sequential:
    """A net whose barriers are high."""
    model = net(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    return model


NETS = [far(seed) for seed in (0, 4, 8)]
X = torch.randn(12, 4, generator=cases.generator(1))
Y = torch.randint(3, (12,), generator=cases.generator(2))
BATCHES = [{"inputs": X[:5], "labels": Y[:5]}, {"inputs": X[5:], "labels": Y[5:]}]
OTHERS = {"inputs": torch.randn(9, 4, generator=cases.generator(6)), "labels": Y[:9]}
MEMORY: dict[str, Any] = {"batches": BATCHES, "loss": lambda out, batch: cross_entropy(out, batch["labels"])}


def cross_entropy(out: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(out, labels, reduction="none")


def mixed(states: list[State], shares: list[float]) -> dict[str, Tensor]:
    """Shares of state dicts; whole numbers are those of the first."""
    return {
        name: sum((share * state[name] for share, state in zip(shares, states, strict=True)), torch.zeros_like(value))
        if value.is_floating_point() else value
        for name, value in states[0].items()
    }  # fmt: skip


def loss_of(state: State, model: nn.Module = NETS[0]) -> np.ndarray:
    """The loss of each example of a model with these weights, in the way of a textbook."""
    own = copy.deepcopy(model).eval()
    own.load_state_dict(dict(state))
    with torch.no_grad():
        return cross_entropy(own(X), Y).double().numpy()


def chord_barriers(a: State, b: State, points: int) -> tuple[float, float]:
    """The largest rise of the mean loss, and the same located on every other example and read on those between."""
    t = np.linspace(0, 1, points)[:, None]
    losses = np.array([loss_of(mixed([a, b], [1 - s, s])) for s in t[:, 0]])
    rise = losses - (1 - t) * losses[0] - t * losses[-1]
    halves = [rise[:, half::2].mean(axis=1) for half in (0, 1)]
    read = [there[here.argmax()] for here, there in (halves, halves[::-1])]
    return float(rise.mean(axis=1).max()), float(np.mean(read))


# -- references ------------------------------------------------------------------------------------------------------


def test_barriers_of_references_are_the_rows_of_the_command(few_runs: Path, texts: dict[str, Any]) -> None:
    found = ls.barriers(refs(few_runs, 3), points=5, align=["none", "random"], **texts)
    words = ["barriers", *refs(few_runs, 3), "--points", 5, "--align", "none", "--align", "random", "--json"]
    words += [word for name, value in texts.items() for word in (f"--{name}", value)]
    said = CliRunner().invoke(cli, [str(word) for word in words])
    assert said.exit_code == 0, said.output
    rows = pd.DataFrame([json.loads(line) for line in said.stdout.splitlines() if line.startswith("{")])
    tables = found.tables()
    assert set(rows["table"]) == set(tables) == {
        "barrier", "profile", "align", "metric_barrier", "metric_profile",
    }  # fmt: skip
    for name, frame in tables.items():
        own = rows[rows["table"] == name].reset_index(drop=True)
        assert len(own) == len(frame) > 0
        for column in frame.columns.difference(TIMED):
            here, there = frame[column], own[column]
            if pd.api.types.is_numeric_dtype(here):
                np.testing.assert_allclose(here.astype(float), there.astype(float), rtol=1e-5, atol=1e-6)
            else:
                assert [str(v) for v in here if pd.notna(v)] == [str(v) for v in there if pd.notna(v)], column
    chord = tables["barrier"].query("definition == 'chord' and align == 'none'").set_index(["a", "b"])["barrier"]
    names = [str(ref) for ref in refs(few_runs, 3)]
    for a, b in combinations(names, 2):
        assert found.matrix.loc[a, b] == found.matrix.loc[b, a] == chord[a, b]
    assert np.diag(found.matrix).tolist() == [0, 0, 0] and list(found.matrix.columns) == names


def test_one_pattern_is_many_checkpoints(few_runs: Path, texts: dict[str, Any]) -> None:
    found = ls.barriers(f"{few_runs}/seed_{{seed}}/step_10", points=3, **texts)
    assert [checkpoint.seed for checkpoint in found.checkpoints] == [0, 1, 2] and len(found.profiles) == 3 * 3


def test_labels_may_be_words(few_runs: Path, tmp_path: Path, texts: dict[str, Any]) -> None:
    for seed, name in enumerate(("sgd", "adam")):
        (tmp_path / name).symlink_to(few_runs / f"seed_{seed}")
    pattern = f"{tmp_path}/{{optimizer}}/step_{{step}}"
    found = ls.barriers(pattern, points=3, between="optimizer", **texts).frame.query("definition == 'chord'")
    assert found[["optimizer_a", "optimizer_b"]].to_numpy().tolist() == [["adam", "sgd"]] * 2
    assert found["step_a"].tolist() == found["step_b"].tolist() == [0, 10] and set(found["between"]) == {"optimizer"}


# -- models in memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["modules", "state dicts", "both"])
def test_barriers_in_memory_are_those_of_a_loop(kind: str) -> None:
    states: list[State] = [model.state_dict() for model in NETS]
    models = {"modules": NETS, "state dicts": states, "both": [NETS[0], *states[1:]]}[kind]
    before = [{name: value.clone() for name, value in state.items()} for state in states]
    found = ls.barriers(models, points=5, model=NETS[1] if kind == "state dicts" else None, **MEMORY)
    chords = found.frame.query("definition == 'chord'")["plugin"].tolist()
    for (i, j), plugin in zip(combinations(range(3), 2), chords, strict=True):
        largest, crossed = chord_barriers(states[i], states[j], 5)
        assert plugin == pytest.approx(largest, abs=1e-6) and largest > 0.1, "else zeros are compared"
        assert found.matrix.iloc[i, j] == found.matrix.iloc[j, i] == pytest.approx(max(crossed, 0), abs=1e-6)
    assert list(found.matrix.index) == ["model 1", "model 2", "model 3"]
    for state, old in zip(states, before, strict=True):
        assert all(torch.equal(state[name], old[name]) for name in old), "models are not changed"
    assert all(model.training for model in NETS)
    row = found.frame.iloc[0]
    assert (row["objective"], row["unit"], row["examples"]) == ("own", "nats per example", 12)
    assert pd.isna(row["length"]) and pd.isna(row["stored_a"])


def test_profiles_in_memory_are_the_losses_of_the_loop() -> None:
    a, b = (model.state_dict() for model in NETS[:2])
    found = ls.barriers(NETS[:2], points=5, **MEMORY)
    for row in found.profiles.to_dict("records"):
        losses = loss_of(mixed([a, b], [1 - row["t"], row["t"]]))
        assert row["loss"] == pytest.approx(losses.mean(), abs=1e-6)
        assert row["error"] == pytest.approx(losses.std(ddof=1) / 12**0.5, abs=1e-6)


def test_running_statistics_are_estimated_at_every_point() -> None:
    """By a forward pass in training mode over the batches of statistics, which is BatchNorm's own definition."""
    models = [net(seed, norm=True) for seed in (7, 8)]
    states = [model.state_dict() for model in models]
    found = ls.barriers(models, points=3, statistics=[OTHERS], **MEMORY)
    for row in found.profiles.to_dict("records"):
        own = copy.deepcopy(models[0])
        own.load_state_dict(mixed(states, [1 - row["t"], row["t"]]))
        own.eval()
        norm = own[1]
        assert isinstance(norm, nn.BatchNorm1d)
        norm.reset_running_stats()
        norm.momentum = None
        with torch.no_grad():
            norm.train()(own[0](OTHERS["inputs"]))
            norm.eval()
            assert row["loss"] == pytest.approx(float(cross_entropy(own(X), Y).mean()), abs=1e-5)
    with pytest.raises(InputError, match="BatchNorm1d, whose running statistics .*; give statistics: training data"):
        ls.barriers(models, **MEMORY)


class Shifted(nn.Module):
    """A learned buffer that is part of the function."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.net = net(0)
        self.register_buffer("shift", torch.randn(3, generator=cases.generator(seed)))

    def forward(self, x: Tensor) -> Any:
        return self.net(x) + self.shift


@pytest.mark.parametrize("how", ["nearest", "interpolated"])
def test_learned_buffers_are_those_of_the_model_or_their_mean(how: str) -> None:
    """Of two models with the same parameters, which differ in a buffer alone."""
    models = [Shifted(seed) for seed in (1, 2)]
    a, b = (model.state_dict() for model in models)
    found = ls.barriers(models, points=5, buffers=how, **MEMORY)
    for row in found.profiles.to_dict("records"):
        t = row["t"]
        state = mixed([a, b], [1 - t, t]) if how == "interpolated" else (a if t <= 0.5 else b)
        assert row["loss"] == pytest.approx(loss_of(state, models[0]).mean(), abs=1e-6)


def test_results_of_another_loss_are_not_taken_for_these(tmp_path: Path) -> None:
    found, again, twice = (
        ls.barriers(NETS[:2], points=3, batches=BATCHES, out=tmp_path / "out",
                    loss=lambda out, batch, k=k: k * cross_entropy(out, batch["labels"])).frame["loss_a"].iloc[0]
        for k in (1, 1, 2)
    )  # fmt: skip
    assert found == again and twice == pytest.approx(2 * found)


def test_mixtures_in_memory_are_those_of_a_loop() -> None:
    states = [model.state_dict() for model in NETS]
    for row in ls.simplex(NETS, mixtures=2, **MEMORY).frame.to_dict("records"):
        shares = json.loads(row["weights"])
        assert row["loss"] == pytest.approx(loss_of(mixed(list(states), shares)).mean(), abs=1e-6)


def test_a_plane_in_memory_has_its_corners_where_they_are() -> None:
    found = ls.plane(NETS, resolution=4, **MEMORY)
    points = [torch.cat([p.detach().flatten() for p in model.parameters()]).double() for model in NETS]
    xy = found.places[["x", "y"]].to_numpy()
    for i, j in combinations(range(3), 2):
        assert np.linalg.norm(xy[i] - xy[j]) == pytest.approx(float((points[i] - points[j]).norm()), rel=1e-5)
    losses = [loss_of(model.state_dict()).mean() for model in NETS]
    assert found.places["loss"].tolist() == pytest.approx(losses, abs=1e-6)
    assert isinstance(found.plot(), Axes) and isinstance(ls.plane(NETS[0], resolution=3, **MEMORY).plot(), Axes)


def test_a_curve_in_memory_is_fitted_on_other_batches(tmp_path: Path) -> None:
    """Fifty steps find a way below the straight line, on the batches that it is fitted on."""
    given = {**MEMORY, "fit_batches": OTHERS, "rate": 0.05, "fit_steps": 50, "fit_batch": 9, "points": 5}
    found = ls.curve(*NETS[:2], out=tmp_path, control=False, **given)
    chords = found.chords.set_index("path")
    assert chords["loss_a"].nunique() == 1 and chords.loc["bezier", "path_length"] > chords.loc["bezier", "distance"]
    same = ls.curve(*NETS[:2], out=tmp_path / "same", control=False, **{**given, "batches": OTHERS})
    fitted = same.chords.set_index("path")
    assert fitted.loc["bezier", "mean_loss"] < fitted.loc["linear", "mean_loss"] - 0.01
    one, other = (saved.load(folder / "curve.safetensors").anchors for folder in (tmp_path, tmp_path / "same"))
    assert torch.equal(one, other) and isinstance(found.plot(), Axes), "what it is scored on changes no curve"
    with pytest.raises(InputError, match="scored on other examples than it is fitted on: give fit_batches"):
        ls.curve(*NETS[:2], **MEMORY)


def test_a_coefficient_in_memory() -> None:
    found = ls.llc(NETS[0], chains=2, draws=20, burn_in=5, batch="all", **MEMORY)
    (row,) = found.frame.to_dict("records")
    assert row["parameters"] == sum(p.numel() for p in NETS[0].parameters()) and row["checkpoint"] == "model 1"
    mean = found.chains.query("draw >= burn_in").groupby("chain")["loss"].mean()
    baseline = loss_of(NETS[0].state_dict()).mean()
    assert row["llc"] == pytest.approx(row["n_beta"] * (mean.mean() - baseline), rel=1e-4)
    assert len(found.chains) == 2 * 25 and isinstance(found.plot(), Axes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss": None}, "models in memory need loss = a function of outputs and batch, and batches = tensors"),
        ({"batches": None}, "models in memory need loss"),
        ({"batches": []}, "batches is empty: give tensors by name"),
        pytest.param({"batches": [(X, Y)]}, "a batch of batches is a tuple: give tensors by name",
                     marks=pytest.mark.untyped),
        pytest.param({"batches": {"inputs": [1, 2]}}, "'inputs' of batches is a list: give tensors by name",
                     marks=pytest.mark.untyped),
        ({"batches": [BATCHES[0], {"inputs": X}]}, r"batch 2 of batches has \['inputs'\], and the first has"),
        ({"batches": [{"inputs": X}, {"inputs": X[:, :2]}]}, "differ in more than the number of examples"),
        ({"batches": {"x": X, "labels": Y}}, r"lacks the inputs \['inputs'\]"),
        ({"loss": lambda out, batch: cross_entropy(out, batch["labels"]).mean()}, "use reduction='none'"),
        ({"text": "t.txt"}, "text is for references; models in memory are evaluated on batches"),
        ({"align": "activations"}, "no other batches to align on: align = weights or random"),
        ({"checkpoints": NETS[:1]}, "model 1 is one checkpoint; a barrier is between two or more"),
        ({"checkpoints": []}, "no checkpoint is given"),
        ({"checkpoints": [NETS[0], "here"]}, "here is a reference, and other models are in memory"),
        ({"checkpoints": ["here", "there"]}, "loss and batches are for models in memory"),
        ({"checkpoints": [NETS[0].state_dict()] * 2}, "state dicts need a model that takes them"),
        ({"checkpoints": [NETS[0], nn.Linear(4, 3)]}, "model 2 has no parameter 0.weight; give models of one arch"),
        ({"checkpoints": [NETS[0], nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3), nn.Linear(3, 3))]},
         r"0.weight of model 2 has the shape \(5, 4\), not \(6, 4\)"),
    ],
)  # fmt: skip
def test_models_in_memory_that_do_not_fit_get_a_sentence(changes: dict[str, Any], said: str) -> None:
    given = {"checkpoints": NETS, **MEMORY, **changes}
    with pytest.raises(InputError, match=said):
        ls.barriers(given.pop("checkpoints"), **given)


# -- what a result shows ---------------------------------------------------------------------------------------------


def test_results_draw_themselves_on_given_axes(few_runs: Path, texts: dict[str, Any]) -> None:
    _, (left, right) = plt.subplots(1, 2)
    assert ls.barriers(NETS, points=3, **MEMORY).plot(left) is left
    assert ls.simplex(NETS, mixtures=1, **MEMORY).plot(right) is right
    plt.figure()
    pair = ls.barriers(NETS[:2], points=3, **MEMORY)
    drawn = pair.plot()
    np.testing.assert_allclose(drawn.lines[0].get_ydata(), pair.profiles["loss"])  # type: ignore[arg-type]
    assert "nats per example" in drawn.get_ylabel()


def test_a_notebook_shows_a_table_with_names_as_they_are(few_runs: Path, tmp_path: Path, texts: dict[str, Any]) -> None:
    names = ["<b>a&b<", "two"]
    for seed, name in enumerate(names):
        (tmp_path / name).symlink_to(few_runs / f"seed_{seed}" / "step_10")
    found = ls.barriers([tmp_path / name for name in names], points=3, **texts)
    page = ElementTree.fromstring(f"<div>{found._repr_html_()}</div>")
    (image,) = (picture.attrib["src"].partition(",") for picture in page.iter("img"))
    assert image[0] == "data:image/png;base64" and b64decode(image[2]).startswith(b"\x89PNG")
    assert plt.get_fignums() == []  # else the notebook would show it once more
    cells = [cell.text for cell in page.iter("td")]
    assert str(tmp_path / names[0]) in cells and f"{found.matrix.iloc[0, 1]:.4g}" in cells
    shown = [cell.text for cell in page.iter("th")]
    assert shown == ["a", "b", "align", "barrier", "low", "high", "unit"]


def test_what_failed_is_shown_and_nothing_is_drawn() -> None:
    broken = copy.deepcopy(NETS[1])
    with torch.no_grad():
        next(broken.parameters())[0] = float("inf")
    found = ls.barriers([NETS[0], broken], points=3, **MEMORY)
    assert found.failed and "the loss is not finite" in found._repr_html_()
    assert "<img" not in found._repr_html_()
    ElementTree.fromstring(f"<div>{found._repr_html_()}</div>")
    with pytest.raises(InputError, match="there is nothing to draw: the loss is not finite"):
        found.plot()


# -- the other calls -------------------------------------------------------------------------------------------------


def test_an_aligned_checkpoint_is_the_same_function(few_runs: Path, tmp_path: Path, texts: dict[str, Any]) -> None:
    a, b = refs(few_runs)
    found = ls.align(a, b, out=tmp_path / "out", points=3, **texts)
    ids = torch.arange(12)[None] + 5
    with torch.no_grad():
        before, after = (AutoModelForCausalLM.from_pretrained(ref)(input_ids=ids).logits for ref in (b, found.folder))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-4)
    assert found.chords["align"].tolist() == ["none", "weights", "random"] and isinstance(found.plot(), Axes)
    assert found.aligned["distance_after"].iloc[0] < found.aligned["distance_before"].iloc[0]


def test_a_curve_is_learned_and_drawn(few_runs: Path, tmp_path: Path, texts: dict[str, Any]) -> None:
    other = tmp_path / "other.txt"
    other.write_text(" ".join(reversed(cases.TEXT.split())))
    fit = {"fit_text": other, "fit_sequences": 8, "fit_steps": 3, "fit_batch": 4, "points": 3}
    found = ls.curve(*refs(few_runs), out=tmp_path / "curve", **fit, **texts)
    assert found.chords["path"].tolist() == ["linear", "bezier", "control"] and isinstance(found.plot(), Axes)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "curve" / "bend_1")
    with pytest.raises(InputError, match="give fit_text too, another text to fit it on"):
        ls.curve(*refs(few_runs), **texts)
    with pytest.raises(InputError, match="the text gives 166 sequences .* and 9999 are wanted"):
        ls.curve(*refs(few_runs), **{**fit, "fit_sequences": 9999}, **texts)


@pytest.mark.slow
def test_planes_mixtures_coefficients_and_probes(few_runs: Path, texts: dict[str, Any]) -> None:
    found = ls.plane(refs(few_runs, 3), resolution=3, **texts)
    assert found.places["checkpoint"].tolist() == [str(ref) for ref in refs(few_runs, 3)]
    mixtures = ls.simplex(refs(few_runs), mixtures=1, **texts)
    assert mixtures.frame["kind"].tolist() == ["vertex", "vertex", "centre", "random"]
    coefficient = ls.llc(f"{few_runs}/seed_0/step_{{step}}", chains=2, draws=20, burn_in=5, batch=4, **texts)
    assert coefficient.frame["step"].tolist() == [0, 10]
    scores = ls.probe(refs(few_runs), "in-context", distances=True, **texts)
    assert scores.frame["checkpoint"].nunique() == 2 and set(scores.distances["a"]) == {str(refs(few_runs)[0])}
    for result in (found, mixtures, coefficient, scores):
        assert isinstance(result.plot(), Axes)
        ElementTree.fromstring(f"<div>{result._repr_html_()}</div>")
        assert result.failed == {} and not result.summary().empty


def series() -> pd.DataFrame:
    """A barrier that falls from 1 to 0 at step 50 and a skill that rises there, in six runs."""
    steps = np.arange(0, 101, 5)
    parts = []
    for seed in range(6):
        noise = np.random.default_rng(seed).normal(size=(2, len(steps))) * 0.01
        rise = 1 / (1 + np.exp(-(steps - 50 - seed) / 3))
        for name, values in (("barrier", 1 - rise + noise[0]), ("skill", rise + noise[1])):
            parts.append(pd.DataFrame({"series": name, "seed": seed, "step": steps, "value": values}))
    return pd.concat(parts, ignore_index=True)


def test_stages_of_a_frame_are_those_of_its_file(tmp_path: Path) -> None:
    series().to_csv(tmp_path / "series.csv", index=False)
    of_frame, of_file = ls.stages(series(), permutations=99), ls.stages(tmp_path / "series.csv", permutations=99)
    pd.testing.assert_frame_equal(of_frame.event, of_file.event)
    pd.testing.assert_frame_equal(of_frame.association, of_file.association)
    event = of_frame.event[of_frame.event["series"] == "skill"]
    assert event["step"].between(45, 60).any()
    with pytest.raises(InputError, match="permutatoins: unknown setting; did you mean permutations"):
        ls.stages(series(), permutatoins=99)
    with pytest.raises(InputError, match="there is no file or folder .*none"):
        ls.stages(tmp_path / "none")


@pytest.mark.slow
def test_stages_of_a_folder_are_those_of_its_study(finished: Path) -> None:
    found = ls.stages(finished)
    assert {"loss", "barrier:seed"} <= set(found.series["series"])
    with pytest.raises(InputError, match="pairs belong to a file of series"):
        ls.stages(finished, series())


def test_a_study_is_run_once(few_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor are its text and its model made twice."""
    for seed in range(3):
        (tmp_path / f"seed_{seed}").symlink_to(few_runs / f"seed_{seed}")
    made, build = [], data.build
    monkeypatch.setattr(data, "build", lambda *given, **settings: made.append(1) or build(*given, **settings))  # type: ignore[func-returns-value]
    done = ls.run(cases.study(tmp_path), workers=1)
    assert made == [1]
    rows = done.rows("barrier")
    assert done.failed == {} and len(rows) == 36 and "8 of 8 tasks done" in done._repr_html_()
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "results" / "rows").iterdir()}
    pd.testing.assert_frame_equal(ls.run(tmp_path / "study.toml", workers=1).rows("barrier"), rows)
    with pytest.raises(InputError, match="there is no table 'barriers'; did you mean barrier"):
        done.rows("barriers")
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "results" / "rows").iterdir()} == files


# -- the import ------------------------------------------------------------------------------------------------------


def test_importing_costs_nothing_and_packages_are_calls() -> None:
    """``landscape.llc`` and ``landscape.stages`` are packages and calls, whichever is used first."""
    script = (
        "import sys, landscape as ls\n"
        "heavy = {'torch', 'pandas', 'pydantic', 'numpy', 'click', 'matplotlib'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
        "assert set(ls.__all__) <= set(dir(ls))\n"
        "import landscape.llc.settings, landscape.stages.settings\n"
        "assert callable(ls.llc) and callable(ls.stages) and 'torch' not in sys.modules\n"
        "assert all(callable(getattr(ls, name)) for name in ls.__all__)\n"
        "from landscape import llc\n"
        "try: llc([])\n"
        "except ls.errors.InputError as error: assert 'no checkpoint is given' in str(error)\n"
        "else: raise AssertionError\n"
        "try: ls.barrier\n"
        "except AttributeError as error: assert \"no attribute 'barrier'\" in str(error)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


CALLS: dict[str, Callable[..., Any]] = {
    "barriers": lambda **more: ls.barriers(["a", "b"], **more),
    "align": lambda **more: ls.align("a", "b", out="o", **more),
    "curve": lambda **more: ls.curve("a", "b", **more),
    "plane": lambda **more: ls.plane(["a"], **more),
    "simplex": lambda **more: ls.simplex(["a", "b"], **more),
    "llc": lambda **more: ls.llc("a", **more),
    "components": lambda **more: ls.components(["a", "b"], **more),
    "trajectory": lambda **more: ls.trajectory(["a", "b"], **more),
    "probe": lambda **more: ls.probe("a", **more),
}
OWN = {
    "barriers": "halfwidth", "align": "points", "curve": "bends", "plane": "resolution", "simplex": "mixtures",
    "llc": "localisation", "probe": "count", "trajectory": "resamples", "components": "starts",
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_an_unknown_setting_gets_a_sentence_with_the_one_that_was_meant(name: str) -> None:
    for meant in ("length", OWN[name]):
        wrong = meant[:-2] + meant[-1] + meant[-2]
        with pytest.raises(InputError, match=rf"^{wrong}: unknown setting; did you mean {meant}\?$"):
            CALLS[name](**{wrong: 3})
    with pytest.raises(InputError, match=r"^length: Input should be a valid integer.*\(got 'many'\)$"):
        CALLS[name](length="many")


class Scaled(nn.Module):
    """A linear map times a constant that is no parameter."""

    def __init__(self, scale: float, *, persistent: bool | None = None) -> None:
        super().__init__()
        self.map = nn.Linear(4, 3)
        if persistent is None:
            self.scale = scale
        else:
            self.register_buffer("scale", torch.tensor(scale), persistent=persistent)

    def forward(self, x: Tensor) -> Tensor:
        return self.map(x) * self.scale


@pytest.mark.parametrize("models", [
    (nn.Sequential(nn.Linear(4, 3), nn.ReLU()), nn.Sequential(nn.Linear(4, 3), nn.Tanh())),
    (Scaled(1.0), Scaled(10.0)),
    (Scaled(1.0, persistent=False), Scaled(10.0, persistent=False)),
])  # fmt: skip
def test_modules_that_differ_in_more_than_parameters_are_refused(models: tuple[nn.Module, nn.Module]) -> None:
    with pytest.raises(InputError, match=r"model 2 computes another function than the first one with the same param"):
        ls.barriers(list(models), **MEMORY, points=3)


def test_persistent_buffers_are_those_of_each_module() -> None:
    models = [Scaled(1.0, persistent=True), Scaled(10.0, persistent=True)]
    row = ls.barriers(models, **MEMORY, points=3).frame.iloc[0]
    for model, got in zip(models, (row["loss_a"], row["loss_b"]), strict=True):
        assert got == pytest.approx(F.cross_entropy(model(X), Y).item(), rel=1e-5)


def test_modules_in_float64_are_refused() -> None:
    models = [nn.Linear(4, 3).double() for _ in range(2)]
    with pytest.raises(InputError, match=r"weight of model 1 is float64, .* give model.float\(\)"):
        ls.barriers(models, loss=MEMORY["loss"], batches={"inputs": X.double(), "labels": Y}, points=3)
