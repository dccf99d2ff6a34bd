from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import cases
import pytest

from landscape.catalogue import PRECISE
from landscape.errors import InputError
from landscape.study.checkpoint import Checkpoint, Label, labels, relabelled
from landscape.study.expand import tasks as expand
from landscape.study.file import Study, read_study
from landscape.study.kinds.along import Along
from landscape.study.kinds.barriers import Barriers
from landscape.study.kinds.curves import TEXT
from landscape.study.kinds.llc import Chains
from landscape.study.kinds.losses import Losses
from landscape.study.kinds.planes import PlanePart
from landscape.study.measure import Grid, Hashes
from landscape.study.sections import Data
from landscape.study.tasks import Spec, Task, of


def one(name: str, **values: Label) -> Checkpoint:
    return Checkpoint(name, labels(values), content=name)


def some(seeds: int, steps: tuple[int, ...] = (5, 7)) -> list[Checkpoint]:
    return [one(f"s{s}t{t}", seed=s, step=t) for s in range(seeds) for t in steps]


def tasks(
    wanted: Study, runs: list[Checkpoint], branches: Sequence[Checkpoint] = (), hashes: Hashes | None = None
) -> list[Task[Spec]]:
    return expand(wanted, Grid(tuple(runs), tuple(branches)), hashes)


def pairs_of(planned: list[Task[Spec]]) -> list[tuple[str, str]]:
    return sorted((t.checkpoints[i].ref, t.checkpoints[j].ref) for t in planned for i, j in t.pairs)


