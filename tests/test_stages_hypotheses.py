"""Which tests are run on which series, and what is found by them in planted worlds."""

from dataclasses import replace
from itertools import permutations as every_order

import numpy as np
import pandas as pd
import pytest
import worlds
from scipy import stats
from simulated import OCTAVES, SIXTY, drift, sigmoid
from worlds import PRIMARY, SETTINGS, X, barrier, coupled, short

from landscape.stages.analysis import analyse
from landscape.stages.association import hypotheses, last_step, membership
from landscape.stages.events import dating
from landscape.stages.events.changes import Event
from landscape.stages.events.dating import Dated
from landscape.stages.findings.sentences import sentences
from landscape.stages.series.observed import Observed, from_tables
from landscape.stages.settings import Primary, Stages

curves_once = worlds.curves_once


def test_planted_coupling_is_found_and_the_contrary_is_not() -> None:
    found = analyse(worlds.observed(coupled(), OCTAVES), SETTINGS, PRIMARY)
    rows = found.association.set_index(["behaviour", "test", "hypothesis"])
    good, contrary = rows.loc[("good", "onset", "seed")], rows.loc[("contrary", "onset", "seed")]
    assert good["primary"] and good["q"] == good["p"] < 0.01 and good["effect"] > 0.8 and good["verdict"] == "coupled"
    assert contrary["p"] > 0.9 and contrary["effect"] < -0.8 and contrary["verdict"] == "not shown"
    assert not rows.drop(("good", "onset", "seed"))["primary"].any()
    lead = rows.loc[("good", "lead", "population")]
    assert lead["effect"] == pytest.approx(1, abs=0.15) and lead["low"] < 1 < lead["high"]
    trajectories = rows.loc[("good", "trajectory", "seed")]
    assert trajectories["effect"] >= 0.75 and np.isnan(trajectories["p"]) and trajectories["verdict"] == "described"
    assert good["p_family"] >= good["p"]
    stable = found.event[found.event["event"] == "stable"].set_index("seed")
    assert np.log1p(stable["step"].drop("all")).to_numpy() == pytest.approx(3 + np.linspace(-0.8, 0.8, 6), abs=0.35)
    middle = np.log1p(stable.loc["all", ["low", "step", "high"]].astype(float))
    assert middle["step"] == pytest.approx(3, abs=0.35) and middle["low"] < 2.7 and middle["high"] > 3.3
    said = sentences(found)
    assert said[0].startswith("2 stages in the mean over seeds, bounded by plateaus of loss, in which loss changes: ")
    assert said[1].startswith("Preregistered: good with barrier:last: onsets are rank-correlated") and len(said) <= 8
    assert said[2].startswith("Half-rise of the mean over seeds (t50): ") and "good, a rise, at step" in said[2]
    assert said[3].startswith(
        "Time to stable connectivity, after which the barrier stays below 0.5: barrier:last in the median of the"
    )


def test_what_was_not_preregistered_is_exploratory() -> None:
    found = analyse(worlds.observed(coupled(), OCTAVES), SETTINGS)
    assert not found.association["primary"].any()
    assert found.notes == ("the primary association was not preregistered, so it is exploratory",)


def test_few_seeds_short_series_and_flat_ones_are_said() -> None:
    values = {name: runs[:3] for name, runs in coupled().items()}
    values["flat"] = 0.01 * np.random.default_rng(0).standard_normal((3, len(X)))
    observed = worlds.observed(values, OCTAVES)
    short = observed.series[(observed.series["series"] != "contrary") | (observed.series["step"] < 5)]
    found = analyse(Observed(short), Stages.model_validate({"draws": 50, "boundaries": "nothing"}))
    (line,) = [line for line in sentences(replace(found, association=found.association.assign(q=0.01)))
               if line.startswith("Seed hypothesis")]  # fmt: skip
    assert ": 0 of 1 exploratory tests are significant at q <= 0.05 (1 of them cannot be" in line
    few = "3 seeds: with three seeds no test of the seed hypothesis can be significant"
    assert any(note.startswith(few) for note in found.notes)
    assert "contrary is known at 4 steps in some seed, and a curve needs 5: no events" in found.notes
    assert "flat does not change significantly over training: it has no onset" in found.notes
    assert any(note.startswith("no series is called nothing, so there are no stages; known: ") for note in found.notes)
    seed = found.association[found.association["hypothesis"] == "seed"]
    assert set(seed["behaviour"]) == {"good"}
    by_test = seed.set_index("test")
    assert by_test.loc["onset", "verdict"] == "cannot be shown with 3 seeds" and by_test.loc["onset", "p"] >= 1 / 6
    assert by_test.loc["trajectory", "verdict"] == "described"
    assert "onset given loss" not in by_test.index


