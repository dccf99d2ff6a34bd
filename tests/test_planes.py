"""Planes, simplices and random directions: true scale, true filters, and the mistakes that others made."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.testing import assert_close
from transformers import AutoModelForCausalLM

from landscape.checkpoints import models
from landscape.cli import plane as commands
from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.objectives import causal_lm
from landscape.paths import directions, fit, plane, saved, simplex
from landscape.space import Space, output_axes


def points(count: int, seed: int = 1) -> list[Tensor]:
    return list(torch.randn(count, 40, generator=cases.generator(seed), dtype=torch.float64))


def test_a_plane_through_three_is_in_true_scale() -> None:
    anchors = points(3)
    found = plane.through(anchors)
    xy, off = found.project(anchors, anchors)
    assert_close(off, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-12)
    for i, j in combinations(range(3), 2):
        assert float((xy[i] - xy[j]).norm()) == pytest.approx(float((anchors[i] - anchors[j]).norm()))
    assert xy[0].abs().max() < 1e-12 and abs(xy[1, 1]) < 1e-12 and xy[2, 1] > 0
    assert_close(found.coefficients(xy), torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-12)
    xy = torch.tensor([[0.3, -2.0], [1.7, 0.9]], dtype=torch.float64)
    made = found.coefficients(xy) @ torch.stack(anchors)
    assert float((made[0] - made[1]).norm()) == pytest.approx(float((xy[0] - xy[1]).norm()))
    back, off = found.project(list(made + 0.5 * orthogonal(made, anchors)), anchors)
    assert_close(back, xy, rtol=0, atol=1e-12)
    assert_close(off, torch.full((2,), 0.5, dtype=torch.float64), rtol=0, atol=1e-12)


def orthogonal(made: Tensor, anchors: list[Tensor]) -> Tensor:
    """A unit vector orthogonal to the plane of the anchors."""
    basis = torch.linalg.qr(torch.stack([anchors[1] - anchors[0], anchors[2] - anchors[0], made[0] * 0 + 1]).T).Q
    return basis[:, 2]


def test_a_trajectory_plane_is_that_of_principal_components() -> None:
    walk = torch.randn(9, 40, generator=cases.generator(2), dtype=torch.float64).cumsum(dim=0)
    found = plane.trajectory(list(walk))
    truth = PCA(2).fit(walk.numpy())
    assert found.explained == pytest.approx(tuple(truth.explained_variance_ratio_))
    xy, off = found.project(list(walk), list(walk))
    theirs = truth.transform(walk.numpy())
    for k in (0, 1):
        sign = np.sign(theirs[0, k] * float(xy[0, k]))
        assert xy[:, k].tolist() == pytest.approx(list(sign * theirs[:, k]))
        assert xy[-1, k] >= xy[0, k]
    rest = walk.numpy() - truth.inverse_transform(theirs)
    assert off.tolist() == pytest.approx(list(np.linalg.norm(rest, axis=1)))


def test_what_spans_no_plane_is_refused() -> None:
    a, b, _ = points(3)
    with pytest.raises(InputError, match="lie on one line"):
        plane.through([a, b, 0.3 * a + 0.7 * b])
    with pytest.raises(InputError, match="lie on one line"):
        plane.through([a, a, b])
    for same in ([a, b, a], [a, a, a], [a, b, b]):
        with pytest.raises(InputError, match="lie on one line"):
            plane.through(same)
    with pytest.raises(InputError, match="goes through three checkpoints, got 2"):
        plane.through([a, b])
    with pytest.raises(InputError, match="at least three checkpoints, got 2"):
        plane.trajectory([a, b])
    with pytest.raises(InputError, match="lie on one line"):
        plane.trajectory([a, b, (a + b) / 2, 2 * a - b])


class Odd(nn.Module):
    """A convolution, a transposed one, a linear layer with one output, a bias, and a column."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 2)
        self.back = nn.ConvTranspose2d(4, 6, 3)
        self.linear = nn.Linear(7, 2)
        self.column = nn.Linear(1, 6, bias=False)


