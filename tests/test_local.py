from pathlib import Path

import pytest

from landscape.checkpoints import expand, find, sources
from landscape.checkpoints.grid import incomplete, listed, warnings
from landscape.checkpoints.local import labelled
from landscape.errors import InputError
from landscape.study.checkpoint import Checkpoint, labels
from landscape.study.sections import Checkpoints


def touch(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    return folder


def test_pattern_sorts_by_number(tmp_path: Path) -> None:
    for seed in (0, 11):
        for step in (9, 100, 20):
            touch(tmp_path / f"seed_{seed}" / f"step_{step}")
    (tmp_path / "seed_0" / "step_x").mkdir()
    (tmp_path / "seed_0" / "step_7").mkdir()
    pattern = f"{tmp_path}/seed_{{seed}}/step_{{step}}"
    found = expand(pattern, {"seed": None, "step": None})
    assert [(c.seed, c.step) for c in found] == [(s, n) for s in (0, 11) for n in (9, 20, 100)]
    assert [c.ref for c in expand(pattern, {"seed": (11,), "step": (20,)})] == [str(tmp_path / "seed_11" / "step_20")]
    assert find(pattern) == found


def test_a_field_that_comes_twice_agrees_with_itself(tmp_path: Path) -> None:
    touch(tmp_path / "run_1" / "run_1_step_5")
    touch(tmp_path / "run_1" / "run_2_step_6")
    found = expand(f"{tmp_path}/run_{{seed}}/run_{{seed}}_step_{{step}}", {})
    assert [Path(c.ref).name for c in found] == ["run_1_step_5"]


def test_trainer_folder_is_its_checkpoints_in_order(tmp_path: Path) -> None:
    run = tmp_path / "a{b" / "seed_7"
    for step in (1000, 500, 9):
        touch(run / f"checkpoint-{step}")
    (one,) = (
        find(str(run / "checkpoint-500"))
        if "{" not in str(run)
        else expand(f"{tmp_path}/a{{{{b/seed_{{seed}}/checkpoint-{{step}}", {"step": (500,)})
    )
    assert (one.seed, one.step) == (7, 500)
    plain = tmp_path / "seed_7"
    (tmp_path / "a{b" / "seed_7").rename(plain)
    assert [(c.seed, c.step) for c in find(str(plain))] == [(7, 9), (7, 500), (7, 1000)]


def test_a_trainers_folder_is_its_checkpoints_and_the_final_model(tmp_path: Path) -> None:
    run = touch(tmp_path / "seed_7")
    assert [c.ref for c in find(str(run))] == [str(run)]
    (run / "checkpoint-5").mkdir()  # of the optimizer alone
    assert [c.ref for c in find(str(run))] == [str(run)]
    for step in (20, 10):
        touch(run / f"checkpoint-{step}")
    assert [(c.seed, c.step) for c in find(str(run))] == [(7, 10), (7, 20), (7, None)]
    assert find(str(run))[-1].ref == str(run)


@pytest.mark.parametrize("name", ["betas=[0.9,0.95]", "lr{0.1}", "a*b?", "x{seed", "[!z]{{y}}"])
def test_names_of_folders_are_no_patterns(tmp_path: Path, name: str) -> None:
    for seed in (0, 1):
        touch(tmp_path / name / f"seed_{seed}" / "checkpoint-10")
    touch(tmp_path / "betas=0" / "seed_0" / "checkpoint-10")
    touch(tmp_path / "aXXbX" / "seed_0" / "checkpoint-10")
    wanted = [str(tmp_path / name / f"seed_{seed}" / "checkpoint-10") for seed in (0, 1)]
    assert [c.ref for c in find(f"{tmp_path / name}/seed_{{seed}}/checkpoint-{{step}}")] == wanted
    assert [c.ref for c in find(wanted[1])] == wanted[1:]
    assert [c.ref for c in sources.find(str(tmp_path / name / "seed_0"))] == wanted[:1]


@pytest.mark.parametrize(
    ("name", "seed", "step"),
    [
        ("multiberts-seed_0-step_20k", 0, 20_000),
        ("run/step=1e3", None, 1000),
        ("run/step_1_000", None, 1000),
        ("run/step_1_000_seed_3", 3, 1000),
        ("step_1_000_5", None, None),
        ("step_1.5M", None, 1_500_000),
        ("step_2B", None, 2_000_000_000),
        ("global_step1000", None, 1000),
        ("epoch=3-step=1000.ckpt", None, 1000),
        ("checkpoint-20-final", None, 20),
        ("step_7/checkpoint-9", None, 9),
        ("tokens_2B", None, 2_000_000_000),
        ("step1000-tokens2B", None, 1000),
        ("footstep2/final", None, None),
        ("linseed3/reseed_4", None, None),
        ("step_2.5", None, None),
        ("step_1.2345k", None, None),
        ("step20final", None, None),
        ("seed_3b/step_1e-3", None, None),
        ("step_9e99", None, None),
        ("detokens5", None, None),
    ],
)
def test_a_name_says_a_step_or_none(name: str, seed: int | None, step: int | None) -> None:
    found = labelled(Path(name))
    assert (found.seed, found.step) == (seed, step)


def test_fields_are_numbers_however_they_are_written(tmp_path: Path) -> None:
    for step in ("20k", "1e3", "1_000_000", "7"):
        touch(tmp_path / "seed_0" / f"step_{step}_x")
    pattern = f"{tmp_path}/seed_{{seed}}/step_{{step}}_x"
    assert [c.step for c in find(pattern)] == [7, 1000, 20_000, 1_000_000]
    assert [Path(c.ref).name for c in expand(pattern, {"step": (20_000,)})] == ["step_20k_x"]


def test_two_folders_of_one_step_are_refused_unless_they_are_not_wanted(tmp_path: Path) -> None:
    for folder in ("seed_0/step_10", "seed_0/step_010", "seed_1/step_10", "seed_1/step_1k", "seed_1/step_1000"):
        touch(tmp_path / folder)
    pattern = f"{tmp_path}/seed_{{seed}}/step_{{step}}"
    with pytest.raises(InputError, match="seed_0/step_010 and .*seed_0/step_10 are both seed 0, step 10; rename"):
        expand(pattern, {"step": (10,)})
    with pytest.raises(InputError, match="seed_1/step_1000 and .*seed_1/step_1k are both seed 1, step 1000; rename"):
        expand(pattern, {"seed": (1,)})
    assert len(expand(pattern, {"seed": (1,), "step": (10,)})) == 1


def test_labels_are_words_if_none_is_a_number(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for seed in ("sgd", "adam"):
        touch(tmp_path / f"seed_{seed}" / "step_1")
    pattern = f"{tmp_path}/seed_{{seed}}/step_{{step}}"
    assert [c.seed for c in find(pattern)] == ["adam", "sgd"]
    assert [c.seed for c in expand(pattern, {"seed": ("sgd",)})] == ["sgd"]
    touch(tmp_path / "seed_3" / "step_1")
    assert [c.seed for c in expand(pattern, {"seed": ("sgd",), "step": (1,)})] == ["sgd"]
    touch(tmp_path / "seed_3" / "step_best")
    with caplog.at_level("WARNING", "landscape"):
        assert [c.seed for c in find(pattern)] == [3]
    (said,) = caplog.messages
    assert said.startswith("3 of 4 folders are left out: {step} is 'best' in ")
    with pytest.raises(InputError, match=r"\{step\} is 'est' in .*seed_3/step_best, and a step is a whole number"):
        find(f"{tmp_path}/seed_{{seed}}/step_b{{step}}")


def test_labels_are_free(tmp_path: Path) -> None:
    for optimizer, rate in (("sgd", "01"), ("adam", "1"), ("adam", "2")):
        touch(tmp_path / optimizer / f"rate_{rate}" / "step_5")
    found = find(f"{tmp_path}/{{optimizer}}/rate_{{rate}}/step_{{step}}")
    assert [dict(c.labels) for c in found] == [
        {"optimizer": o, "rate": r, "step": 5} for o, r in (("adam", 1), ("adam", 2), ("sgd", 1))
    ]


def test_an_adapter_is_a_checkpoint_and_its_config_alone_is_none(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").touch()
    with pytest.raises(InputError, match="has the config of an adapter and not its weights"):
        find(str(tmp_path))
    (tmp_path / "adapter_model.safetensors").touch()
    assert [c.ref for c in find(str(tmp_path))] == [str(tmp_path)]


def test_missing_combinations_are_counted() -> None:
    def grid(*values: tuple[int | None, int | None]) -> list[Checkpoint]:
        return [Checkpoint(f"{seed} {step}", labels({"seed": seed, "step": step})) for seed, step in values]

    whole = grid((0, 5), (0, 9), (2, 5), (2, 9), (None, 7), (1, None))
    assert incomplete(whole) == [] == incomplete([])
    said = "2 of 6 combinations of seed and step are missing: seed 0 step 30, seed 2 step 5"
    assert incomplete([*whole[:2], *whole[3:], *grid((2, 30))]) == [said]


def test_branches_have_their_own_pattern(tmp_path: Path) -> None:
    touch(tmp_path / "seed_0" / "step_4")
    for branch in (0, 1):
        touch(tmp_path / "kids" / "0_2" / f"{branch}" / "step_4")
    wanted = Checkpoints.model_validate({
        "folder": f"{tmp_path}/seed_{{seed}}/step_{{step}}",
        "branches": {"folder": f"{tmp_path}/kids/{{seed}}_{{branch_step}}/{{branch}}/step_{{step}}"},
    })  # fmt: skip
    found = listed(wanted)
    assert [c.columns for c in found.runs] == [{"seed": 0, "step": 4, "branch_step": None, "branch": None}]
    assert [c.columns for c in found.branches] == [
        {"seed": 0, "step": 4, "branch_step": 2, "branch": n} for n in (0, 1)
    ]


def test_bad_references_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder or file .*/gone: a checkpoint is a folder"):
        find(str(tmp_path / "gone"))
    with pytest.raises(InputError, match="is not a checkpoint: it is empty"):
        find(str(tmp_path))
    (tmp_path / "optimizer.pkl").touch()
    with pytest.raises(InputError, match="it holds optimizer.pkl, and not model.safetensors"):
        find(str(tmp_path))
    with pytest.raises(InputError, match="no checkpoint fits"):
        find(f"{tmp_path}/{{seed}}")


def test_bad_patterns_get_a_sentence(tmp_path: Path) -> None:
    touch(tmp_path / "s1_t1")
    touch(tmp_path / "s2_t2")
    pattern = f"{tmp_path}/s{{seed}}_t{{step}}"
    with pytest.raises(InputError, match="the label .barrier., which is a column, a way to pair"):
        expand(f"{tmp_path}/{{barrier}}", {})
    with pytest.raises(InputError, match="the label .2nd., which is a column, a way to pair"):
        expand(f"{tmp_path}/{{2nd}}", {})
    with pytest.raises(InputError, match=r"the label 'all', .* or no word; give another"):
        expand(f"{tmp_path}/{{all}}", {})
    with pytest.raises(InputError, match="is not well formed"):
        expand(f"{tmp_path}/{{seed", {})
    with pytest.raises(InputError, match=r"s\{seed\}_t\{step\}' has no \{branch_step\}; write it into"):
        expand(pattern, {"branch_step": (1,)})
    with pytest.raises(InputError, match="no checkpoint with seed 3 fits"):
        expand(pattern, {"seed": (1, 3)})
    with pytest.raises(InputError, match="no checkpoint .*s1_t2, which the study asks for"):
        expand(pattern, {"seed": (1, 2), "step": (1, 2)})


def test_the_same_weights_under_two_names_are_said_and_what_is_not_known_is_not() -> None:
    assert warnings([Checkpoint("a"), Checkpoint("b")]) == []
    same = [Checkpoint("a", content="x"), Checkpoint("b", content="x"), Checkpoint("c", content="y")]
    assert warnings(same) == ["the same weights under several names: a = b"]


def test_fields_side_by_side_are_a_pattern(tmp_path: Path) -> None:
    touch(tmp_path / "run_33" / "step_5")
    found = expand(f"{tmp_path}/run_{{seed}}{{seed}}/step_{{step}}", {})
    assert [(c.seed, c.step) for c in found] == [(3, 5)]


def test_labels_of_numbers_and_words_are_words(tmp_path: Path) -> None:
    for rate in ("1", "0.1", "1e-3"):
        touch(tmp_path / f"rate_{rate}" / "step_5")
    found = expand(f"{tmp_path}/rate_{{rate}}/step_{{step}}", {})
    assert [c.label("rate") for c in found] == ["0.1", "1", "1e-3"] and {c.step for c in found} == {5}
