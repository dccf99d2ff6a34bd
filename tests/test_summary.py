import numpy as np
import pandas as pd
import pytest

from landscape.profile.summary import (
    barrier_over_branching,
    barrier_over_training,
    by_path,
    by_symmetry,
    curves,
    mean_profiles,
    straight,
)
from landscape.profile.units import mean_over_units


def table(values: dict[tuple[int, int], float], **labels: object) -> pd.DataFrame:
    return pd.DataFrame([
        {"seed_a": a, "seed_b": b, "branch_a": a, "branch_b": b, "barrier": v, "low": v - 0.02, "high": v + 0.02}
        | labels
        for (a, b), v in values.items()
    ])  # fmt: skip


VALUES = {(a, b): 0.1 * ((3 * a + b * b) % 11) for a in (3, 7, 9, 12, 15) for b in (7, 9, 12, 15, 20) if a < b}


def expected(values: dict[tuple[int, int], float], error: float) -> tuple[float, float, float]:
    a, b = np.array([*values]).T
    return mean_over_units(np.array([*values.values()]), np.full(len(values), error), a, b)


def test_mean_over_pairs_of_each_step() -> None:
    rows = pd.concat([table(VALUES, between="seed", step_a=step) for step in (4, 0)])
    found = barrier_over_training(rows)
    mean, low, high = expected(VALUES, 0.02 / 1.959964)
    assert found["step"].tolist() == [0, 4]
    assert found.iloc[1][["barrier", "low", "high"]].tolist() == pytest.approx([mean, max(low, 0), high], abs=1e-6)
    assert found.iloc[1][["pairs", "best", "worst"]].tolist() == [15, min(VALUES.values()), max(VALUES.values())]


def test_no_mean_barrier_is_below_zero() -> None:
    """One seed apart from five that are connected: a symmetric interval would begin below zero."""
    values = {(a, b): 0.8 + 0.1 * a if b == 5 else 0.01 * a for a in range(6) for b in range(a + 1, 6)}
    _, low, high = expected(values, 0.02 / 1.959964)
    assert low < -0.1
    along = table(
        values,
        path="bezier",
        loss_increase=0.1,
        loss_increase_error=0.01,
        mean_loss_increase=0.1,
        mean_loss_increase_error=0.01,
    )
    ends = table(values, between="seed", step_a=4, how="weights").rename(columns={"seed_a": "a", "seed_b": "b"})
    assert barrier_over_training(table(values, between="seed", step_a=4)).iloc[0][["low", "high"]].tolist() == (
        pytest.approx([0, high], rel=1e-6)
    )
    by_paths = by_path(along.rename(columns={"seed_a": "a", "seed_b": "b"})).iloc[0]
    assert (by_paths["barrier_low"], by_paths["barrier_high"]) == pytest.approx((0, high), rel=1e-6)
    assert by_symmetry(ends).iloc[0][["low", "high"]].tolist() == pytest.approx([0, high], rel=1e-6)


def test_branches_are_averaged_by_branch_step() -> None:
    rows = pd.concat([table(VALUES, between="branch", branch_step=p, step_a=9, seed_a=4, seed_b=4) for p in (2, 5)])
    assert barrier_over_branching(rows)[["branch_step", "pairs"]].to_numpy().tolist() == [[2, 15], [5, 15]]
    assert barrier_over_training(rows).empty


def test_branches_of_several_seeds_are_pooled_and_the_seeds_are_the_units() -> None:
    """Branch 0 of one seed is not branch 0 of another; of one pair a seed the error is that of a mean over seeds."""
    seeds = {"early": 0.574, "2": 0.0, "10": 0.21, "x": 0.4, "y": 0.36, "z": 0.1}
    rows = pd.concat([
        table({(0, 1): value}, between="branch", branch_step=3, step_a=9, seed_a=seed, seed_b=seed)
        for seed, value in seeds.items()
    ])
    found = barrier_over_branching(rows).iloc[0]
    values = np.array([*seeds.values()])
    mean, low, high = mean_over_units(values, np.full(6, 0.02 / 1.959964), np.arange(6), np.arange(6))
    assert (found["barrier"], found["pairs"]) == (pytest.approx(values.mean()), 6)
    assert (found["low"], found["high"]) == pytest.approx((max(low, 0), high), rel=1e-5)


