"""Planted defects, found each once, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hub_mirror import HubMirror
from safetensors.numpy import save_file

from landscape.checkpoints import find, local, sources
from landscape.checkpoints.audit import hashes, trajectory
from landscape.checkpoints.families import family
from landscape.cli.main import cli
from landscape.study.checkpoint import Checkpoint

STEPS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, *range(1000, 16_001, 1000), 20_000, 100_000, 143_000)
SIZE = 64


def weights(folder: Path, content: float, shards: tuple[float, ...] = (), lost: int | None = None) -> Path:
    """Weights that are told apart by a number: one file, or one for each shard, one of which may be missing."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    if not shards:
        save_file({"w": np.full(SIZE, content, np.float32)}, folder / "model.safetensors")
        return folder
    names = [f"model-{n + 1:05}-of-{len(shards):05}.safetensors" for n in range(len(shards))]
    for n, (name, value) in enumerate(zip(names, shards, strict=True)):
        if n != lost:
            save_file({f"w{n}": np.full(SIZE, value, np.float32)}, folder / name)
    index = {"weight_map": {f"w{n}": name for n, name in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def found(findings: list[hashes.Finding]) -> set[tuple[Any, ...]]:
    return {(f.kind, frozenset(label.rpartition("=")[2] for label in f.labels), bool(f.known)) for f in findings}


def planted(hub: HubMirror, folder: Path) -> None:
    """Thirty revisions of Pythia-14m's seed 4: most right, some not."""
    repo = hub.repo("EleutherAI/pythia-14m-seed4")
    special = {
        0: weights(folder / "0", 0.5),
        1: weights(folder / "1", 0.5),
        64: weights(folder / "64", 99),
        4000: weights(folder / "4000", 0, (4.1, 4.2, 4.3)),
        5000: weights(folder / "5000", 0, (5.1, 5.2, 5.3), lost=1),
        20_000: weights(folder / "20000", 0, (143.1, 20.2, 20.3)),
        100_000: weights(folder / "100000", 99),
        143_000: weights(folder / "143000", 0, (143.1, 143.2, 143.3)),
        2000: folder / "none",
    }
    special[2000].mkdir()
    for step in STEPS:
        if step != 3000:
            repo.commit(f"step{step}", special.get(step) or weights(folder / f"s{step}", 1000.5 + step))
    repo.commit("main", None)


@pytest.mark.slow
def test_thirty_revisions_are_audited_with_no_weight_byte(hub: HubMirror, tmp_path: Path) -> None:
    planted(hub, tmp_path)
    checkpoints = sources.of_family("pythia-14m", (4,), STEPS)
    assert len(checkpoints) == 30
    labels = hashes.listed(checkpoints)
    assert found(hashes.by_hashes(labels, family("pythia-14m"))) == {
        ("same weights", frozenset({"0", "1"}), True),
        ("same weights", frozenset({"64", "100000"}), False),
        ("no weights", frozenset({"2000"}), False),
        ("no revision", frozenset({"3000"}), False),
        ("missing shard", frozenset({"5000"}), False),
        ("shared file", frozenset({"20000", "143000"}), False),
        ("empty main", frozenset({"hf://EleutherAI/pythia-14m-seed4@main"}), True),
    }
    assert hub.sent == {} and not any("/resolve/" in path for _, path, _ in hub.log)
    assert len(hub.log) <= 30 + 3
    hub.log.clear()
    hashes.listed(checkpoints)
    assert len(hub.log) <= 3, "what a commit holds is asked once"


def test_a_clean_mirror_has_no_finding(hub: HubMirror, tmp_path: Path) -> None:
    repo = hub.repo("EleutherAI/pythia-14m-seed1")
    for step in (0, 512, 143_000):
        repo.commit(f"step{step}", weights(tmp_path / str(step), step))
    repo.commit("main", tmp_path / "143000")
    labels = hashes.listed(sources.of_family("pythia-14m", (1,), (0, 512, 143_000)))
    assert hashes.by_hashes(labels, family("pythia-14m")) == []
    repo.commit("main", tmp_path / "512")
    (wrong,) = hashes.by_hashes(hashes.listed([label.checkpoint for label in labels if not label.is_main]))
    assert (
        wrong.kind == "wrong main"
        and "serves the weights of pythia-14m:seed=1,step=512 and not those of the last step, 143000" in wrong.says
    )


def test_known_defects_do_not_hide_new_ones(hub: HubMirror, tmp_path: Path) -> None:
    """Steps 0 and 1 are known to be equal; that step 512 is the same too is news."""
    repo = hub.repo("EleutherAI/pythia-14m")
    for step in (0, 1, 512):
        repo.commit(f"step{step}", weights(tmp_path / str(step), 7))
    (finding,) = hashes.by_hashes(
        hashes.listed(sources.of_family("pythia-14m", (0,), (0, 1, 512))), family("pythia-14m")
    )
    assert finding.kind == "same weights" and len(finding.labels) == 3 and not finding.known
    absent = hashes.by_hashes(hashes.listed(sources.of_family("pythia-14m", (0,), (2,))), family("pythia-14m"))
    assert [(f.kind, f.known) for f in absent] == [("no revision", "")]


def test_a_repository_is_audited_by_its_branches(hub: HubMirror, tmp_path: Path) -> None:
    repo = hub.repo("EleutherAI/pythia-14m")
    for step in (0, 1, 512):
        repo.commit(f"step{step}", weights(tmp_path / str(step), step // 2))
    result = CliRunner().invoke(cli, ["audit", "hf://EleutherAI/pythia-14m", "--json"])
    (row,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert row["kind"] == "same weights" and "#83" in row["known"]
    hub.repo("a/b").commit("main", tmp_path / "512")
    result = CliRunner().invoke(cli, ["audit", "hf://a/b"])
    assert "for steps in folders write hf://a/b/{step}" in str(result.exception)


def test_bad_targets_get_a_sentence(tmp_path: Path) -> None:
    for target, said in (("pythia-14m:seed=x", "is not well formed"), (str(tmp_path / "gone"), "no folder or file")):
        assert said in str(CliRunner().invoke(cli, ["audit", target]).exception)
    alone = CliRunner().invoke(cli, ["audit", str(tmp_path), "--seed", "3"])
    assert "--seed and --step choose from a family" in str(alone.exception)


def test_what_cannot_be_read_is_a_finding_and_the_rest_is_audited(tmp_path: Path) -> None:
    runs = cases.runs(tmp_path / "runs", seeds=1, steps=(0, 10, 20, 30))
    broken = runs / "seed_0" / "step_10" / "model.safetensors"
    broken.write_bytes(broken.read_bytes()[:-9])
    names = [f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2)]
    (runs / "seed_0" / "step_20" / "model.safetensors").unlink()
    (runs / "seed_0" / "step_20" / names[0]).write_bytes(b"x")
    index = {"weight_map": {"a": names[0], "b": names[1]}}
    (runs / "seed_0" / "step_20" / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    result = CliRunner().invoke(cli, ["audit", str(runs), "--json"], catch_exceptions=False)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    kinds = [(row["kind"], row["labels"][0].rpartition("_")[2]) for row in rows if row["table"] == "finding"]
    assert {("missing shard", "20"), ("unreadable", "10"), ("unreadable", "20")} <= set(kinds)
    assert [row["step"] for row in rows if row["table"] == "trajectory"] == [0, 30]


@pytest.mark.parametrize("form", ["pt", "ckpt"])
def test_files_of_any_form_are_audited(tmp_path: Path, form: str) -> None:
    for step in (1, 2, 3):
        torch.save(cases.gpt2(step % 2).state_dict(), tmp_path / f"step={step}.{form}")
    result = CliRunner().invoke(cli, ["audit", str(tmp_path), "--json"], catch_exceptions=False)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    kinds = [row["kind"] for row in rows if row["table"] == "finding"]
    assert "no weights" not in kinds and len([kind for kind in kinds if kind.startswith("same")]) == 1
    assert len([row for row in rows if row["table"] == "trajectory"]) == 3


COMMON = {
    "norm": np.ones(20_000, np.float32), "masked_bias": np.array(-1e9, np.float32),
    "mask": np.tril(np.ones((1, 1, 90, 90), np.float32)),
}  # fmt: skip
"""What all models share, and what is stored beside parameters: neither may hide a distance."""


def run(folder: Path, points: dict[int, np.ndarray], seed: int = 0, **meta: str) -> list[trajectory.Seen]:
    for step, point in points.items():
        here = folder / f"seed_{seed}" / f"step_{step}"
        here.mkdir(parents=True)
        parts = {"a": point[:2000].reshape(40, 50), "b": point[2000:].reshape(-1, 20), **COMMON}
        save_file(parts, here / "model.safetensors", metadata={"step": str(step), **meta})
    seen, lost = trajectory.walk(find(str(folder / f"seed_{seed}" / "step_{step}")))
    assert not lost
    return seen


def walked(kind: str, seed: int = 0, steps: int = 8) -> dict[int, np.ndarray]:
    """Honest trajectories.

    A straight line, a random walk, noise about a mean, slowing growth, a large first step, steps so far apart that they
    have nothing in common, a matrix that moves only every other step.
    """
    random = np.random.default_rng(seed)
    start, way = random.normal(size=(2, 5000))
    noise = random.normal(size=(steps, 5000))
    match kind:
        case "line":
            points = [start + 0.05 * n * way for n in range(steps)]
        case "walk":
            points = [start + 0.1 * noise[:n].sum(axis=0) for n in range(steps)]
        case "noise":
            points = [start + 0.3 * noise[n] for n in range(steps)]
        case "burst":
            points = [start, *(start + (0.5 + 0.02 * n) * way for n in range(1, steps))]
        case "strangers":
            points = list(noise)
        case "frozen":
            points = [
                np.concatenate([start[:2000] + 0.1 * way[:2000] * (n // 2), start[2000:] + 0.1 * n * way[2000:]])
                for n in range(steps)
            ]
        case _:
            points = [start * 0.97**n + way * (1 - 0.8**n) + 0.05 * noise[n] for n in range(steps)]
    return {10 * n: point.astype(np.float32) for n, point in enumerate(points)}


@pytest.mark.parametrize("kind", ["line", "walk", "noise", "growth", "burst", "strangers", "frozen"])
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_honest_run_has_no_finding(tmp_path: Path, kind: str, seed: int) -> None:
    runs = [run(tmp_path, walked(kind, seed), 0), run(tmp_path, walked(kind, seed + 10), 1)]
    assert trajectory.findings(runs) == []


def test_distances_are_those_of_the_points(tmp_path: Path) -> None:
    points = walked("growth", 3)
    seen = run(tmp_path, points)
    flat = [p.astype(np.float64) for p in points.values()]
    for n in range(1, len(flat)):
        assert seen[n].to_previous == pytest.approx(np.linalg.norm(flat[n] - flat[n - 1]))
        assert seen[n].to_first == pytest.approx(np.linalg.norm(flat[n] - flat[0]))
        assert seen[n].length == pytest.approx(np.linalg.norm(flat[n]))
    assert seen[3].across == pytest.approx(np.linalg.norm(flat[4] - flat[2])) and seen[-1].across == 0


@pytest.mark.parametrize(
    ("kind", "place", "labels"), [("detour", 4, {40}), ("no descent", 0, {0, 10}), ("no descent", 7, {60, 70})]
)
def test_a_step_of_another_run_is_found(tmp_path: Path, kind: str, place: int, labels: set[int]) -> None:
    points = walked("walk", 5)
    points[10 * place] = walked("walk", 6)[10 * place]
    (finding,) = trajectory.findings([run(tmp_path, points)])
    assert finding.kind == kind and {int(label.rpartition("_")[2]) for label in finding.labels} == labels


@pytest.mark.parametrize("place", [2, 4, 6])
def test_a_run_that_goes_on_as_another_is_found(tmp_path: Path, place: int) -> None:
    points = walked("walk", 5)
    points |= {step: point for step, point in walked("walk", 6).items() if step >= 10 * place}
    (finding,) = trajectory.findings([run(tmp_path, points)])
    assert finding.kind == "no descent"
    assert [int(label.rpartition("_")[2]) for label in finding.labels] == [10 * place - 10, 10 * place]


def test_a_small_detour_is_found_by_its_neighbours(tmp_path: Path) -> None:
    """Twice a step sideways: 1.6 times as far from both neighbours as they are from each other."""
    points = walked("walk", 5)
    points[40] += 0.2 * np.random.default_rng(1).normal(size=5000).astype(np.float32)
    (finding,) = trajectory.findings([run(tmp_path, points)])
    assert finding.kind == "detour" and finding.labels[0].endswith("step_40")


@pytest.mark.parametrize(("before", "after", "found_"), [(0.5, 1.3, []), (1.3, 0.5, []), (1.3, 1.27, ["detour"])])
def test_a_detour_is_far_from_both_neighbours(before: float, after: float, found_: list[str]) -> None:
    steps = [
        trajectory.Seen(Checkpoint(f"step_{n}", (("step", n),)), {}, f"{n}", 90.0, to_previous=way, across=across)
        for n, way, across in ((0, 0.0, 0.0), (10, before, 1.0), (20, after, 0.0))
    ]
    assert [finding.kind for finding in trajectory.findings([steps])] == found_


def test_the_same_tensors_saved_twice_are_found_and_a_chimera(tmp_path: Path) -> None:
    points = walked("walk", 7)
    points[60] = points[20].copy()
    points[30][:2000] = points[70][:2000]
    kinds = {
        f.kind: {label.rpartition("_")[2] for label in f.labels} for f in trajectory.findings([run(tmp_path, points)])
    }
    assert kinds["same tensors"] == {"20", "60"} and kinds["shared tensors"] == {"30", "70"}


def test_branches_are_runs_of_their_own() -> None:
    refs = [
        "a/seed_0/step_20",
        "a/seed_0/step_3",
        "a/branches/seed_0/branched_at_3/branch_1/step_20",
        "a/seed_1/step_3",
    ]
    found = [[c.ref for c in run] for run in trajectory.runs([local.labelled(Path(ref)) for ref in refs])]
    assert found == [["a/seed_0/step_3", "a/seed_0/step_20"], [refs[2]], [refs[3]]]
    public = sources.of_family("olmo2-7b-ingredients", (1, 2), (1000, 11_931))
    assert [len(run) for run in trajectory.runs(public)] == [2, 2]
    assert len(trajectory.runs([find(f"hf://google/multiberts-seed_1-step_{k}k")[0] for k in (0, 20)])) == 1


def test_a_folder_is_audited_by_tensors_too(tmp_path: Path) -> None:
    runs = cases.runs(tmp_path / "runs", seeds=2, steps=(0, 10, 20))
    target = runs / "seed_1" / "step_20"
    for file in target.iterdir():
        file.unlink()
    cases.save(cases.gpt2(1), target)
    result = CliRunner().invoke(cli, ["audit", str(runs), "--json"])
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    same = [row for row in rows if row.get("kind") == "same weights"]
    assert len(same) == 1 and len(same[0]["labels"]) == 2
    assert [row["step"] for row in rows if row["table"] == "trajectory"] == [0, 10, 20] * 2
    assert "same tensors" not in {row.get("kind") for row in rows}, "what hashes tell is not said twice"
