"""Lines along a run and means of its checkpoints: closed forms, the usual loop, and command, study and face alike."""

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

import landscape as ls
from landscape.cli.main import cli
from landscape.cli.report import frames
from landscape.cli.run import run_study
from landscape.errors import InputError
from landscape.figures.frames import Frames
from landscape.figures.trajectory import section
from landscape.paths.directions import shuffled
from landscape.profile import along_run, barrier
from landscape.space import Space
from landscape.study.checkpoint import Checkpoint, labels
from landscape.study.file import Study, read_study
from landscape.study.kinds.trajectory import Trajectory
from landscape.study.measure import Grid
from landscape.study.store import Store

STEPS = (0, 10, 20, 40)
T = np.linspace(0, 1, 9)
WEIGHTS = barrier.resamples(400, 300, 0)


@pytest.fixture(scope="module")
def run_of_one_seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    for step in STEPS:
        cases.save(cases.gpt2(3 + step), folder / "seed_0" / f"step_{step}")
    cases.study(folder, sequences="6")
    return folder


def with_noise(mean: np.ndarray, scale: float = 0.3, seed: int = 0) -> np.ndarray:
    """Losses whose means are these to the last digit."""
    noise = scale * np.random.default_rng(seed).normal(size=(len(mean), 400))
    return mean[:, None] + noise - noise.mean(axis=1, keepdims=True)


def test_numbers_of_a_line_are_those_of_their_definitions() -> None:
    mean = np.array([3.0, 3.1, 2.7, 3.3, 2.5, 1.2, 1.4, 0.9, 1.0])
    read = along_run.of_line(T, with_noise(mean, 0.001), WEIGHTS, fall=0.1)
    ascent = max(mean[j] - mean[i] for i in range(9) for j in range(i, 9))
    assert read["height"].value == pytest.approx(mean.max() - mean[0], abs=1e-3)
    assert read["ascent"].value == pytest.approx(ascent, abs=1e-3)
    level = mean[0] - 0.1 * (mean[0] - mean[-1])
    fine = np.linspace(0, 1, 100_001)
    above = fine[np.interp(fine, T, mean) > level].max()
    assert read["plateau"].value == pytest.approx(above, abs=2e-5)
    assert "exceeds_at" not in read
    for one in read.values():
        assert one.low <= one.value <= one.high and one.high - one.low < 0.02


def test_a_line_that_never_falls_has_no_plateau_and_one_that_stays_low_no_crossing() -> None:
    t = np.linspace(0, 2, 17)
    rising = along_run.of_line(t, with_noise(1 + t), WEIGHTS, fall=0.1)
    assert np.isnan(rising["plateau"].value) and rising["exceeds_at"].value == 1
    falling = along_run.of_line(t, with_noise(5 - t), WEIGHTS, fall=0.1)
    crossing = falling["exceeds_at"]
    assert np.isnan(crossing.value) and np.isnan(crossing.high) and crossing.low == 2
    assert falling["height"].value == 0 and falling["ascent"].value <= falling["ascent"].high < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["height", "ascent", "plateau", "exceeds_at"])
def test_intervals_cover(metric: str) -> None:
    """Of 200 data sets at least 180 intervals hold the truth: with a coverage of 0.95 fewer are one in 1,000 tries."""
    t = np.linspace(0, 2, 9)
    mean = np.array([3.0, 3.4, 2.9, 2.0, 1.0, 1.2, 2.6, 3.5, 4.0])
    truth = {"height": 0.4, "ascent": 0.4, "plateau": along_run.plateau(t[:5], mean[:5], 0.1),
             "exceeds_at": along_run.exceeds_at(t[[0, 4, 5, 6, 7, 8]], mean[[0, 4, 5, 6, 7, 8]])}[metric]  # fmt: skip
    random, weights, hits = np.random.default_rng(1), barrier.resamples(60, 200, 0), 0
    for _ in range(200):
        losses = mean[:, None] + random.normal(size=(1, 60)) + 0.5 * random.normal(size=(9, 60))
        read = along_run.of_line(t, losses, weights, fall=0.1)[metric]
        hits += read.low <= truth <= read.high
    assert hits >= 180