@pytest.mark.slow
def test_another_series_changes_no_number() -> None:
    values = coupled()
    settings = Stages.model_validate({"draws": 50})
    less = analyse(worlds.observed({k: v for k, v in values.items() if k != "contrary"}, OCTAVES), settings)
    more = analyse(worlds.observed(values, OCTAVES), settings)
    columns = ["effect", "low", "high", "p", "power"]
    a, b = (f.association[f.association["behaviour"] == "good"][columns].reset_index(drop=True) for f in (less, more))
    pd.testing.assert_frame_equal(a, b)


def test_times_to_stable_connectivity_are_tested_with_behaviour() -> None:
    """Branches of every seed: a seed that is stable early learns early; the onset of one is too early to be seen."""
    random = np.random.default_rng(3)
    late = np.linspace(-0.7, 0.7, 5)
    branch_steps = np.array([0, 4, 8, 16, 32, 64, 128, 256])
    rows = [
        barrier("branch", (seed, 999), (seed, 999), float(v), branch_step=int(branch_step), branch_a=a, branch_b=b)
        for seed, d in enumerate(late) for branch_step in branch_steps for a, b in ((0, 1), (0, 2), (1, 2))
        for v in [1 - sigmoid(np.log1p(branch_step), 3 + d, 0.25) + 0.02 * random.random()]
    ]  # fmt: skip
    branches = from_tables({"barrier": pd.DataFrame(rows)})
    behaviour = worlds.observed({"good": sigmoid(X, 4 + late[:, None])}, OCTAVES).series
    both = Observed(pd.concat([branches.series, behaviour]), branches.pairs, branches.branch_steps)
    found = analyse(both, Stages.model_validate({"threshold": 0.5, "draws": 50}))
    stable = found.event[found.event["event"] == "stable"].set_index("seed")
    assert np.log1p(stable["step"].drop("all")).to_numpy() == pytest.approx(3 + late, abs=0.2)
    test = found.association.set_index(["test", "hypothesis"]).loc[("onset", "seed")]
    assert test["connectivity"] == "barrier:branch" and test["effect"] > 0.9 and test["p"] < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("coupling", "runs"), [(0.0, 15), (1.0, 10)])
def test_level_and_power_hold_from_the_series_on(coupling: float, runs: int) -> None:
    """Trends with autocorrelated noise, smoothed and dated: five seeds reject in few worlds, or in most."""
    random = np.random.default_rng([5, int(coupling)])
    x = np.log1p(SIXTY)
    rejected: dict[str, list[bool]] = {}
    for _ in range(runs):
        own, other = random.standard_normal((2, 5))
        c = random.uniform(4, 8) + 0.6 * own
        b = c.mean() + 0.4 + 0.6 * (coupling * own + np.sqrt(1 - coupling**2) * other)
        values = {
            "barrier:last": 1 - sigmoid(x, c[:, None], 0.5) + drift(random, 5, len(x), size=0.03),
            "good": sigmoid(x, b[:, None], 0.5) + drift(random, 5, len(x), size=0.03),
        }
        found = analyse(worlds.observed(values, SIXTY), Stages.model_validate({"threshold": 0.5, "draws": 50}))
        for row in found.association.query("hypothesis == 'seed' and p == p").to_dict("records"):
            rejected.setdefault(row["test"], []).append(row["p"] <= 0.05)
    rates = {name: float(np.mean(hits)) for name, hits in rejected.items()}
    if coupling == 0:
        assert all(rate <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / runs) for rate in rates.values()), rates
    else:
        assert rates["onset"] >= 0.6, rates


def test_connectivity_is_not_compared_with_other_barriers() -> None:
    world = short(barrier_last=[[1.0, 0.0]], barrier_x=[[1.0, 0.0]], loss=[[1.0, 0.0]], good=[[1.0, 0.0]]).series
    world["headline"] = world["series"] != "loss:part"
    settings = Stages.model_validate({"connectivity": "barrier:last"})
    assert dating.behaviours(world, settings) == ["good"]
    named = settings.model_copy(update={"behaviour": ("barrier:*", "loss")})
    assert dating.behaviours(world, named) == ["barrier:x", "loss"]


def test_five_seeds_are_not_few() -> None:
    few, five = (analyse(short(loss=[[2.0, 1.0]] * seeds), Stages()).notes for seeds in (4, 5))
    assert few[1].startswith("4 seeds: with three seeds no test of the seed hypothesis") and len(five) == len(few) - 1


