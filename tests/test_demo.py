from pathlib import Path

import pytest
import torch

from landscape.checkpoints import expand, models
from landscape.demo import HELD_OUT_TEXT, STUDY, TRAINING_TEXT
from landscape.demo.train import Recipe, Run, Trainer, folders, runs
from landscape.study import read_study

RECIPE = Recipe(steps=8, batch=2, length=16, width=8, layers=1, heads=2, vocabulary=300, warmup=3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    torch.set_num_threads(1)
    trainer = Trainer(RECIPE, out)
    for run in runs(RECIPE, 2):
        trainer(run)
    return out


def point(folder: Path) -> torch.Tensor:
    return models.load(folder, models.skeleton(folder, "AutoModelForCausalLM"))


def test_checkpoints_are_those_of_the_study(trained: Path) -> None:
    wanted = read_study(STUDY).checkpoints
    assert wanted.children is not None
    here = STUDY.parent / "checkpoints"
    seeds = expand(wanted.folder.replace(str(here), str(trained)), {})
    children = expand(wanted.children.folder.replace(str(here), str(trained)), {})
    assert [(c.seed, c.step) for c in seeds] == [(s, t) for s in (0, 1) for t in (0, 1, 2, 4, 8)]
    assert {(c.parted, c.child) for c in children} == {(p, k) for p in (0, 1, 2, 4) for k in (0, 1, 2)}


def test_saving_on_the_way_does_not_change_the_run(trained: Path, tmp_path: Path) -> None:
    """The run that was saved at every power of two ends where one that was saved at its end only does."""
    trainer = Trainer(RECIPE, tmp_path)
    model = trainer._model(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RECIPE.rate, betas=(0.9, 0.95), weight_decay=0.1)
    trainer._train(model, optimizer, 8, order=1)
    trainer._save(model, tmp_path / "whole")
    assert torch.equal(point(tmp_path / "whole"), point(folders(Run(1), RECIPE, trained)[-1]))


def test_children_share_their_prefix_and_nothing_after_it(trained: Path, tmp_path: Path) -> None:
    ends = {p: [point(f) for f in folders(Run(0, p), RECIPE, trained)] for p in RECIPE.partings}
    for parted, (a, b, c) in ends.items():
        assert not torch.equal(a, b) and not torch.equal(b, c), parted
    # The same order as the parent's, and no parting, is the parent.
    parent = point(folders(Run(0), RECIPE, trained)[-1])
    near = (ends[4][0] - parent).norm()
    assert 0 < near < (ends[0][0] - parent).norm() < (point(folders(Run(1), RECIPE, trained)[-1]) - parent).norm()


def test_training_again_does_nothing(trained: Path) -> None:
    places = folders(Run(0), RECIPE, trained)
    before = [place.stat().st_mtime_ns for place in places]
    Trainer(RECIPE, trained)(Run(0))
    assert [place.stat().st_mtime_ns for place in places] == before


def test_texts_are_whole_and_of_known_origin() -> None:
    assert all(
        path.read_text().isascii() and len(path.read_text()) > 400_000 for path in (TRAINING_TEXT, HELD_OUT_TEXT)
    )
    assert "public domain" in (STUDY.parent / "TEXTS.md").read_text()