def test_a_window_gains_what_convexity_gives() -> None:
    """Of ``w^2`` the mean of -1 and 3 has the loss 1, the mean of the losses is 5, and the newest has 9."""
    members = with_noise(np.array([1.0, 9.0]), seed=1)
    read = along_run.of_window(members, with_noise(np.ones(1), seed=2)[0])
    assert read["gain_over_mean"].value == pytest.approx(4) and read["gain_over_newest"].value == pytest.approx(8)
    assert read["gain_over_mean"].low < 4 < read["gain_over_mean"].high


def test_a_run_enters_its_basin_where_the_gain_stays() -> None:
    rows = pd.DataFrame([
        {"metric": "gain_over_mean", "seed_b": seed, "step_b": step, "low": low}
        for seed, lows in (("a", [0.1, -0.1, 0.2, 0.3]), ("b", [0.1, 0.2, 0.3, -0.1]))
        for step, low in zip((4, 8, 16, 32), lows, strict=True)
    ])  # fmt: skip
    assert along_run.entered(rows.sample(frac=1, random_state=0)).set_index("run")["step"].to_dict() == pytest.approx(
        {"a": 16, "b": np.nan}, nan_ok=True
    )


def checkpoints(*steps: int, seeds: int = 1) -> Grid:
    return Grid(tuple(Checkpoint(f"{s}/{t}", labels({"seed": s, "step": t}), content=f"{s}{t}")
                      for s in range(seeds) for t in steps))  # fmt: skip


@pytest.mark.parametrize("tile", [1, 2, 9])
def test_every_window_is_of_consecutive_checkpoints_once(tile: int) -> None:
    spec = Trajectory(between="window", k=3, tile=tile)
    grid, seen = checkpoints(1, 2, 4, 8, 16, seeds=2), []
    for group in spec.groups(grid):
        for anchors, pairs in spec.tiles(group):
            seen += [[c.ref for c in anchors[i : j + 1]] for i, j in pairs]
    assert seen == [[f"{s}/{t}" for t in some] for s in (0, 1) for some in ((1, 2, 4), (2, 4, 8), (4, 8, 16))]


@pytest.mark.parametrize(("given", "said"), [
    ({"between": "window", "beyond": 2.0}, 'beyond is a setting of lines, and between = "window" averages'),
    ({"k": 3}, 'k is the size of a window: give between = "window"'),
    ({"between": "last", "control": True}, 'control is noise in place of the first checkpoint: give between = "first"'),
])  # fmt: skip
def test_settings_that_do_not_go_together_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Trajectory.model_validate(given)


def test_too_few_checkpoints_are_said(run_of_one_seed: Path) -> None:
    refs = [str(run_of_one_seed / "seed_0" / f"step_{step}") for step in (0, 10)]
    with pytest.raises(InputError, match="2 checkpoints are given; between = window needs 5 of one run or more"):
        ls.trajectory(refs, between="window", text=str(run_of_one_seed / "text.txt"))


def test_noise_has_the_numbers_of_each_tensor() -> None:
    model = cases.gpt2(1)
    space = Space.of(model)
    point = space.vector(dict(model.named_parameters()))
    noise = shuffled(point, space, cases.generator(3))
    assert not torch.equal(noise, point)
    for one, other in zip(space.params(point).values(), space.params(noise).values(), strict=True):
        assert torch.equal(one.flatten().sort().values, other.flatten().sort().values)