def of_onsets(onsets: dict[str, tuple[list[str], np.ndarray]], events: dict[tuple[str, str], list[Event]] | None = None,
           primary: Primary | None = None, **settings: object) -> pd.DataFrame:  # fmt: skip
    """The tests on onsets that are known."""
    series = pd.DataFrame({"series": [*onsets], "seed": "a", "headline": True}).merge(
        pd.DataFrame({"step": np.expm1(np.linspace(0, np.log1p(1e4), 60))}), "cross"
    )
    dated = Dated({}, {}, events or {}, onsets, 0.5, [])
    given = Stages.model_validate({"draws": 50, **settings})
    return hypotheses.associations(Observed(series), dated, given, primary)


def test_seeds_are_compared_with_themselves() -> None:
    """Whatever the order of the seeds in either series, and whichever of them have both."""
    c, b = [*"bcadf"], [*"fxdbca"]
    early, late = {**dict(zip("abcdf", (3.0, 5.1, 4.2, 6.6, 1.9), strict=True)), "x": 9.0}, {}
    late = {seed: at + 1 + 0.02 * at**2 for seed, at in early.items()}
    late["b"], late["d"] = late["d"], late["b"]
    rows = of_onsets({
        "barrier:last": (c, np.array([early[seed] for seed in c])[:, None].repeat(50, axis=1)),
        "good": (b, np.array([late[seed] for seed in b])[:, None].repeat(50, axis=1)),
    }).set_index("test")  # fmt: skip
    want = stats.spearmanr([early[seed] for seed in "abcdf"], [late[seed] for seed in "abcdf"]).statistic
    assert rows.loc["onset", "effect"] == pytest.approx(want) and rows.loc["onset", "seeds"] == 5
    assert rows.loc["lead", "effect"] == pytest.approx(np.mean([late[seed] - early[seed] for seed in "abcdf"]))


def test_multiplicity_is_that_of_a_hypothesis_without_the_primary() -> None:
    """Benjamini and Hochberg by hand over the others, and the largest statistic over the behaviours of each test."""
    random = np.random.default_rng(16)
    seeds, base = [*"abcde"], random.standard_normal(5)
    onsets = {
        name: (seeds, (5 + base + size * random.standard_normal(5))[:, None].repeat(50, axis=1))
        for name, size in {"barrier:last": 0.1, "loss": 2.0, "p": 0.1, "q": 0.4, "r": 0.9}.items()
    }
    rows = of_onsets(onsets, None, Primary(connectivity="barrier:last", behaviour="p", test="onset"))
    assert rows["primary"].tolist() == [True] + [False] * (len(rows) - 1)
    assert rows["q"][0] == rows["p"][0] and rows["verdict"][0] == ("coupled" if rows["p"][0] <= 0.05 else "not shown")
    for _, part in rows[1:].groupby("hypothesis"):
        p = part["p"].dropna().sort_values()
        q = pd.Series([min(p.iloc[k:] * len(p) / np.arange(k + 1, len(p) + 1)) for k in range(len(p))], p.index)
        np.testing.assert_allclose(part["q"].dropna(), q[part["q"].dropna().index])
    assert ((rows["p"] <= 0.05) & (rows["q"] > 0.05) & (rows["verdict"] == "not shown")).any()
    for test in ("onset", "onset given loss"):
        part = rows[(rows["test"] == test)]
        assert len(part) == 3 and (part["p_family"] >= part["p"]).all() and part["p_family"].notna().all()
    ranks = {name: stats.rankdata(np.median(at, axis=1)) for name, (_, at) in onsets.items()}
    orders = np.array(list(every_order(range(5))))
    every = np.array([[np.corrcoef(ranks["barrier:last"], ranks[name][o])[0, 1] for o in orders] for name in "pqr"])
    own = rows[rows["test"] == "onset"].set_index("behaviour")["p_family"]
    for k, name in enumerate("pqr"):
        assert own[name] == pytest.approx(np.mean(every.max(axis=0) >= every[k, 0] - 1e-9))


def test_the_loss_is_not_tested_with_itself_held_fixed() -> None:
    random = np.random.default_rng(2)
    onsets = {name: ([*"abcde"], random.uniform(3, 7, (5, 50))) for name in ("barrier:last", "loss", "good")}
    rows = of_onsets(onsets, behaviour=["loss", "good"])
    assert set(rows.loc[rows["test"] == "onset given loss", "behaviour"]) == {"good"}
    assert set(rows.loc[rows["test"] == "onset", "behaviour"]) == {"loss", "good"}


def test_the_window_of_a_precursor_is_a_factor_between_steps() -> None:
    """Events of behaviour at 1.9 and 2.2 times the step: one of two is within a factor of two, both within three."""
    seeds = [*"abcd"]
    onsets = {name: (seeds, np.random.default_rng(3).uniform(3, 7, (4, 50))) for name in ("barrier:last", "good")}
    events = {}
    for n, seed in enumerate(seeds):
        at = 2 + 1.7 * n
        events["barrier:last", seed] = [Event("fastest", "fall", np.full(50, at))]
        events["good", seed] = [Event("extremum", "maximum", np.full(50, at + np.log(f))) for f in (1.9, 2.2)]
    for window, share in ((2.0, 0.5), (3.0, 1.0), (1.5, 0.0)):
        rows = of_onsets(onsets, events, window=window, seed=1)
        assert rows.loc[rows["test"] == "precursor", "effect"].tolist() == [share], window


