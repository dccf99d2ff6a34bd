"""A point on a path as a folder: what transformers loads is the point."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cases
import pytest
import torch
from click.testing import CliRunner
from test_agree import BIAS, blend, mixture
from transformers import AutoModelForCausalLM, AutoTokenizer

import landscape as ls
from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.paths import kind, saved
from landscape.space import Space


def loaded(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder).eval()


def ends(few_runs: Path) -> tuple[str, str]:
    return str(few_runs / "seed_0" / "step_10"), str(few_runs / "seed_1" / "step_10")


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0, 1.4])
def test_a_point_of_a_line_is_the_mean_of_the_state_dicts(few_runs: Path, tmp_path: Path, t: float) -> None:
    """Its head is still tied, and its tokenizer is that of the first."""
    a, b = ends(few_runs)
    folder = ls.point(a, b, t=t, out=tmp_path / "point")
    one, two, found = loaded(Path(a)), loaded(Path(b)), loaded(folder)
    for name, value in found.named_parameters():
        wanted = (1 - t) * one.get_parameter(name) + t * two.get_parameter(name)
        assert torch.allclose(value, wanted, atol=0 if t in (0, 1) else 1e-6), name
    assert found.lm_head.weight is found.transformer.wte.weight
    assert AutoTokenizer.from_pretrained(folder).get_vocab() == cases.tokenizer().get_vocab()
    mark = json.loads((folder / "point.json").read_text())
    assert mark["t"] == t and mark["a"] == a and len(set(mark["contents"])) == 2


def test_arcs_have_a_row_for_each_tensor(few_runs: Path, tmp_path: Path) -> None:
    a, b = ends(few_runs)
    found = loaded(ls.point(a, b, t=0.4, path="spherical", out=tmp_path / "point"))
    space = Space.of(found)
    one, two = (space.vector(dict(loaded(Path(ref)).named_parameters())).detach() for ref in (a, b))
    rows = kind("spherical").coefficients(torch.tensor([0.4], dtype=torch.float64), [one, two], space.sizes)[0]
    for n, (name, value) in enumerate(space.params(one).items()):
        wanted = rows[n, 0] * value + rows[n, 1] * space.params(two)[name]
        assert torch.allclose(found.get_parameter(name).double(), wanted.double(), atol=1e-6), name


def test_a_point_of_a_learned_curve(few_runs: Path, tmp_path: Path) -> None:
    a, b = ends(few_runs)
    for name, text in (("text.txt", cases.TEXT), ("other.txt", cases.TEXT[::-1])):
        (tmp_path / name).write_text(text)
    ls.curve(a, b, text=str(tmp_path / "text.txt"), fit_text=str(tmp_path / "other.txt"), fit_steps=2, fit_batch=4,
             fit_sequences=8, points=3, sequences=4, length=12, control=False, out=tmp_path / "curve")  # fmt: skip
    file = tmp_path / "curve" / "curve.safetensors"
    ended = CliRunner().invoke(cli, ["point", a, b, "--t", "0.5", "--path", str(file), "--out", str(tmp_path / "p")])
    assert ended.exit_code == 0 and "t = 0.5 on the path" in ended.stderr, ended.output
    anchors = saved.load(file).anchors
    wanted = 0.25 * anchors[0] + 0.5 * anchors[1] + 0.25 * anchors[2]
    found = loaded(tmp_path / "p")
    assert torch.allclose(Space.of(found).vector(dict(found.named_parameters())).detach(), wanted, atol=1e-6)
    with pytest.raises(InputError, match="does not join these checkpoints; give those that it was learned for"):
        ls.point(b, a, t=0.5, path=file, out=tmp_path / "q")
    with pytest.raises(InputError, match="t is 1.5, and only a straight line goes on beyond its ends"):
        ls.point(a, b, t=1.5, path=file, out=tmp_path / "q")


@pytest.mark.parametrize(("t", "nearer"), [(0.4, 0), (0.6, 1)])
def test_learned_buffers_are_those_of_the_nearer_end(tmp_path: Path, t: float, nearer: int) -> None:
    folders = [cases.save(mixture(seed), tmp_path / f"m{seed}") for seed in (0, 1)]
    models = [loaded(folder) for folder in folders]
    found = loaded(ls.point(folders[0], folders[1], t=t, out=tmp_path / "point"))
    bias = models[nearer].get_buffer(BIAS)
    assert torch.equal(found.get_buffer(BIAS), bias) and not torch.equal(*(m.get_buffer(BIAS) for m in models))
    ids = torch.arange(5, 15)[None]
    with torch.no_grad():
        assert torch.allclose(found(ids).logits, blend(*models, t, bias)(ids).logits, atol=1e-5)


def test_what_cannot_be_a_point_is_refused(few_runs: Path, tmp_path: Path) -> None:
    a, b = ends(few_runs)
    other = cases.save(cases.gpt2(n_head=2), tmp_path / "other")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("long")
    for given, said in (
        ((a, str(other), tmp_path / "o", "linear"), r"two architectures: n_head is 3 in .* and 2 in"),
        ((a, b, tmp_path / "full", "linear"), "is there and not of this command; give a new folder"),
        ((a, b, Path(a).parent, "linear"), "holds a checkpoint of the path; give another folder"),
        ((a, b, tmp_path / "o", "liner"), r"liner is neither a kind of path \(linear, spherical, geodesic\) nor a fi"),
    ):
        one, two, out, path = given
        with pytest.raises(InputError, match=said):
            ls.point(one, two, t=0.5, path=path, out=out)
    ls.point(a, b, t=0.5, out=tmp_path / "twice")
    assert loaded(ls.point(a, b, t=0.6, out=tmp_path / "twice")) is not None