def examples(folder: Path) -> torch.Tensor:
    ids = torch.tensor(cases.tokenizer()((folder / "text.txt").read_text())["input_ids"])
    ids = ids[: len(ids) // 12 * 12].view(-1, 12)
    return ids[[round(k * (len(ids) - 1) / 5) for k in range(6)]]


def study(folder: Path, out: Path, **measure: object) -> dict[str, pd.DataFrame]:
    read = read_study(folder / "study.toml")
    own = Study.model_validate({**read.model_dump(exclude={"measure"}), "measure": [{"kind": "trajectory", **measure}]})
    assert run_study(own, out, device="cpu", workers=1) == {}
    store = Store(out / "results")
    return store.tables(task["key"] for task in store.record()["tasks"])


def test_lines_of_a_study_are_those_of_the_usual_loop(run_of_one_seed: Path, tmp_path: Path) -> None:
    """Ends as transformers has them, and points beyond; the noise is a line of its own."""
    tables = study(run_of_one_seed, tmp_path, points=5, beyond=1.5, resamples=100)
    model = {step: cases.gpt2().from_pretrained(run_of_one_seed / "seed_0" / f"step_{step}").eval() for step in STEPS}
    t = np.arange(7) / 4
    rows = tables["line"]
    assert len(rows) == 2 * 3 * 7 and set(rows["start"]) == {"checkpoint", "noise"}
    for step in STEPS[1:]:
        own = rows[(rows["step_b"] == step) & (rows["start"] == "checkpoint")]
        losses = oracles.usual_loop(model[0], model[step], examples(run_of_one_seed), t)
        assert_allclose(own["t"], t)
        assert_allclose(own["loss"], losses.mean(axis=1), atol=1e-6 * 5)
        assert_allclose(own["above"], (losses - losses[0]).mean(axis=1), atol=1e-5)
        numbers = tables["trajectory"]
        found = numbers[(numbers["step_b"] == step) & (numbers["start"] == "checkpoint")].set_index("metric")
        inside = losses.mean(axis=1)[:5]
        assert found.loc["height", "low"] <= inside.max() - inside[0] <= found.loc["height", "high"]
    noise = copy.deepcopy(model[0])
    space = Space.of(noise)
    point = shuffled(space.vector(dict(noise.named_parameters())), space, cases.generator(0))
    with torch.no_grad():
        for name, value in space.params(point).items():
            noise.get_parameter(name).copy_(value)
    losses = oracles.usual_loop(noise, model[40], examples(run_of_one_seed), t)
    own = rows[(rows["step_b"] == 40) & (rows["start"] == "noise")]
    assert_allclose(own["loss"], losses.mean(axis=1), atol=1e-5)
    assert (tables["trajectory"]["a"].str.endswith("step_0")).all()


def test_windows_of_a_study_are_means_of_state_dicts(run_of_one_seed: Path, tmp_path: Path) -> None:
    tables = study(run_of_one_seed, tmp_path, between="window", k=3)
    rows = tables["trajectory"]
    models = [cases.gpt2().from_pretrained(run_of_one_seed / "seed_0" / f"step_{step}").eval() for step in STEPS]
    ids = examples(run_of_one_seed)
    for n in (0, 1):
        members = models[n : n + 3]
        mean = copy.deepcopy(members[0])
        states = [one.state_dict() for one in members]
        mean.load_state_dict({name: sum(s[name] for s in states) / 3 for name in states[0]})
        own = rows[rows["step_b"] == STEPS[n + 2]].set_index("metric")
        alone = [oracles.usual_loop(one, one, ids, [0.0])[0] for one in (*members, mean)]
        assert own.loc["gain_over_mean", "value"] == pytest.approx(np.mean(alone[:3]) - alone[3].mean(), abs=1e-5)
        gain = alone[2] - alone[3]
        assert own.loc["gain_over_newest", "value"] == pytest.approx(gain.mean(), abs=1e-5)
        half = 1.96 * gain.std(ddof=1) / 6**0.5
        assert own.loc["gain_over_newest", "high"] == pytest.approx(gain.mean() + half, abs=1e-5)
    assert set(rows["step_a"]) == {0, 10} and (rows["window"] == 3).all() and "line" not in tables
    made = section(frames(Store(tmp_path / "results")))
    assert made is not None and made.text.endswith("mean of the losses: run 0 from step 20 on.")


@pytest.mark.slow
def test_face_command_and_report_have_the_rows_of_the_study(run_of_one_seed: Path, tmp_path: Path) -> None:
    tables = study(run_of_one_seed, tmp_path / "study", points=4, beyond=2.0, resamples=100)
    pattern, text = str(run_of_one_seed / "seed_0" / "step_{step}"), str(run_of_one_seed / "text.txt")
    given = {"points": 4, "beyond": 2.0, "resamples": 100, "sequences": 6, "length": 12, "text": text}
    found = ls.trajectory(pattern, **given)
    numbers = ["value", "low", "high"]
    wanted = tables["trajectory"].sort_values(["step_b", "start", "metric"])[numbers].astype(float)
    mine = found.frame.sort_values(["step_b", "start", "metric"])[numbers].astype(float)
    assert_allclose(mine.to_numpy(), wanted.to_numpy(), atol=1e-6)
    assert found.plot().get_ylabel() == "loss (nats per token)" and len(found.summary()) == len(wanted)
    options = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    ended = CliRunner().invoke(cli, ["trajectory", pattern, *options, "--json", "--out", str(tmp_path / "out")])
    assert ended.exit_code == 0, ended.output
    rows = pd.DataFrame([json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")])
    shown = rows[rows["table"] == "trajectory"].sort_values(["step_b", "start", "metric"])[numbers].astype(float)
    assert_allclose(shown.to_numpy(), wanted.to_numpy(), atol=1e-6)
    assert (tmp_path / "out" / "trajectory.svg").exists()
    made = section(Frames(trajectory=tables["trajectory"], line=tables["line"]))
    assert made is not None and len(made.figure.axes) == 3
    assert len(made.figure.axes[0].lines) == 6 + 1  # three lines, three from noise, and t = 1
    heights = tables["trajectory"].query("metric == 'height' and start == 'checkpoint'").sort_values("step_b")
    assert_allclose(made.figure.axes[1].lines[0].get_ydata(), heights["value"])
    ended = CliRunner().invoke(cli, ["trajectory", pattern, "--between", "window", "--k", "3", *options[6:]])
    assert ended.exit_code == 0 and "the mean of 3 checkpoints gains over the mean of their losses" in ended.stderr


def test_a_bowl_is_left_where_its_other_side_is_as_high() -> None:
    """From ``w`` to ``w / 2`` the loss is ``(1 - t / 2)^2`` of the start, which is reached again at t = 4."""
    bowl = cases.Bowl(torch.tensor([1.0, 3.0, 0.5]))
    states = [{"w": scale * torch.tensor([1.3, -0.4, 2.1]), "curvature": bowl.curvature} for scale in (1.0, 0.5)]
    x = torch.rand(20, generator=cases.generator(1)) + 0.5
    found = ls.trajectory(states, model=bowl, loss=lambda out, batch: out, batches={"inputs": x}, points=41, beyond=5.0)
    rows = found.frame[found.frame["start"] == "checkpoint"].set_index("metric")
    assert rows.loc["exceeds_at", "value"] == pytest.approx(4, abs=1e-5)
    assert rows.loc[["height", "ascent"], "value"].tolist() == [0, 0]
    plateau = 2 * (1 - (1 - 0.1 * 0.75) ** 0.5)
    assert rows.loc["plateau", "value"] == pytest.approx(plateau, abs=1e-3)


def test_a_line_that_is_continued_too_far_is_said() -> None:
    """The loss is ``exp(w^2)``, which is infinite from w = 9.5 on."""
    bowl = cases.Bowl(torch.ones(1))
    states = [{"w": torch.tensor([w]), "curvature": bowl.curvature} for w in (1.0, 4.0)]
    found = ls.trajectory(
        states, model=bowl, loss=lambda out, batch: torch.exp(out), batches={"inputs": torch.ones(8)}, beyond=4.0
    )
    (said,) = found.failed.values()
    assert "the loss is not finite at" in said and "or lower beyond, since lines are continued to t = 4" in said


def test_the_gain_of_windows_is_a_series(run_of_one_seed: Path, tmp_path: Path) -> None:
    from landscape.stages.series.observed import from_tables

    rows = study(run_of_one_seed, tmp_path, between="window", k=2)["trajectory"]
    series = from_tables({"trajectory": rows}).series
    own = series[series["series"] == "trajectory:window:gain_over_mean"].sort_values("step")
    assert own["step"].tolist() == [10, 20, 40] and own["headline"].all()
    wanted = rows[rows["metric"] == "gain_over_mean"].sort_values("step_b")["value"]
    assert_allclose(own["value"], wanted)