def test_matrices_are_those_of_the_last_step_that_has_all_seeds() -> None:
    """Scores in the order of the seeds, whatever that of the file."""
    seeds = [*"abcde"]
    pairs = pd.DataFrame([
        {"series": "barrier:seed", "seed_a": a, "seed_b": b, "step": step, "value": step + n + 10 * k}
        for step in (2.0, 8.0, 32.0) for n, a in enumerate(seeds) for k, b in enumerate(seeds) if n < k
    ])  # fmt: skip
    scores = pd.DataFrame([
        {"series": "p", "seed": seed, "step": step, "value": step * (n + 1) ** 2}
        for step in (32.0, 8.0, 2.0) for n, seed in reversed([*enumerate(seeds)]) if (step, seed) != (32.0, "c")
    ])  # fmt: skip
    found = last_step.common(pairs, "p", Observed(scores, pairs))
    assert found is not None
    step, names, barriers, distances, values, losses = found
    assert (step, names, losses) == (8, seeds, None) and values.tolist() == [8, 32, 72, 128, 200]
    assert (
        barriers[1, 3] == barriers[3, 1] == 8 + 1 + 30 and distances[1, 3] == 128 - 32 and not np.diag(barriers).any()
    )


def test_clusters_are_frozen_from_the_step_on_from_which_they_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landscape.stages.association.clusters.NULLS", 19)
    random = np.random.default_rng(4)
    before, after = (0, 0, 0, 0, 1, 1, 1, 1), (0, 1, 0, 1, 0, 1, 0, 1)
    pairs = pd.DataFrame([
        {"series": "barrier:seed", "seed_a": a, "seed_b": b, "step": step,
         "value": 0.2 + 0.7 * (groups[a] != groups[b]) + 0.02 * random.random()}
        for step, groups in ((1.0, after), (2.0, before), (4.0, after), (8.0, after))
        for a in range(8) for b in range(a)
    ])  # fmt: skip
    rows = membership.over_training(Observed(pairs=pairs), Stages())
    by_step = rows.groupby("step")
    assert by_step["frozen"].all().to_dict() == {1: False, 2: False, 4: True, 8: True}
    assert (
        rows[rows["step"] == 8]["cluster"].tolist() == list(after) and (by_step["agreement"].first() == 1).tolist()[2:]
    )
    found = replace(analyse(short(loss=[[2.0, 1.0]]), Stages()), cluster=rows)
    (said,) = [line for line in sentences(found) if line.startswith("Clusters of seeds")]
    assert said == (
        "Clusters of seeds: 0, 2, 4, 6 | 1, 3, 5, 7 in barrier:seed at step 8 (p 0.05), unchanged from step 4 on."
    )


def test_negligible_changes_are_not_dated() -> None:
    """A barrier that falls by less than the floor, and a score that changes by less than the errors of its items."""
    random = np.random.default_rng(8)
    steps = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128, 256.0])
    rise = 1 / (1 + np.exp(-(np.log1p(steps) - 3) / 0.4)) + 0.01 * random.standard_normal((3, 10))
    values = {
        "barrier:last": 1e-4 * (1 - rise),
        "barrier:x": 1e-4 * (1 - rise),
        "score": 0.04 * rise,
        "loss": 1 - 1e-3 * rise,
    }
    world = worlds.observed(values, steps)
    series = world.series.assign(shared_error=np.where(world.series["series"] == "score", 0.05, np.nan))
    found = analyse(replace(world, series=series), Stages.model_validate({"draws": 50}))
    assert found.threshold == dating.FLOOR == 0.01
    said = " | ".join(found.notes)
    assert "barrier:x changes by 0.0001, less than the negligible 0.01: it has no onset" in said
    assert "score changes by 0.04, which the errors of its examples or items explain (0.14): it has no onset" in said
    stable = found.event[found.event["event"] == "stable"]
    assert (stable["censored"] == "left").all() and len(stable) == 4
    lower = analyse(replace(world, series=series), Stages.model_validate({"draws": 50, "floor": 0.0}))
    assert lower.threshold == pytest.approx(0.02 * 1e-3, rel=0.05)
    assert (lower.event[lower.event["event"] == "half_rise"]["series"] == "barrier:x").any()
    other = analyse(replace(world, unit="squared error", series=series), Stages.model_validate({"draws": 50}))
    assert other.threshold == pytest.approx(0.01 * world.series.query("series == 'loss'")["value"].max())