def along(path: str, values: dict[tuple[int, int], float], loss_increase: float) -> pd.DataFrame:
    rows = table(
        values,
        between="seed",
        path=path,
        align="none",
        step_a=9,
        loss_increase=loss_increase,
        loss_increase_error=0.01,
        mean_loss_increase=loss_increase / 2,
        mean_loss_increase_error=0.01,
    )
    return rows.assign(a=[f"s{k}" for k in rows["seed_a"]], b=[f"s{k}" for k in rows["seed_b"]])


def test_curves_are_compared_with_the_lines_of_their_pairs() -> None:
    bent = {pair: value / 10 for pair, value in VALUES.items()}
    lines = along("linear", VALUES | {(3, 11): 9.0}, 0.8)
    other = lines.assign(a=lines["a"] + "early", b=lines["b"] + "early", step_a=0)
    arcs = along("spherical", VALUES, 0.5)
    rows = pd.concat([lines, other, arcs, along("bezier", bent, 0.1), along("control", VALUES, 2.0)])
    chosen = curves(rows)
    assert chosen.groupby("path").size().to_dict() == {"bezier": 15, "control": 15, "linear": 15}
    means = by_path(chosen).set_index("path")
    mean, low, high = expected(bent, 0.02 / 1.959964)
    assert means.loc["bezier", ["barrier", "barrier_low", "barrier_high"]].tolist() == pytest.approx(
        [mean, max(low, 0), high], abs=1e-6
    )
    assert means["loss_increase"].to_dict() == pytest.approx({"bezier": 0.1, "control": 2.0, "linear": 0.8})
    assert means["pairs"].tolist() == [15, 15, 15]
    assert set(straight(rows)["path"]) == {"linear"} and len(straight(rows)) == 32
    assert curves(lines).empty and by_path(curves(lines)).empty


def test_mean_profiles_are_those_of_seeds_with_the_error_of_their_column() -> None:
    at = {
        t: pd.concat([table({k: v * t for k, v in VALUES.items()}, between="seed", step_a=4, t=t)]) for t in (0.3, 0.8)
    }
    rows = pd.concat([rows.assign(loss=2 + rows["barrier"], rise=rows["barrier"], error=0.07, rise_error=0.01)
                      for rows in at.values()])  # fmt: skip
    branches = rows.assign(between="branch", loss=9.0, rise=9.0)
    found = mean_profiles(pd.concat([rows, branches])).set_index("t")
    assert found.index.tolist() == [0.3, 0.8] and found["step"].tolist() == [4, 4]
    for t in (0.3, 0.8):
        for name, level, error in (("loss", 2, 0.07), ("rise", 0, 0.01)):
            want = expected({pair: level + t * value for pair, value in VALUES.items()}, error)
            assert tuple(found.loc[t, [name, f"{name}_low", f"{name}_high"]]) == pytest.approx(want)
    more = pd.concat([rows, rows[rows["t"] == 0.3].iloc[:2].assign(t=0.5, loss=9.0), rows.assign(step_a=9)])
    assert mean_profiles(more).groupby("step")["t"].apply(list).to_dict() == {4: [0.3, 0.8], 9: [0.3, 0.8]}
    at_one_step = pd.concat([rows.assign(step_a=np.nan), rows[rows["t"] == 0.3].iloc[:1].assign(step_a=np.nan, t=0.1)])
    assert mean_profiles(at_one_step)["t"].tolist() == [0.3, 0.8], "a point of some pairs alone is no mean over all"