def filters(direction: Tensor, space: Space, axes: tuple[int, ...]) -> dict[str, Tensor]:
    """Each parameter as ``[filters, rest]``, by the definition."""
    return {
        name: value.movedim(axis, 0).reshape(value.shape[axis], -1)
        for (name, value), axis in zip(space.params(direction).items(), axes, strict=True)
    }


def test_outputs_are_counted_where_torch_keeps_them() -> None:
    assert dict(zip(Space.of(Odd()).names, output_axes(Odd()), strict=True)) == {
        "conv.weight": 0, "conv.bias": 0, "back.weight": 1, "back.bias": 0, "linear.weight": 0, "linear.bias": 0,
        "column.weight": 0,
    }  # fmt: skip


@pytest.mark.parametrize("make", [Odd, cases.gpt2, pytest.param(cases.bert, marks=pytest.mark.slow)])
def test_directions_have_the_norm_of_every_filter_and_are_orthogonal_in_each(make: Any) -> None:
    model = make().double()
    space, axes = Space.of(model), output_axes(model)
    point = space.vector(dict(model.named_parameters())).detach()
    one, two = directions.filtered(point, space, axes, cases.generator(3))
    per_tensor_would_do = True
    for name, here in filters(point, space, axes).items():
        d, e = (filters(way, space, axes)[name] for way in (one, two))
        if space.params(point)[name].ndim < 2:
            assert not d.any() and not e.any()
        elif here.shape[1] == 1:
            assert d.norm() == pytest.approx(float(here.norm())) and float((d * e).sum()) == pytest.approx(0, abs=1e-12)
        else:
            assert_close(d.norm(dim=1), here.norm(dim=1), rtol=1e-12, atol=0)
            assert_close(e.norm(dim=1), here.norm(dim=1), rtol=1e-12, atol=0)
            assert_close((d * e).sum(dim=1), torch.zeros(len(d), dtype=d.dtype), rtol=0, atol=1e-9)
            equal = torch.full_like(here.norm(dim=1), float(here.norm() / len(here) ** 0.5))
            per_tensor_would_do &= torch.allclose(here.norm(dim=1), equal, rtol=1e-3)
    assert not per_tensor_would_do
    assert abs(float(one @ two)) < 1e-9 * float(one.norm() * two.norm())


def test_filters_of_gpt2_are_the_columns_that_transformers_stores() -> None:
    model = cases.gpt2()
    axes = dict(zip(Space.of(model).names, output_axes(model), strict=True))
    assert axes["transformer.h.0.attn.c_attn.weight"] == 1 and axes["transformer.wte.weight"] == 0


def test_directions_are_symmetric_noise() -> None:
    """Not from [0, 1], whose directions all share their mean; and another seed is another direction."""
    model = nn.Linear(200, 50, bias=False).double()
    space, point = Space.of(model), model.weight.detach().flatten()
    one, two = directions.filtered(point, space, (0,), cases.generator(3))
    for way in (one, two):
        assert abs(float(way.mean())) < 4 * float(way.std()) / len(way) ** 0.5
    again = directions.filtered(point, space, (0,), cases.generator(4))
    assert abs(float(one @ again[0])) < 0.05 * float(one.norm() * again[0].norm())


def test_mixtures_are_what_they_are_called() -> None:
    kinds, rows = simplex.mixtures(4, 3000, cases.generator(5))
    assert [kinds.count(k) for k in simplex.MIXTURES] == [4, 6, 1, 3000]
    assert_close(rows.sum(dim=1), torch.ones(len(rows), dtype=torch.float64), rtol=0, atol=1e-12)
    assert rows.min() >= 0
    edges = {tuple(row) for kind, row in zip(kinds, rows.tolist(), strict=True) if kind == "edge"}
    assert edges == {tuple(0.5 if k in pair else 0.0 for k in range(4)) for pair in combinations(range(4), 2)}
    inside = rows[11:]
    # Evenly from the simplex: each share has mean 1/4 and variance 3/80.
    assert_close(
        inside.mean(dim=0), torch.full((4,), 0.25, dtype=torch.float64), rtol=0, atol=4 * (3 / 80 / 3000) ** 0.5
    )
    assert_close(inside.var(dim=0), torch.full((4,), 3 / 80, dtype=torch.float64), rtol=0.12, atol=0)
    two, rows = simplex.mixtures(2, 0, cases.generator(1))
    assert two == ["vertex", "vertex", "centre"] and rows[2].tolist() == [0.5, 0.5]


