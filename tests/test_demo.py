from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from landscape.checkpoints import expand, models
from landscape.cli import demo as commands
from landscape.cli.main import cli
from landscape.demo import SHORT_STUDY, STUDY
from landscape.demo.recipe import Recipe, Run, branches_of, folders, seeds_of
from landscape.demo.train import Trainer
from landscape.errors import InputError
from landscape.study.file import read_study
from landscape.texts import HELD_OUT_TEXT, TRAINING_TEXT


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """Two seeds and two branches of each branching, on the beginning of the text."""
    out = tmp_path_factory.mktemp("demo")
    text = out / "text.txt"
    text.write_text(TRAINING_TEXT.read_text("utf-8")[:20_000], "utf-8")
    torch.set_num_threads(1)
    trainer = Trainer(Recipe(steps=4, batch=2, length=16, width=8, layers=1, heads=2, vocabulary=300, warmup=3,
                             branches=2, text=text), out)  # fmt: skip
    for run in [*branches_of(trainer.recipe), *seeds_of(2)]:
        trainer(run)
    return trainer


@pytest.fixture(scope="module")
def trained(trainer: Trainer) -> Path:
    return trainer.out


def point(folder: Path) -> torch.Tensor:
    return models.load(folder, models.skeleton(folder, "AutoModelForCausalLM"))


def test_checkpoints_are_those_of_the_study(trained: Path) -> None:
    wanted = read_study(STUDY).checkpoints
    assert wanted.branches is not None
    here = STUDY.parent / "checkpoints"
    seeds = expand(wanted.folder.replace(str(here), str(trained)), {})
    branches = expand(wanted.branches.folder.replace(str(here), str(trained)), {})
    assert [(c.seed, c.step) for c in seeds] == [(s, t) for s in (0, 1) for t in (0, 1, 2, 4)]
    assert {(c.branch_step, c.branch) for c in branches} == {(p, k) for p in (0, 1, 2) for k in (0, 1)}


def test_the_rate_warms_up_and_falls_to_a_twentieth() -> None:
    """Linear for ten steps, then the cosine: half of it in the middle."""
    recipe = Recipe(steps=100, warmup=10, rate=2.0)
    rates = [recipe.rate_at(step) for step in (0, 50, 100)]
    assert rates == pytest.approx([0.2, 2 * (0.95 / 2 + 0.05), 0.1])


def test_saving_and_parting_do_not_change_the_run(trainer: Trainer, tmp_path: Path) -> None:
    """A run by itself, with one model and one optimizer, ends where the one that was saved on the way did.

    So does a branch: two steps in the order of the parent, then those of its own.
    """
    recipe = trainer.recipe
    for orders, run in ((((1, 4),), Run(1)), (((0, 2), (1201, 4)), Run(0, 2))):
        model = trainer._model(run.seed)
        optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.1, fused=True)
        for order, end in orders:
            trainer._train(model, optimizer, end, order=order)
        trainer._save(model, tmp_path / run.key)
        assert torch.equal(point(tmp_path / run.key), point(folders(run, recipe, trainer.out)[-1]))


def test_branches_share_their_prefix_and_nothing_after_it(trainer: Trainer) -> None:
    recipe, out = trainer.recipe, trainer.out
    ends = {p: [point(f) for f in folders(Run(0, p), recipe, out)] for p in recipe.branch_steps}
    for branch_step, (a, b) in ends.items():
        assert not torch.equal(a, b), branch_step
    parent = point(folders(Run(0), recipe, out)[-1])
    near = (ends[2][0] - parent).norm()
    assert 0 < near < (ends[0][0] - parent).norm() < (point(folders(Run(1), recipe, out)[-1]) - parent).norm()


def test_training_again_does_nothing(trainer: Trainer) -> None:
    places = folders(Run(0), trainer.recipe, trainer.out)
    before = [place.stat().st_mtime_ns for place in places]
    Trainer(trainer.recipe, trainer.out)(Run(0))
    assert [place.stat().st_mtime_ns for place in places] == before


def test_texts_are_whole_and_of_known_origin() -> None:
    assert all(
        path.read_text().isascii() and len(path.read_text()) > 400_000 for path in (TRAINING_TEXT, HELD_OUT_TEXT)
    )
    assert "public domain" in (TRAINING_TEXT.parent / "TEXTS.md").read_text()


@pytest.mark.slow
def test_the_short_demo_draws_its_first_figure_and_is_not_mixed_with_the_full_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the barriers between seeds alone."""
    parts = SHORT_STUDY.read_text().split("\n[[measure]]")
    (tmp_path / "short.toml").write_text(parts[0] + "\n[[measure]]" + parts[1])
    monkeypatch.setattr(commands, "SHORT_STUDY", tmp_path / "short.toml")
    words = ["demo", "--steps", "8", "--seeds", "3", "--out", str(tmp_path / "demo")]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    out = tmp_path / "demo"
    assert (out / "barriers.png").read_bytes().startswith(b"\x89PNG") and (out / "report.html").exists()
    assert (out / "study.toml").read_text() == (tmp_path / "short.toml").read_text()
    assert {folder.name for folder in (out / "checkpoints" / "branches" / "seed_0").iterdir()} == {
        "branched_at_0",
        "branched_at_2",
    }
    with pytest.raises(InputError, match="'short': {.*}}, and this one has .*choose another --out"):
        CliRunner().invoke(cli, [*words, "--full"], catch_exceptions=False, standalone_mode=False)


def test_a_demo_is_not_continued_with_another_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is one that an older version began, whose recipe is not known."""
    words = ["demo", "--steps", "8", "--seeds", "3", "--out", str(tmp_path)]
    commands._prepare(tmp_path, "austen", 8, 3, False)
    commands._prepare(tmp_path, "austen", 8, 3, False)
    monkeypatch.setitem(commands.SHORT, "batch", 16)
    with pytest.raises(InputError, match="'batch': 4, .* and this one has .*'batch': 16, .*choose another --out"):
        CliRunner().invoke(cli, words, catch_exceptions=False, standalone_mode=False)
    (tmp_path / "demo.json").write_text('{"steps": 8, "seeds": 3, "short": true}')
    with pytest.raises(InputError, match="'short': True}, and this one has .*choose another --out"):
        CliRunner().invoke(cli, words, catch_exceptions=False, standalone_mode=False)


def test_the_short_study_is_the_full_one_with_fewer_steps_and_examples() -> None:
    full, short = read_study(STUDY), read_study(SHORT_STUDY)
    assert [m.kind for m in short.measure] == [m.kind for m in full.measure]
    assert short.data.sequences < full.data.sequences and short.stages == full.stages