def study(**measure: object) -> Study:
    return Study.model_validate({
        "version": 1, "name": "x", "data": {"objective": "causal-lm"},
        "checkpoints": {"folder": "f", "branches": {"folder": "g"}}, "measure": [{"kind": "barriers"} | measure],
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


def test_branches_pair_within_their_branch_step() -> None:
    spawned = [one(f"{p}{b}{t}", seed=0, step=t, branch_step=p, branch=b)
               for p in (0, 4) for b in (0, 1, 2) for t in (8, 16)]  # fmt: skip
    planned = tasks(study(between="branch"), some(2), spawned)
    pairs = [[t.checkpoints[k] for k in pair] for t in planned for pair in t.pairs]
    assert len(pairs) == 2 * 2 * 3
    assert all(a.branch_step == b.branch_step and a.step == b.step and a.branch != b.branch for a, b in pairs)


def test_all_pairs_everything() -> None:
    assert sum(len(t.pairs) for t in tasks(study(between="all"), some(2))) == 6


@pytest.mark.parametrize("tile", [1, 3, 8])
def test_a_run_is_paired_along_itself(tile: int) -> None:
    """Every step with the next, and every step with the last; never two seeds."""
    seeds = some(2, (8, 0, 32, 2))

    def pairs(between: str) -> list[tuple[str, str]]:
        planned = tasks(study(between=between, tile=tile), seeds)
        return sorted((t.checkpoints[i].ref, t.checkpoints[j].ref) for t in planned for i, j in t.pairs)

    assert pairs("neighbours") == sorted(
        (f"s{s}t{a}", f"s{s}t{b}") for s in (0, 1) for a, b in ((0, 2), (2, 8), (8, 32))
    )
    assert pairs("last") == sorted((f"s{s}t{a}", f"s{s}t32") for s in (0, 1) for a in (0, 2, 8))


def test_measures_can_be_kept_to_some_steps() -> None:
    def steps(at: object) -> list[int]:
        return sorted({c.step or 0 for t in tasks(study(at_steps=at), some(3)) for c in t.checkpoints})

    assert (steps("all"), steps("last"), steps((5,))) == ([5, 7], [7], [5])


def curves(**more: object) -> dict[str, object]:
    return {"kind": "curves", "fit_text": "train.txt", "at_steps": "last", **more}


def test_curves_bring_the_straight_lines_of_their_pairs() -> None:
    """Once: those of a measure on lines where there is one, else their own."""

    def fingerprint(data: Data) -> str:
        return f"{data.text} {data.sequences}"

    alone = study(**curves(points=9))
    hashes = Hashes(alone.data_sets, fingerprint)
    planned = tasks(alone, some(3), (), hashes)
    along = of(Along, planned)
    kinds = [(t.kind, len(t.pairs), t.spec.path, t.spec.points) for t in along]
    assert sorted(kinds) == sorted([
        ("barriers", 1, "linear", 9),
        ("barriers", 2, "linear", 9),
        ("curves", 1, "bezier", 9),
        ("curves", 2, "bezier", 9),
    ])
    (fitted,) = {t.text(TEXT) for t in planned if t.kind == "curves"}
    assert fitted == "train.txt 1024" and all(t.data == "None 256" for t in planned)
    both = study(points=11).model_copy(update={"measure": (study(points=11).measure[0], alone.measure[0])})
    lines = of(Barriers, tasks(both, some(3)))
    assert {t.spec.points for t in lines} == {11} and sum(len(t.pairs) for t in lines) == 6
    other = study(**curves(fit_sequences=7)).measure[0]
    changed = tasks(alone.model_copy(update={"measure": (other,)}), some(3), (), hashes)
    assert not {t.key for t in changed if t.kind == "curves"} & {t.key for t in planned}


@pytest.mark.parametrize(
    ("measure", "sizes"),
    [
        ({"plane": "through"}, [3, 3]),
        ({"plane": "random", "at_steps": "last"}, [1, 1, 1, 1]),
        ({"plane": "trajectory"}, []),
        ({"plane": "trajectory", "among": "all"}, [8]),
    ],
)
def test_planes_go_through_the_checkpoints_that_they_say(measure: dict[str, object], sizes: list[int]) -> None:
    wanted = study(kind="planes", parts=2, **measure)
    if not sizes:
        with pytest.raises(
            InputError, match='plane = "trajectory" finds no three checkpoints that belong together among 8'
        ):
            tasks(wanted, some(4))
        return
    planned = tasks(wanted, some(4))
    assert [len(t.checkpoints) for t in planned] == [size for size in sizes for _ in range(2)]
    assert [t.spec.part for t in of(PlanePart, planned)] == [0, 1] * len(sizes)
    assert len({t.key for t in planned}) == len(planned) and all(t.passes == 21 * 21 // 2 for t in planned)


def test_a_simplex_is_of_all_seeds_of_a_step() -> None:
    planned = [t for t in tasks(study(kind="simplices", mixtures=5), some(4)) if t.kind == "simplices"]
    assert [[c.step for c in t.checkpoints] for t in planned] == [[5] * 4, [7] * 4]
    assert all(len(t.needs) == 4 and t.passes == 6 + 1 + 5 for t in planned)


def test_gradients_are_counted_in_the_plan() -> None:
    planned = tasks(study(**curves(fit_steps=10, fit_batch=3, control=False)), some(3))
    assert sum(t.gradients(64) for t in planned) == 3 * 30
    planned = tasks(study(**curves(fit_steps=10, fit_batch=3)), some(3))
    assert sum(t.gradients(64) for t in planned) == 6 * 30
    assert all(not t.gradients(64) for t in planned if t.kind == "barriers")
    llc = {"kind": "llc", "chains": 3, "draws": 10, "burn_in": 5, "extrapolate": True, "batch": "all"}
    planned = tasks(study(**llc), some(2))
    chains = 3 * (64 * (15 + 30) + 2 * 5 * 32)
    assert sum(t.gradients(64) for t in planned) == len(some(2)) * (chains + 8 * 64), "with those of the curvatures"
    with pytest.raises(InputError, match="a batch of 999 examples is wanted and there are"):
        tasks(study(**{**llc, "batch": 999}), some(2))


def test_steps_are_no_label_to_pair_by(tmp_path: Path) -> None:
    file = cases.study(tmp_path, measure='between = "step"')
    with pytest.raises(InputError, match="steps of one run are paired by neighbours, last, first or all; give one of"):
        read_study(file)


def test_nothing_to_pair_is_said() -> None:
    with pytest.raises(InputError, match="nothing to pair between seed: 2 checkpoints share no step"):
        tasks(study(), some(1))


def test_a_label_that_no_checkpoint_has_is_said() -> None:
    said = r'between = "branch" pairs checkpoints by a label that they do not have; their labels are seed, step, and'
    with pytest.raises(InputError, match=said):
        tasks(study(between="branch"), some(3))


def test_labels_are_free_and_may_be_words() -> None:
    """Pairs that differ in one label only, or in several; whole numbers come before words."""
    runs = [one(f"{o}{s}t{t}", optimizer=o, seed=s, step=t) for o in ("sgd", "adam") for s in ("best", 10, 9)
            for t in (5, 7)]  # fmt: skip
    planned = tasks(study(between="optimizer"), runs)
    assert pairs_of(planned) == sorted((f"adam{s}t{t}", f"sgd{s}t{t}") for s in ("best", 10, 9) for t in (5, 7))
    assert {t.label for t in planned if t.pairs} >= {"barriers seed best step 7 optimizer adam,sgd"}
    planned = tasks(study(between="seed", at_steps=[7]), runs)
    assert pairs_of(planned) == sorted(
        (f"{o}{a}t7", f"{o}{b}t7") for o in ("sgd", "adam") for a, b in combinations((9, 10, "best"), 2)
    )
    assert [t.label for t in planned if t.pairs] == [
        "barriers seed 9,10,best step 7 optimizer adam", "barriers seed 9,10,best step 7 optimizer sgd",
    ]  # fmt: skip
    both = tasks(study(between=["optimizer", "seed"], at_steps="last"), runs)
    assert len(pairs_of(both)) == 6 * 5 // 2 and all(a.endswith("t7") and b.endswith("t7") for a, b in pairs_of(both))
    assert len(pairs_of(tasks(study(between="neighbours"), runs))) == 6


def test_a_measure_is_of_every_data_set_that_it_names() -> None:
    """What a data set leaves out is as in [data]; the tasks differ in their batches and by its name."""
    several = {"objective": "causal-lm", "length": 9, "hans": {"sequences": 7}}
    wanted = Study.model_validate({
        "version": 1, "name": "x", "data": several, "checkpoints": {"folder": "f"},
        "measure": [{"kind": "barriers", "on": ["main", "hans"]}],
    })  # fmt: skip
    assert (wanted.data_sets["hans"].length, wanted.data_sets["hans"].sequences) == (9, 7)
    planned = tasks(wanted, some(2), (), Hashes(wanted.data_sets, lambda data: f"{data.sequences}"))
    assert [(t.on, t.data) for t in planned if t.pairs] == 2 * [("main", "256")] + 2 * [("hans", "7")]
    assert {t.label for t in planned} >= {"losses on hans seed 0 step 5", "barriers on hans seed 0,1 step 7"}
    ends = {(t.key, t.on) for t in planned if t.kind == "losses"}
    assert len(ends) == 8 and all((key, t.on) in ends for t in planned for key in t.needs)


TASK: Task[Spec] = Task(Barriers(points=11), tuple(some(2, (5,))), ((0, 1),), "data")


def test_key_is_pinned() -> None:
    """A store must survive an upgrade: change this only with the schema version."""
    assert TASK.key == "a0192a3523c1a91f88b69cca4aa83d97"


def test_key_knows_what_decides_the_numbers_and_nothing_else() -> None:
    moved = replace(
        TASK, checkpoints=tuple(replace(c, ref=f"/elsewhere/{c.ref}") for c in TASK.checkpoints), needs=("x",)
    )
    assert moved.key == TASK.key
    others = [
        replace(TASK, spec=Losses()),
        replace(TASK, checkpoints=TASK.checkpoints[::-1]),
        replace(TASK, checkpoints=(TASK.checkpoints[0], replace(TASK.checkpoints[1], content="other"))),
        replace(TASK, checkpoints=(TASK.checkpoints[0], relabelled(TASK.checkpoints[1], {"step": 6}))),
        replace(TASK, checkpoints=(TASK.checkpoints[0], relabelled(TASK.checkpoints[1], {"optimizer": "sgd"}))),
        replace(TASK, pairs=((1, 0),)),
        replace(TASK, spec=Barriers(points=21)),
        replace(TASK, data="other"),
        replace(TASK, on="hans"),
        replace(TASK, texts=(("align", "other"),)),
    ]
    assert len({t.key for t in [TASK, *others]}) == 1 + len(others)


def keys(wanted: str, **measure: object) -> set[str]:
    return {t.key for t in tasks(study(**measure), some(3)) if t.kind == wanted}


def test_keys_know_the_seed_of_what_is_random_and_not_how_work_is_cut() -> None:
    for measure in (
        {"kind": "planes", "plane": "random"},
        {"kind": "simplices"},
        {"kind": "probes", "names": ["induction"]},
        {**curves()},
    ):
        kind = str(measure["kind"])
        one, again, other = (keys(kind, **measure, seed=seed) for seed in (3, 3, 4))
        assert one == again and one and not one & other
    through = {"kind": "planes", "plane": "through"}
    assert keys("planes", **through, seed=3) == keys("planes", **through, seed=4)
    assert keys("barriers", tile=4) == keys("barriers", tile=9) == keys("barriers", keep_losses=False)
    assert not keys("barriers", resamples=200) & keys("barriers", resamples=300)
    assert keys("barriers", precise=list(PRECISE)) == keys("barriers")
    assert "precise" not in Barriers().deciding(), "what an earlier version stored is found again"
    assert not keys("barriers", precise=["area"]) & keys("barriers")


def test_halved_chains_are_for_extrapolation_only() -> None:
    for extrapolate, halved in ((True, [False, True]), (False, [False])):
        llc = {"kind": "llc", "chains": 2, "draws": 10, "burn_in": 5, "extrapolate": extrapolate}
        chains = [t.spec.halved for t in of(Chains, tasks(study(**llc), some(2)))]
        assert sorted(set(chains)) == halved


def test_places_on_the_hub_are_no_paths_beside_the_study(tmp_path: Path) -> None:
    file = cases.study(tmp_path)
    for ref in ("hf://a/b-seed{seed}@step{step}", "multiberts:seed={seed},step={step}"):
        file.write_text(file.read_text().replace('"seed_{seed}/step_{step}"', f'"{ref}"'))
        assert read_study(file).checkpoints.folder == ref
        file.write_text(file.read_text().replace(f'"{ref}"', '"seed_{seed}/step_{step}"'))


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
        ('name = "tiny"', "", "name: missing, and it has no default"),
        ("points = 5", 'between = ["seed", "last"]', r"measure.0.between: last pairs steps .*: give it alone"),
        ("points = 5", 'on = "hans"', 'on = "hans" is no data set of the study; there are main'),
        ("[[measure]]", "[data.main]\n[[measure]]", r"\[data.main\] is \[data\] itself: give it another name"),
        (
            "[[measure]]",
            "[data.hans]\nlengt = 5\n[[measure]]",
            r"data.hans.lengt: unknown setting; did you mean length",
        ),
        ("points = 5", "points = = 5", "is not valid TOML"),
        ('"barriers"\npoints = 5', '"planes"\nplane = "random"\npoints = 5', "points: unknown setting\n  .*resample"),
        ("points = 5", "points = 5\ntolerance = nan", "measure.0.tolerance: Input should be"),
        ("points = 5", "points = 5\ntolerance = inf", "measure.0.tolerance: Input should be a finite number"),
        ('folder = "seed', 'family = "multiberts"\nfolder = "seed', "checkpoints: give either family or folder"),
        ("[data]", "[data]\nlengt = 5", r"data.lengt: unknown setting; did you mean length\?"),
        ('name = "tiny"', 'nam = "tiny"', r"nam: unknown setting; did you mean name\?"),
        (
            "points = 5",
            "points = 5\nhalfwidth = 0.1",
            r"measure.0: halfwidth chooses where to evaluate, and points = 5 fixes",
        ),
        ('"barriers"\npoints = 5', '"curves"\npoints = 5', "measure.0.fit_text: missing, and it has no default"),
        (
            '"barriers"\npoints = 5',
            '"barier"\npoints = 5',
            "measure.0: no kind of measure is called 'barier'; did you mean barriers",
        ),
        ('"causal-lm"\ntext = "text.txt"', '"classification"', "data: .*classification needs labelled examples"),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = cases.study(tmp_path)
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(InputError, match=said):
        read_study(file)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    file = cases.study(tmp_path, bos='"often"', lengt="5")
    file.write_text(file.read_text().replace("points = 5", 'pionts = 5\ntolerance = "x"').replace("name =", "nam ="))
    with pytest.raises(InputError, match="data.lengt: unknown setting; did you mean length") as found:
        read_study(file)
    said = str(found.value).removeprefix(f"{file}: ").split("\n  ")
    assert sorted(line.split(": ")[0] for line in said) == [
        "data.bos", "data.lengt", "measure.0.pionts", "measure.0.tolerance", "nam",
    ]  # fmt: skip
    (bos,) = [line for line in said if line.startswith("data.bos")]
    assert " or " in bos and bos.count("(got 'often')") == 2


def test_a_byte_order_mark_is_no_setting(tmp_path: Path) -> None:
    file = cases.study(tmp_path)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert read_study(file).name == "tiny"


def test_a_study_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "links").mkdir()
    cases.study(tmp_path / "real")
    (tmp_path / "real" / "seed_1" / "step_5").mkdir(parents=True)
    link = tmp_path / "links" / "study.toml"
    link.symlink_to(tmp_path / "real" / "study.toml")
    found = read_study(link)
    assert found.checkpoints.folder == str(tmp_path / "real/seed_{seed}/step_{step}")
    assert found.data.text == str(tmp_path / "real" / "text.txt")
    (tmp_path / "links" / "seed_2").mkdir()  # what lies beside the link goes first
    (tmp_path / "links" / "text.txt").touch()
    found = read_study(link)
    assert found.checkpoints.folder == str(tmp_path / "links/seed_{seed}/step_{step}")
    assert found.data.text == str(tmp_path / "links" / "text.txt")


def test_missing_study_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the study .*nope.toml: No such file"):
        read_study(tmp_path / "nope.toml")