def run(command: str, *arguments: object) -> Result:
    return CliRunner().invoke(cli, [command, *map(str, arguments)])


def options(folder: Path) -> list[object]:
    (folder / "held.txt").write_text(cases.TEXT)
    return ["--text", folder / "held.txt", "--sequences", 7, "--length", 9, "--json"]


def read(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, (result.output, result.exception)
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def loss_of(model: Any, folder: Path) -> np.ndarray:
    """Loss of each sequence, as transformers says it."""
    batch = causal_lm.encode((folder / "held.txt").read_text(), cases.tokenizer(), sequences=7, length=9)
    with torch.no_grad():
        return np.array([float(model(input_ids=row[None], labels=row[None]).loss) for row in batch["input_ids"]])


def naive(weights: list[dict[str, Tensor]], shares: list[float]) -> Any:
    """A new model of mixed state dicts."""
    model: Any = cases.gpt2()
    mixed = {
        name: sum(share * w[name].double() for share, w in zip(shares, weights, strict=True)) for name in weights[0]
    }
    model.load_state_dict({name: torch.as_tensor(value).float() for name, value in mixed.items()})
    return model.eval()


def test_every_place_of_a_plane_is_that_model(few_runs: Path, tmp_path: Path) -> None:
    """Each place by loading the mixed weights; rows and columns of the raster line up; no checkpoint is changed."""
    refs = [few_runs / f"seed_{s}" / "step_10" for s in range(3)]
    rows = read(run("plane", *refs, *options(tmp_path), "--resolution", 5, "--margin", 0.2, "--out", tmp_path / "p"))
    weights = [AutoModelForCausalLM.from_pretrained(ref).state_dict() for ref in refs]
    a, b, c = (models.load(ref, cases.gpt2()).double() for ref in refs)
    u = (b - a) / (b - a).norm()
    v = (c - a) - ((c - a) @ u) * u
    v = v / v.norm()
    places = [row for row in rows if row["table"] == "plane"]
    base = loss_of(naive(weights, [1, 0, 0]), tmp_path)
    for row in places[::6]:
        want = row["x"] * u + row["y"] * v
        gram = torch.stack([b - a, c - a])
        q, r = torch.linalg.solve(gram @ gram.T, gram @ want).tolist()
        losses = loss_of(naive(weights, [1 - q - r, q, r]), tmp_path)
        assert row["loss"] == pytest.approx(losses.mean(), abs=1e-5)
        assert row["error"] == pytest.approx(losses.std(ddof=1) / 7**0.5, abs=1e-5)
        assert row["above"] == pytest.approx((losses - base).mean(), abs=1e-5)
        assert row["above_error"] == pytest.approx((losses - base).std(ddof=1) / 7**0.5, abs=1e-5)
    x, y = (sorted({row[axis] for row in places}) for axis in "xy")
    assert len(places) == len(x) * len(y) == len({(row["x"], row["y"]) for row in places})
    assert np.diff(x) == pytest.approx(np.diff(y)[0]) and max(len(x), len(y)) == 5
    marks = [row for row in rows if row["table"] == "place"]
    for row, ref, w in zip(marks, refs, weights, strict=True):
        assert row["checkpoint"] == str(ref) and row["off_plane"] == pytest.approx(0, abs=1e-4)
        assert row["loss"] == pytest.approx(loss_of(naive([w], [1]), tmp_path).mean(), abs=1e-5)
        assert min(x) < row["x"] < max(x) and min(y) < row["y"] < max(y)
    for axis, here in (("x", x), ("y", y)):
        long = max(max(m[k] for m in marks) - min(m[k] for m in marks) for k in "xy")
        assert min(here) == pytest.approx(min(m[axis] for m in marks) - 0.2 * long)
    assert (tmp_path / "p" / "plane.png").stat().st_size > 10_000 and (tmp_path / "p" / "plane.svg").exists()


@pytest.mark.slow
def test_random_and_trajectory_planes(few_runs: Path, tmp_path: Path) -> None:
    seed = few_runs / "seed_1" / "step_10"
    rows = read(run("plane", seed, *options(tmp_path), "--resolution", 5, "--span", 0.5, "--out", tmp_path / "r"))
    places = [row for row in rows if row["table"] == "plane"]
    model = cases.gpt2()
    point = models.load(seed, model)
    ways = directions.filtered(point, Space.of(model), output_axes(model), torch.Generator().manual_seed(0))
    reach = float(ways[0].norm())
    assert len(places) == 25 and max(row["x"] for row in places) == pytest.approx(reach / 2, rel=1e-5)
    (middle,) = [row for row in places if abs(row["x"]) < 1e-6 and abs(row["y"]) < 1e-6]
    assert middle["above"] == pytest.approx(0, abs=1e-6)
    corner = max(places, key=lambda row: row["x"] + row["y"])
    space = Space.of(model)
    with torch.no_grad():
        for name, value in space.params(point + 0.5 * (ways[0] + ways[1])).items():
            model.get_parameter(name).copy_(value)
    assert corner["loss"] == pytest.approx(loss_of(model, tmp_path).mean(), abs=1e-4)
    refs = [few_runs / f"seed_{s}" / f"step_{t}" for s in (0, 1) for t in (0, 10)]
    many = read(run("plane", *refs, *options(tmp_path), "--resolution", 4, "--out", tmp_path / "t"))
    (shares,) = {(row["explained_x"], row["explained_y"]) for row in many}
    assert 0 < shares[1] <= shares[0] < 1 and sum(shares) < 1
    assert max(row["off_plane"] for row in many if row["table"] == "place") > 0.1


@pytest.mark.parametrize("within", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_learned_path_is_drawn_where_it_lies(
    few_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, within: bool
) -> None:
    """From the origin to the second checkpoint on the x axis, by way of a quarter, a half and a quarter of the points.

    Off the plane, where its shadow is.
    """
    lines: list[np.ndarray] = []

    def caught(figure: Any, out: Path, name: str) -> str:
        lines.extend(np.array(line.get_xydata()) for line in figure.axes[0].lines)
        return f"{out / name} is not written here"

    monkeypatch.setattr(commands, "save_figure", caught)
    refs = [few_runs / f"seed_{s}" / "step_10" for s in range(3)]
    anchors = torch.stack([models.load(ref, cases.gpt2()) for ref in refs])
    bend = anchors[2] if within else anchors[2] + torch.randn(anchors.shape[1], generator=cases.generator(9))
    whole = torch.stack([anchors[0], bend, anchors[1]])
    state = fit.State(whole[1:-1], torch.zeros_like(whole[1:-1]), torch.zeros_like(whole[1:-1]), 3)
    file = tmp_path / "c.safetensors"
    saved.save(file, saved.Saved(("a", "b"), fit.FitSettings(steps=3), whole, state))
    done = run("plane", *refs, *options(tmp_path), "--resolution", 4, "--curve", file, "--out", tmp_path / "p")
    assert done.exit_code == 0, done.exception
    assert ("its projection is drawn" in done.output) == (not within)
    (path,) = [line for line in lines if len(line) == 101]
    a, b, middle = (point.double() for point in (*anchors[:2], bend))
    u = (b - a) / (b - a).norm()
    v = (anchors[2] - a) - ((anchors[2] - a) @ u) * u
    half = (a + b) / 4 + middle / 2 - a
    expected = [[0, 0], [float(half @ u), float(half @ v / v.norm())], [float((b - a).norm()), 0]]
    np.testing.assert_allclose(path[[0, 50, 100]], expected, rtol=0, atol=1e-4)
    few = torch.randn(3, 8, generator=cases.generator(1))
    saved.save(
        file, saved.Saved(("a", "b"), fit.FitSettings(steps=3), few, fit.State(few[1:-1], few[1:-1], few[1:-1], 3))
    )
    other = run("plane", *refs, *options(tmp_path), "--resolution", 4, "--curve", file, "--out", tmp_path / "p")
    assert "the path has 8 parameters and the checkpoints have" in str(other.exception)


def test_mixtures_are_those_models(few_runs: Path, tmp_path: Path) -> None:
    refs = [few_runs / f"seed_{s}" / "step_10" for s in range(3)]
    rows = read(run("simplex", *refs, *options(tmp_path), "--mixtures", 2))
    assert [row["kind"] for row in rows] == ["vertex"] * 3 + ["edge"] * 3 + ["centre"] + ["random"] * 2
    weights = [AutoModelForCausalLM.from_pretrained(ref).state_dict() for ref in refs]
    ends = [loss_of(naive([w], [1]), tmp_path) for w in weights]
    best = ends[int(np.argmin([e.mean() for e in ends]))]
    for row in rows:
        shares = json.loads(row["weights"])
        losses = loss_of(naive(weights, shares), tmp_path)
        rise = losses - sum(share * e for share, e in zip(shares, ends, strict=True))
        for name, values in {"rise": rise, "above_best": losses - best}.items():
            assert row[name] == pytest.approx(values.mean(), abs=1e-5)
            assert row[f"{name}_error"] == pytest.approx(values.std(ddof=1) / 7**0.5, abs=1e-5)
        assert row["loss"] == pytest.approx(losses.mean(), abs=1e-5)


def test_bad_input_gets_a_sentence(few_runs: Path, tmp_path: Path) -> None:
    one, two = (few_runs / f"seed_{s}" / "step_10" for s in (0, 1))
    copies = run("plane", one, two, one, *options(tmp_path), "--resolution", 3, "--out", tmp_path / "c")
    assert copies.exit_code == 3 and "the three checkpoints lie on one line" in copies.output
    (tmp_path / "bad.safetensors").write_text("x")
    late = run("plane", one, *options(tmp_path), "--curve", tmp_path / "bad.safetensors", "--out", tmp_path / "d")
    assert "holds no path of landscape" in str(late.exception) and not (tmp_path / "d").exists()
    said = str(run("plane", one, two, *options(tmp_path), "--out", tmp_path / "p").exception)
    assert "2 checkpoints are given for a trajectory plane; give one for a random plane, three" in said
    assert "is one checkpoint; a mixture is of two or more" in str(run("simplex", one, *options(tmp_path)).exception)


@pytest.mark.slow
def test_planes_and_simplices_in_a_study(few_runs: Path, tmp_path: Path) -> None:
    for seed in range(3):
        (tmp_path / f"seed_{seed}").symlink_to(few_runs / f"seed_{seed}")
    file = cases.study(tmp_path, sequences="4", length="8")
    more = (
        '[[measure]]\nkind = "simplices"\nmixtures = 2\n[[measure]]\nkind = "planes"\nplane = "through"\n'
        'at_steps = "last"\nresolution = 4\n[[measure]]\nkind = "planes"\nplane = "random"\nat_steps = "last"\n'
        "resolution = 3\nparts = 2\n"
    )
    text = file.read_text()
    file.write_text(text[: text.index("[[measure]]")] + more)
    assert run("run", file, "--workers", 1).exit_code == 0
    exported = run("export", tmp_path, "--format", "parquet")
    assert exported.exit_code == 0 and (tmp_path / "export" / "plane.parquet").exists()
    import pandas as pd

    planes = pd.read_parquet(tmp_path / "export" / "plane.parquet")
    assert planes.groupby("kind")["plane"].nunique().to_dict() == {"random": 3, "through": 1}
    assert (planes[planes["kind"] == "random"].groupby("plane").size() == 9).all()
    mixtures = pd.read_parquet(tmp_path / "export" / "mixture.parquet")
    assert mixtures.groupby("step").size().tolist() == [9, 9]
