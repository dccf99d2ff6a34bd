import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cases
import numpy as np
import oracles
import pandas as pd
import pytest
import torch
from measured import linked, run
from numpy.testing import assert_allclose
from safetensors.torch import load_file, save_file

from landscape.engines import local
from landscape.errors import InputError
from landscape.measure import pairs, perform
from landscape.measure.prepare import prepare
from landscape.points import strategy
from landscape.session import workers
from landscape.session.evaluator import Evaluator, evaluations
from landscape.session.workers import makespan, workers_for
from landscape.study.checkpoint import Checkpoint, labels
from landscape.study.file import read_study
from landscape.study.measure import Grid
from landscape.study.store import Store


def test_rows_are_what_the_usual_loop_gives(few_runs: Path, tmp_path: Path) -> None:
    study = read_study(cases.study(linked(few_runs, tmp_path), sequences="4"))
    store, keys, failed = run(study, tmp_path)
    assert not failed
    found, profiles, ends = (store.rows(table, keys) for table in ("barrier", "profile", "loss"))
    assert len(found) == 2 * 3 * 6 and len(profiles) == 2 * 3 * 5 and len(ends) == 6
    t = np.linspace(0, 1, 5)
    tokenizer = cases.tokenizer()
    ids = torch.tensor(tokenizer(cases.TEXT)["input_ids"])
    ids = ids[: len(ids) // 12 * 12].view(-1, 12)
    ids = ids[[round(k * (len(ids) - 1) / 3) for k in range(4)]]
    model = {ref: cases.gpt2().from_pretrained(ref).eval() for ref in {*found["a"], *found["b"]}}
    for (a, b), rows in found.groupby(["a", "b"]):
        one, two = model[a], model[b]
        losses = oracles.usual_loop(one, two, ids, t)
        mine = profiles[(profiles["a"] == a) & (profiles["b"] == b)]
        assert_allclose(mine["loss"], losses.mean(axis=1), atol=1e-5)
        assert_allclose(mine["error"], losses.std(axis=1, ddof=1) / 4**0.5, atol=1e-5)
        for row in rows.itertuples():
            assert row.plugin == pytest.approx(oracles.barrier(row.definition, t, losses.mean(axis=1)), abs=1e-5)
            assert row.low <= row.barrier <= row.high
            assert (row.loss_a, row.loss_b) == pytest.approx((losses[0].mean(), losses[-1].mean()), abs=1e-5)
        names = dict(one.named_parameters())
        apart = sum(float(((one.state_dict()[n] - two.state_dict()[n]).double() ** 2).sum()) for n in names)
        assert rows["distance"].iloc[0] == pytest.approx(apart**0.5)
        lengths = [float(sum((m.state_dict()[n].double() ** 2).sum() for n in names)) ** 0.5 for m in (one, two)]
        assert rows["relative_distance"].iloc[0] == pytest.approx(apart**0.5 / np.mean(lengths))
    assert set(found["step_a"]) == {0, 10} and (found["step_a"] == found["step_b"]).all()
    assert (found["seed_a"] < found["seed_b"]).all()


def test_the_tile_changes_neither_the_rows_nor_what_is_evaluated(
    few_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each end once, and three points between the ends of each pair."""
    points: list[int] = []
    evaluated = Evaluator.evaluate

    def counted(self: Evaluator, anchors: Any, rows: Any, *rest: Any) -> Any:
        points.append(len(rows))
        assert (rows.max(dim=1).values < 1).all() or len(rows) == 1
        return evaluated(self, anchors, rows, *rest)

    monkeypatch.setattr(Evaluator, "evaluate", counted)
    frames = []
    for tile in (1, 3):
        folder = tmp_path / str(tile)
        folder.mkdir()
        study = read_study(
            cases.study(linked(few_runs, folder), measure=f'tile = {tile}\nat_steps = "last"', sequences="5")
        )
        store, keys, _ = run(study, folder)
        rows = store.rows("barrier", keys)
        frames.append(rows.sort_values(["seed_a", "seed_b", "definition"])[["barrier", "low", "high"]])
        assert sum(points) == 3 + 3 * 3
        points.clear()
    assert_allclose(frames[0].to_numpy(), frames[1].to_numpy(), atol=1e-5)


def test_several_data_sets_are_measured_each_on_its_own_batches(few_runs: Path, tmp_path: Path) -> None:
    """The rows of each are those of a study that has it alone; pairs differ in a label that is a word."""
    for optimizer, seed in (("sgd", 1), ("adam", 2)):
        (tmp_path / optimizer).mkdir()
        (tmp_path / optimizer / "step_10").symlink_to(few_runs / f"seed_{seed}" / "step_10")
    file = cases.study(tmp_path, sequences="4", measure='between = "optimizer"')
    alone = file.read_text().replace("seed_{seed}", "{optimizer}")
    (tmp_path / "other.txt").write_text(cases.TEXT[::-1])
    other = '[data.hans]\ntext = "other.txt"\nlength = 9\n[[measure]]\non = ["main", "hans"]'
    rows = {}
    for name, text in (
        ("both", alone.replace("[[measure]]", other)),
        ("main", alone),
        ("hans", alone.replace("text.txt", "other.txt").replace("length = 12", "length = 9")),
    ):
        file.write_text(text)
        store, keys, failed = run(read_study(file), tmp_path / name)
        assert not failed
        rows[name] = store.tables(keys)
    for table in ("barrier", "profile", "loss"):
        both = rows["both"][table]
        assert set(both["data"]) == {"main", "hans"}
        for name in ("main", "hans"):
            mine, wanted = both[both["data"] == name], rows[name][table]
            assert set(wanted["data"]) == {"main"} and len(mine) == len(wanted) > 0
            same = [c for c in wanted.columns if c not in ("data", "seconds")]
            pd.testing.assert_frame_equal(mine[same].reset_index(drop=True), wanted[same])
    barriers = rows["both"]["barrier"]
    assert set(barriers["optimizer_a"]) == {"adam"} and set(barriers["optimizer_b"]) == {"sgd"}
    assert (barriers["between"] == "optimizer").all() and barriers["seed_a"].isna().all()
    assert set(rows["both"]["loss"]["optimizer"]) == {"adam", "sgd"}


def test_data_sets_of_two_model_classes_are_refused_before_anything_runs(tmp_path: Path) -> None:
    """Also if the files have the heads of both."""
    for seed in range(2):
        folder = cases.save(cases.bert(seed, num_labels=3), tmp_path / f"seed_{seed}" / "step_1")
        heads = {n: v for n, v in cases.classifier(seed).state_dict().items() if "pooler" in n or "classifier" in n}
        stored = load_file(folder / "model.safetensors")
        save_file({**stored, **heads}, folder / "model.safetensors", {"format": "pt"})
    (tmp_path / "cls.jsonl").write_text("\n".join(f'{{"text": "w{n}", "label": {n % 3}}}' for n in range(20)))
    file = cases.study(tmp_path, objective='"masked-lm"', measure='on = ["main", "hans"]')
    hans = '[data.hans]\nobjective = "classification"\ntext = "cls.jsonl"\n[[measure]]'
    file.write_text(file.read_text().replace("[[measure]]", hans))
    classes = "BertForMaskedLM for main and BertForSequenceClassification for hans"
    with pytest.raises(InputError, match=f"the data sets need models of two classes, {classes}; give each a study"):
        prepare(read_study(file), Store(tmp_path / "results"))


def test_warnings_are_of_every_data_set(few_runs: Path, tmp_path: Path) -> None:
    file = cases.study(linked(few_runs, tmp_path), measure='on = ["hans", "main"]')
    (tmp_path / "other.txt").write_text("w1 strange w2 words " * 60)
    file.write_text(file.read_text().replace("[[measure]]", '[data.hans]\ntext = "other.txt"\n[[measure]]'))
    said = prepare(read_study(file), Store(tmp_path / "results")).record["warnings"]
    assert len(said) == 1 and said[0].startswith("the tokenizer does not know 0.5 of the tokens of the text of [data.h")


def test_a_checkpoint_against_its_copy_is_exactly_zero(few_runs: Path, tmp_path: Path) -> None:
    shutil.copytree(few_runs / "seed_0" / "step_10", tmp_path / "copy")
    study = read_study(cases.study(tmp_path, measure='between = "all"'))
    refs = [few_runs / "seed_0" / "step_10", tmp_path / "copy", few_runs / "seed_1" / "step_10"]
    store, keys, _ = run(study, tmp_path, Grid(tuple(Checkpoint(str(ref)) for ref in refs)))
    rows = store.rows("barrier", keys)
    same = rows[rows["b"] == str(tmp_path / "copy")]
    assert len(same) == 6 and (same[["barrier", "low", "high", "plugin", "distance"]] == 0).all(axis=None)
    other = rows[(rows["b"] != str(tmp_path / "copy")) & (rows["definition"] == "mean_ends")]
    assert (other["barrier"] > 0.01).all()
    assert other["barrier"].iloc[0] == pytest.approx(other["barrier"].iloc[1], abs=1e-6)


@pytest.mark.untyped
def test_a_gradient_counts_as_three_evaluations() -> None:
    tasks = [SimpleNamespace(passes=2, gradients=lambda examples: 5 * examples),
             SimpleNamespace(passes=4, gradients=lambda examples: 0)]  # fmt: skip
    assert evaluations(tasks, 7) == (2 + 4) * 7 + 3 * 5 * 7  # type: ignore[arg-type]


def test_a_pair_is_below_the_floor_of_the_coarser_of_its_dtypes() -> None:
    """A thousandth apart: more than float32 or float16 could hide, and less than bfloat16 may."""
    a = torch.randn(50, generator=cases.generator(1))
    for stored, below in (("float32", False), ("float16", False), ("bfloat16", True)):
        for both in (("float32", stored), (stored, "float32")):
            row = pairs.distances(a, 1.001 * a, *both)
            assert row["below_floor"] is below and row["relative_distance"] == pytest.approx(1e-3, rel=1e-2)


def test_a_pair_has_the_branch_step_that_both_have() -> None:
    one, two, three = (
        Checkpoint(str(n), labels({"seed": 0, "step": 9, "branch_step": p, "branch": n}))
        for n, p in enumerate((2, 2, 4))
    )
    row = pairs.pair_columns(one, two, ("branch",))
    assert (row["branch_step"], row["branch_a"], row["branch_b"], row["between"]) == (2, 0, 1, "branch")
    assert pairs.pair_columns(two, three, ("branch",))["branch_step"] is None


def test_other_objectives_take_the_same_way(tmp_path: Path) -> None:
    for seed in range(2):
        cases.save(cases.bert(seed), tmp_path / "bert" / f"seed_{seed}" / "step_1")
        cases.save(cases.classifier(seed), tmp_path / "cls" / f"seed_{seed}" / "step_1")
    masked = read_study(cases.study(tmp_path / "bert", objective='"masked-lm"', mask="0.3"))
    store, keys, failed = run(masked, tmp_path / "bert")
    assert not failed and (store.rows("barrier", keys)["unit"] == "nats per masked token").all()
    file = cases.study(tmp_path / "cls", objective='"classification"')
    lines = [f'{{"text": "w{n} w{n * n % 50}", "label": {n % 3}}}' for n in range(20)]
    (tmp_path / "cls" / "text.txt").write_text("\n".join(lines))
    store, keys, failed = run(read_study(file), tmp_path / "cls")
    profile = store.rows("metric_profile", keys)
    assert not failed and set(profile["metric"]) == {"accuracy"} and profile["value"].between(0, 1).all()
    ends = store.rows("loss", keys)
    assert [profile["value"].iloc[0], profile["value"].iloc[-1]] == ends["accuracy"].tolist()


def test_nan_fails_its_tasks_and_the_others_go_on(few_runs: Path, tmp_path: Path) -> None:
    runs = shutil.copytree(few_runs, tmp_path / "runs")
    file = runs / "seed_1" / "step_10" / "model.safetensors"
    stored = load_file(file)
    stored["transformer.ln_f.bias"][0] = float("nan")
    save_file(stored, file)
    store, keys, failed = run(read_study(cases.study(runs)), tmp_path)
    assert len(failed) == 2
    assert all("values of parameter 'transformer.ln_f.bias' are NaN" in message for message in failed.values())
    assert set(store.rows("barrier", keys)["step_a"]) == {0}
    assert len(store.rows("loss", keys)) == 5


def test_a_loss_that_is_not_finite_fails_its_task(few_runs: Path, tmp_path: Path) -> None:
    """Two finite ends whose logits overflow: an error, and not a barrier of nan."""
    runs = shutil.copytree(few_runs, tmp_path / "runs")
    for seed in (1, 2):
        file = runs / f"seed_{seed}" / "step_10" / "model.safetensors"
        stored = load_file(file)
        stored["transformer.ln_f.weight"] *= 1e37 * (-1) ** seed
        stored["transformer.wte.weight"] *= 100
        save_file(stored, file)
    _, _, failed = run(read_study(cases.study(runs)), tmp_path)
    assert any("the loss is not finite at 1 of 1 points in float32" in message for message in failed.values())


def test_two_architectures_are_refused_before_anything_runs(few_runs: Path, tmp_path: Path) -> None:
    linked(few_runs, tmp_path)
    cases.save(cases.gpt2(1, n_embd=15), tmp_path / "seed_3" / "step_0")
    study = read_study(cases.study(tmp_path))
    with pytest.raises(InputError, match=r"two architectures: n_embd is 12 in .* and 15 in "):
        prepare(study, Store(tmp_path / "results"))
    shutil.rmtree(tmp_path / "seed_3")
    cases.save(cases.gpt2(1, n_head=2), tmp_path / "seed_3" / "step_0")
    with pytest.raises(InputError, match="two architectures: n_head is 3 in .* and 2 in"):
        prepare(study, Store(tmp_path / "results"))
    shutil.rmtree(tmp_path / "seed_3")
    cases.save(cases.gpt2(1, n_layer=3), tmp_path / "seed_3" / "step_0")
    with pytest.raises(InputError, match="two architectures: n_layer is 2 in .* and 3 in"):
        prepare(study, Store(tmp_path / "results"))
    weights = tmp_path / "seed_3" / "step_0" / "model.safetensors"
    shutil.copy(tmp_path / "seed_0" / "step_0" / "config.json", weights.with_name("config.json"))
    stored = load_file(weights)
    save_file({name: value[:9] for name, value in stored.items() if ".h.2." not in name}, weights)
    with pytest.raises(InputError, match=r"seed_3/step_0: parameter 'transformer.wte.weight' is \(9, 12\) on disk"):
        prepare(study, Store(tmp_path / "results"))


def test_contents_are_hashed_again_only_when_files_change(few_runs: Path, tmp_path: Path) -> None:
    runs = shutil.copytree(few_runs, tmp_path / "runs")
    study = read_study(cases.study(runs))
    store = Store(tmp_path / "results")
    first = prepare(study, store)
    store.open(first.record)
    file = runs / "seed_1" / "step_10" / "model.safetensors"
    stored = load_file(file)
    stored["transformer.ln_f.bias"][0] += 1
    save_file(stored, file)
    again = prepare(study, store)
    changed = {t.key for t in first.tasks} - {t.key for t in again.tasks}
    assert len(changed) == 2
    assert {t.label for t in again.tasks if t.key not in {t.key for t in first.tasks}} == {
        "losses seed 1 step 10",
        "barriers seed 0,1,2 step 10",
    }


def test_a_checkpoint_that_is_rewritten_during_a_run_fails_its_tasks(few_runs: Path, tmp_path: Path) -> None:
    """Identified with one content, read with another; the other tasks are done, and a new run does the rest."""
    runs = Path(shutil.copytree(few_runs, tmp_path / "runs"))
    study = read_study(cases.study(runs, sequences="4"))
    prepared = prepare(study, Store(tmp_path / "results"))
    store = prepared.session.store
    store.open(prepared.record)
    file = runs / "seed_1" / "step_10" / "model.safetensors"
    save_file({name: 1.01 * values for name, values in load_file(file).items()}, file, {"format": "pt"})
    failed = local.run(prepared.tasks, lambda device: lambda task: perform(task, prepared.session), lambda event: None)
    touched = {task.key for task in prepared.tasks if any(str(file.parent) == c.ref for c in task.checkpoints)}
    assert failed.keys() == touched and 0 < len(touched) < len(prepared.tasks)
    assert all("have changed since they were identified" in message for message in failed.values())
    again = run(study, tmp_path)
    assert not again[2] and touched.isdisjoint(again[1])


def test_length_beyond_the_model_and_unknown_devices_are_refused(few_runs: Path, tmp_path: Path) -> None:
    linked(few_runs, tmp_path)
    with pytest.raises(
        InputError, match="length is 25 and the model takes at most 24 tokens; give length = 24 or less"
    ):
        prepare(read_study(cases.study(tmp_path, length="25")), Store(tmp_path / "results"))
    with pytest.raises(InputError, match="length is 9999 and the model takes"):  # for which the text is too short, too
        prepare(read_study(cases.study(tmp_path, length="9999")), Store(tmp_path / "results"))
    with pytest.raises(InputError, match="cannot compute on 'cuda:77'"):
        prepare(read_study(cases.study(tmp_path)), Store(tmp_path / "results"), "cuda:77")


def test_workers_and_threads_are_the_cheapest_by_the_clock(
    few_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = prepare(read_study(cases.study(linked(few_runs, tmp_path))), Store(tmp_path / "results")).session
    monkeypatch.setattr(workers.os, "sched_getaffinity", lambda _: {0, 1})
    evaluations = (6 + 6 * 3) * 20
    whole = {1: 1.0, 2: 0.7}  # seconds of all evaluations by threads
    tried = []
    disturbed: list[float] = []

    def least_seconds(work: Any) -> float:
        tried.append(work.args[0].examples)
        return (disturbed.pop() if disturbed else 1) * whole[torch.get_num_threads()] * 1000 * tried[-1] / evaluations

    monkeypatch.setattr(workers, "least_seconds", least_seconds)
    assert workers_for(session, session.tasks) == (1, 1), "nothing is timed for a small model and little work"
    monkeypatch.setattr(workers, "ONE_THREAD", 0)
    assert workers_for(session, session.tasks) == (1, 2)
    monkeypatch.setattr(strategy, "TRIAL_SHARE", 9 * workers.MIN_EXAMPLES / evaluations)
    assert workers_for(session, session.tasks) == (2, 1)
    assert workers_for(session, session.tasks, 1) == (1, 2) and workers_for(session, session.tasks, 3) == (3, 1)
    one_tile = [task for task in session.tasks if task.kind == "losses"] + session.tasks[-1:]
    whole[2] = 0.75
    monkeypatch.setattr(strategy, "TRIAL_SHARE", 1.0)
    assert workers_for(session, session.tasks) == (2, 1)
    monkeypatch.setattr(workers, "SPAWN_SECONDS", 1e6)
    assert [workers_for(session, session.tasks, ready=ready) for ready in (0, 1, 2)] == [(1, 2), (1, 2), (2, 1)]
    monkeypatch.setattr(workers, "SPAWN_SECONDS", 10.0)
    assert workers_for(session, one_tile) == (1, 2), "the second worker would wait for the first"
    whole[2] = 1.5
    assert workers_for(session, [*one_tile[:2], one_tile[-1]]) == (1, 1), "the second worker would do a tenth"
    whole[2] = 0.4
    assert workers_for(session, session.tasks) == (1, 2)
    whole.update({1: 1e-5, 2: 2e-5})
    assert workers_for(session, session.tasks) == (1, 1)
    assert set(tried) == {workers.MIN_EXAMPLES}
    whole.update({1: 1.0, 2: 0.4})
    disturbed += [1, 1, 9, 1]
    assert workers_for(session, session.tasks) == (1, 2), "one timing of two threads was slow, the other one was not"
    assert not disturbed
    monkeypatch.setattr(workers, "TRIAL_SHARE", 0.25)
    workers_for(session, session.tasks)
    assert tried[-1] == 0.25 * evaluations // 9, "more examples are timed where there is more work"
    assert workers_for(replace(session, device=torch.device("meta")), session.tasks) == (1, 2)


@pytest.mark.untyped
def test_a_worker_takes_the_next_task_whose_needs_are_done() -> None:
    plan: list[Any] = [SimpleNamespace(key=key, needs=tuple(needs)) for key, *needs in ("a", "b", "cab", "d", "ed")]
    costs = [1, 3, 10, 2, 4]
    assert makespan(plan, costs, 1) == 20
    assert makespan(plan, costs, 2) == 13, "c from 3 to 13 on one; d and e from 3 on the other"
    assert makespan(plan, costs, 9) == 13
    assert makespan(plan[2:3], [10], 2) == 10, "what it needs is done already"
    chain: list[Any] = [SimpleNamespace(key=key, needs=tuple(needs)) for key, *needs in ("a", "ba", "cb", "d", "e")]
    assert makespan(chain, [5, 1, 1, 4, 2], 2) == 7, "d and e are done while b and c wait"
