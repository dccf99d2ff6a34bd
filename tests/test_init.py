"""Folders of runs: which labels their names have, and the first study file for them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import cases
import pytest
from click.testing import CliRunner

from landscape.checkpoints.layout import layouts
from landscape.checkpoints.sources import find
from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.face.draft import draft, toml
from landscape.face.inventory import Inputs
from landscape.study.file import Study, read_study
from landscape.study.proposal import spread

LAYOUTS = {
    "{seed}/step_{step}": ("alice/step_10", "alice/step_20", "bob/step_10", "carol7/step_10"),
    "{variant}-seed{seed}/checkpoint-{step}": ("adam-seed3/checkpoint-10", "sgd-seed3/checkpoint-10"),
    "lr_{lr}/seed_{seed}/step_{step}": ("lr_0.1/seed_0/step_1k", "lr_0.01/seed_0/step_1k", "lr_0.01/seed_0/step_2k"),
    "{seed}/{step}": ("0/100", "0/200", "1/100"),
    "seed_{seed}/checkpoint-{step}": ("seed_0/checkpoint-10", "seed_0/checkpoint-20", "seed_0"),
    "checkpoint-{step}": ("checkpoint-10", "checkpoint-20"),
    "{seed}": ("alice", "bob", "carol"),
    "x/v1.2/seed-{seed}/ckpt_{step}": ("x/v1.2/seed-one/ckpt_5", "x/v1.2/seed-two/ckpt_5"),
    "epoch={step}": ("epoch=1", "epoch=2"),
    "step{step}-tokens{tokens}": ("step1000-tokens2B", "step2000-tokens4B"),
    "{{a}}/seed_{seed}": ("{a}/seed_0", "{a}/seed_1"),
    "s{seed}/from_{branch_step}/branch_{branch}/step_{step}": (
        "s0/from_100/branch_a/step_200", "s0/from_100/branch_b/step_200", "s1/from_50/branch_a/step_200", "s1/step_100",
    ),
}  # fmt: skip


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "model.safetensors").write_bytes(b"")
    return folder


@pytest.mark.parametrize("pattern", LAYOUTS)
def test_the_labels_of_folders_are_found(tmp_path: Path, pattern: str) -> None:
    assert layouts(touch(tmp_path, *LAYOUTS[pattern]))[0].pattern == pattern


def test_files_of_weights_are_checkpoints_too(tmp_path: Path) -> None:
    for name in ("a/step_1.safetensors", "a/step_2.safetensors", "b/step_1.safetensors", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [layout.pattern for layout in layouts(tmp_path)] == ["{seed}/step_{step}.safetensors"]


def saved(folder: Path, *names: str, make: Callable[[int], object] = cases.gpt2) -> Path:
    for number, name in enumerate(names):
        cases.save(make(number), folder / name)
    return folder


def grid(folder: Path, seeds: tuple[object, ...], steps: tuple[int, ...]) -> Path:
    return saved(folder, *(f"seed_{seed}/step_{step}" for seed in seeds for step in steps))


def planned(file: Path) -> str:
    done = CliRunner().invoke(cli, ["plan", str(file)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def written(folder: Path, *more: str) -> Path:
    file = folder.parent / "study.toml"
    done = CliRunner().invoke(cli, ["init", str(folder), "--out", str(file), *more], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return file


def test_evenly_spaced_steps_and_a_missing_pair(tmp_path: Path) -> None:
    runs = grid(tmp_path / "runs", (0, 1), (0, 10, 20, 30))
    saved(runs, "seed_2/step_0", "seed_2/step_10")
    file = written(runs)
    text = file.read_text()
    assert 'folder = "runs/seed_{seed}/step_{step}"' in text and "# seed: 0, 1, 2" in text
    assert "evenly spaced, every 10: what changed before step 10" in text
    assert "# 2 of 12 combinations of seed and step are missing" in text
    assert "# 8 pairs, 10 checkpoints" in text  # three seeds at two steps, two seeds at two
    assert "runs: " in planned(file)
    kinds = [(m.kind, getattr(m, "between", None)) for m in read_study(file).measure]
    assert kinds[:3] == [("barriers", ("seed",)), ("barriers", ("seed",)), ("barriers", ("last",))]


def test_seeds_in_words(tmp_path: Path) -> None:
    file = written(saved(tmp_path / "runs", *(f"{name}/checkpoint-{step}" for name in ("al", "bo") for step in (1, 8))))
    assert "# seed: al, bo" in file.read_text() and "2 pairs" in file.read_text()
    planned(file)


def test_branches_of_several_seeds(tmp_path: Path) -> None:
    runs = grid(tmp_path / "runs", (0, 1), (4, 8))
    saved(runs, *(f"branches/seed_{s}/branched_at_2/branch_{b}/step_8" for s in (0, 1) for b in "ab"))
    file = written(runs)
    study = read_study(file)
    assert study.checkpoints.branches is not None
    assert any(getattr(measure, "between", ()) == ("branch",) for measure in study.measure)
    planned(file)


def test_of_two_architectures_one_is_taken(tmp_path: Path) -> None:
    runs = saved(
        tmp_path / "runs", *(f"large/seed_{seed}" for seed in range(2)), make=lambda n: cases.gpt2(n, n_layer=1)
    )
    saved(runs, *(f"small/seed_{seed}" for seed in range(3)))
    file = written(runs)
    assert read_study(file).checkpoints.labels == {"variant": ("small",)}
    assert "left out: 2 checkpoints of another architecture" in file.read_text()
    assert "at_steps" not in file.read_text()
    planned(file)


def test_architectures_that_no_label_tells_apart_are_refused(tmp_path: Path) -> None:
    saved(tmp_path, "seed_0/step_1")
    saved(tmp_path, "seed_0/step_2", make=lambda n: cases.gpt2(n, n_layer=1))
    with pytest.raises(InputError, match="no label of their folders tells such architectures apart"):
        draft(str(tmp_path), tmp_path / "study.toml", Inputs())


def test_another_architecture_and_objective(tmp_path: Path) -> None:
    file = written(saved(tmp_path / "runs", "run0", "run1", make=cases.bert))
    study = read_study(file)
    assert (study.data.objective, study.data.length) == ("masked-lm", 32)
    assert [m.kind for m in study.measure] == ["barriers", "barriers", "probes", "behaviour"]
    planned(file)


def test_classifiers_need_labelled_examples(tmp_path: Path) -> None:
    runs = saved(tmp_path / "runs", "run0", "run1", make=cases.classifier)
    with pytest.raises(InputError, match="needs labelled examples; give --text FILE"):
        draft(str(runs), tmp_path / "study.toml", Inputs())
    (tmp_path / "pairs.jsonl").write_text('{"text": "w1 w2", "label": 1}\n')
    planned(written(runs, "--text", str(tmp_path / "pairs.jsonl")))


def test_what_is_suggested_is_valid_too(tmp_path: Path) -> None:
    """Every comment that is a setting, made one."""
    runs = grid(tmp_path / "runs", range(3), (0, 10, 40))
    (tmp_path / "train.txt").write_text(cases.TEXT)
    file = written(runs, "--train-text", str(tmp_path / "train.txt"))
    text = re.sub(r"^# (\[\[measure\]\]|\w+ = (?:\"[^\"]*\"|\[[^\]]*\]))$", r"\1", file.read_text(), flags=re.MULTILINE)
    file.write_text(text)
    assert {m.kind for m in read_study(file).measure} >= {"barriers", "curves", "simplices", "planes", "llc", "probes"}
    assert "ngrams" in text
    planned(file)


def test_many_steps_are_thinned(tmp_path: Path) -> None:
    runs = grid(tmp_path / "runs", (0,), tuple(range(0, 20)))
    text = draft(str(runs), tmp_path / "study.toml", Inputs())
    steps = tomllib.loads(text)["checkpoints"]["steps"]
    assert steps[0] == 0 and steps[-1] == 19 and len(steps) <= 16
    assert f"{len(steps)} of 20 steps" in text


def test_a_family_is_planned_without_a_network(tmp_path: Path) -> None:
    text = draft("pythia-14m", tmp_path / "study.toml", Inputs())
    study = Study.model_validate(tomllib.loads(text))
    assert study.checkpoints.seeds == (0, 1, 2, 3, 4) and study.checkpoints.steps is not None
    assert study.checkpoints.steps[-1] == 143_000 and "landscape families pythia-14m" in text


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    runs = grid(tmp_path / "runs", (0, 1), (1,))
    file = written(runs)
    before = file.read_text()
    with pytest.raises(InputError, match="nothing is overwritten; give another file with --out"):
        CliRunner().invoke(cli, ["init", str(runs), "--out", str(file)], catch_exceptions=False, standalone_mode=False)
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("target", "said"), [("nothing", "there is no folder nothing, and no family"), (".", "no checkpoint is below")]
)
def test_what_holds_no_runs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=said):
        draft(target, tmp_path / "study.toml", Inputs())


def test_a_folder_of_runs_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"give '.*seed_\{seed\}' for all, or write a study .* landscape init"):
        find(str(touch(tmp_path, "seed_0", "seed_1")))


def test_a_run_is_all_its_steps(tmp_path: Path) -> None:
    run = touch(tmp_path / "seed_4", "step_2", "step_10")
    assert [(c.seed, c.step) for c in find(str(run))] == [(4, 2), (4, 10)]


def test_steps_are_spread_over_a_logarithmic_axis() -> None:
    assert spread(range(0, 1001, 10), 5) == [0, 20, 90, 310, 1000]
    assert spread([3, 5], 5) == [3, 5]


@pytest.mark.parametrize("value", ['a "b" \\ c\n', 3, 0.25, True, ("x", "y"), (1, 2)])
def test_values_of_a_study_file(value: object) -> None:
    found = tomllib.loads(f"x = {toml(value)}")["x"]  # type: ignore[arg-type]
    assert (tuple(found) if isinstance(found, list) else found) == value
