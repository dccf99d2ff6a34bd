from dataclasses import replace
from itertools import combinations
from pathlib import Path

import cases
import pytest

from landscape.errors import InputError
from landscape.study import Study, read_study, tasks
from landscape.task import Checkpoint, Task


def some(seeds: int, steps: tuple[int, ...] = (5, 7)) -> list[Checkpoint]:
    return [Checkpoint(f"s{s}t{t}", seed=s, step=t, content=f"{s} {t}") for s in range(seeds) for t in steps]


def study(**measure: object) -> Study:
    return Study.model_validate({
        "version": 1, "name": "x", "data": {"objective": "causal-lm"},
        "checkpoints": {"folder": "f", "children": {"folder": "g"}}, "measure": [{"kind": "barriers", **measure}],
    })  # fmt: skip


@pytest.mark.parametrize("tile", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("seeds", [2, 5, 8])
def test_tiles_hold_every_pair_once(tile: int, seeds: int) -> None:
    planned = tasks(study(tile=tile), some(seeds))
    pairs = [tuple(t.checkpoints[k].ref for k in pair) for t in planned for pair in t.pairs]
    wanted = [(f"s{a}t{t}", f"s{b}t{t}") for t in (5, 7) for a, b in combinations(range(seeds), 2)]
    assert sorted(pairs) == sorted(wanted)
    assert max(len(t.checkpoints) for t in planned) <= 2 * tile
    assert all(len({i for pair in t.pairs for i in pair}) == len(t.checkpoints) for t in planned if t.pairs)


def test_every_end_is_one_task_before_those_that_need_it() -> None:
    planned = tasks(study(tile=2), some(5))
    ends = [t for t in planned if t.kind == "losses"]
    assert len(ends) == 10 and len({t.key for t in planned}) == len(planned)
    seen: set[str] = set()
    for task in planned:
        assert set(task.needs) <= seen
        assert [t.checkpoints[0] for key in task.needs for t in ends if t.key == key] == list(task.checkpoints) * bool(
            task.needs
        )
        seen.add(task.key)


def test_neighbouring_tiles_share_a_side() -> None:
    tiles = [t for t in tasks(study(tile=2), some(8, (5,))) if t.pairs]
    shared = [len({*a.checkpoints} & {*b.checkpoints}) for a, b in zip(tiles, tiles[1:], strict=False)]
    assert min(shared) >= 2


def test_children_pair_within_their_parting() -> None:
    kids = [Checkpoint(f"{p}{c}{t}", 0, t, p, c, f"{p}{c}{t}") for p in (0, 4) for c in (0, 1, 2) for t in (8, 16)]
    planned = tasks(study(between="children"), some(2), kids)
    pairs = [[t.checkpoints[k] for k in pair] for t in planned for pair in t.pairs]
    assert len(pairs) == 2 * 2 * 3
    assert all(a.parted == b.parted and a.step == b.step and a.child != b.child for a, b in pairs)


def test_all_pairs_everything() -> None:
    assert sum(len(t.pairs) for t in tasks(study(between="all"), some(2))) == 6


def test_nothing_to_pair_is_said() -> None:
    with pytest.raises(InputError, match="nothing to pair between seeds: 2 checkpoints share no step"):
        tasks(study(), some(1))


TASK = Task("barriers", tuple(some(2, (5,))), ((0, 1),), (("points", 11), ("path", "linear")), "data")


def test_key_is_pinned() -> None:
    """A store must survive an upgrade: change this only with the schema version."""
    assert TASK.key == "248d4654b536741d4ec5c1d8a375e9e1"


def test_key_knows_what_decides_the_numbers_and_nothing_else() -> None:
    moved = replace(
        TASK, checkpoints=tuple(replace(c, ref=f"/elsewhere/{c.ref}") for c in TASK.checkpoints), needs=("x",)
    )
    assert moved.key == TASK.key
    others = [
        replace(TASK, kind="losses"),
        replace(TASK, checkpoints=TASK.checkpoints[::-1]),
        replace(TASK, checkpoints=(TASK.checkpoints[0], replace(TASK.checkpoints[1], content="other"))),
        replace(TASK, checkpoints=(TASK.checkpoints[0], replace(TASK.checkpoints[1], step=6))),
        replace(TASK, pairs=((1, 0),)),
        replace(TASK, settings=(("points", 21), ("path", "linear"))),
        replace(TASK, data="other"),
    ]
    assert len({t.key for t in [TASK, *others]}) == 8


def test_study_file_is_read_with_paths_beside_it(tmp_path: Path) -> None:
    found = read_study(cases.study(tmp_path))
    assert found.checkpoints.folder == str(tmp_path / "seed_{seed}/step_{step}")
    assert found.data.text == str(tmp_path / "text.txt")
    assert found.measure[0].points == 5


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("points = 5", "pionts = 5", r"study.toml: measure.0.pionts: unknown setting; did you mean points\?"),
        ("points = 5", 'points = "many"', r"measure.0.points: .* \(got 'many'\)"),
        ("points = 5", "points = 2", "measure.0.points: .* or a whole number from 3 to 1001 is wanted .got 2"),
        ("version = 1", "version = 2", r"version: Input should be 1 \(got 2\)"),
        ('name = "tiny"', "", "name: Field required"),
        ("points = 5", 'between = "children"', r"needs the table \[checkpoints.children\]"),
        ("points = 5", "points = = 5", "is not valid TOML"),
        ('"causal-lm"\ntext = "text.txt"', '"classification"', "data: .*classification needs labelled examples"),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = cases.study(tmp_path)
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(InputError, match=said):
        read_study(file)


def test_missing_study_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the study .*nope.toml: No such file"):
        read_study(tmp_path / "nope.toml")
