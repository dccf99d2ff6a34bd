from pathlib import Path

import pytest

from landscape.checkpoints import expand, find
from landscape.checkpoints.grid import listed, warnings
from landscape.errors import InputError
from landscape.settings import Checkpoints
from landscape.task import Checkpoint


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


def test_children_have_their_own_pattern(tmp_path: Path) -> None:
    touch(tmp_path / "seed_0" / "step_4")
    for child in (0, 1):
        touch(tmp_path / "kids" / "0_2" / f"{child}" / "step_4")
    wanted = Checkpoints.model_validate({
        "folder": f"{tmp_path}/seed_{{seed}}/step_{{step}}",
        "children": {"folder": f"{tmp_path}/kids/{{seed}}_{{parted}}/{{child}}/step_{{step}}"},
    })  # fmt: skip
    seeds, children = listed(wanted)
    assert [c.labels for c in seeds] == [{"seed": 0, "step": 4, "parted": None, "child": None}]
    assert [c.labels for c in children] == [{"seed": 0, "step": 4, "parted": 2, "child": n} for n in (0, 1)]


def test_bad_references_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder or file .*/gone: a checkpoint is a folder"):
        find(str(tmp_path / "gone"))
    with pytest.raises(InputError, match="is no checkpoint: it is empty"):
        find(str(tmp_path))
    (tmp_path / "optimizer.pkl").touch()
    with pytest.raises(InputError, match="it holds optimizer.pkl, and not model.safetensors"):
        find(str(tmp_path))
    with pytest.raises(InputError, match="no checkpoint matches"):
        find(f"{tmp_path}/{{seed}}")


def test_bad_patterns_get_a_sentence(tmp_path: Path) -> None:
    touch(tmp_path / "s1_t1")
    touch(tmp_path / "s2_t2")
    pattern = f"{tmp_path}/s{{seed}}_t{{step}}"
    with pytest.raises(InputError, match=r"has the fields \['stp'\]"):
        expand(f"{tmp_path}/{{stp}}", {})
    with pytest.raises(InputError, match="is not well formed"):
        expand(f"{tmp_path}/{{seed", {})
    with pytest.raises(InputError, match=r"has no field for \['parted'\]"):
        expand(pattern, {"parted": (1,)})
    with pytest.raises(InputError, match="no checkpoint with seed 3 matches"):
        expand(pattern, {"seed": (1, 3)})
    with pytest.raises(InputError, match="no checkpoint .*s1_t2, which the study asks for"):
        expand(pattern, {"seed": (1, 2), "step": (1, 2)})


def test_the_same_weights_under_two_names_are_said_and_what_is_not_known_is_not() -> None:
    assert warnings([Checkpoint("a"), Checkpoint("b")]) == []
    same = [Checkpoint("a", content="x"), Checkpoint("b", content="x"), Checkpoint("c", content="y")]
    assert warnings(same) == ["the same weights under several names: a = b"]
