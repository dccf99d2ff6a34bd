"""Series from results and from files, and the whole analysis of planted ones."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import worlds
from joblib import Parallel
from scipy import stats
from simulated import OCTAVES
from worlds import SETTINGS, X, barrier, coupled, short

from landscape.cli.stages import write as write_table
from landscape.stages.analysis import TABLES, analyse
from landscape.stages.association import last_step
from landscape.stages.association.hypotheses import _censoring
from landscape.stages.events import dating, staging
from landscape.stages.events.changes import Event
from landscape.stages.events.onsets import median_of_seeds
from landscape.stages.findings.sentences import sentences
from landscape.stages.series.axis import Axis
from landscape.stages.series.observed import Observed, from_tables, to_others
from landscape.stages.series.runs import Measured, covering, mean_run, measured, seeds_of_mean
from landscape.stages.series.smooth import Curves
from landscape.stages.settings import Stages

curves_once = worlds.curves_once


def test_series_of_barriers_by_hand() -> None:
    rows = pd.DataFrame([
        barrier("seed", (0, 8), (1, 8), 0.2),
        barrier("seed", (0, 8), (2, 8), 0.5),
        barrier("seed", (1, 8), (2, 8), 0.3),
        barrier("seed", (0, 8), (1, 8), 0.9, path="bezier"),
        barrier("seed", (1, 8), (2, 8), 0.8, align="weights"),
        barrier("last", (1, 8), (1, 99), 0.4),
        barrier("neighbours", (2, 8), (2, 35), 0.7),
        *(barrier("branch", (0, 99), (0, 99), v, branch_step=4, branch_a=a, branch_b=b)
          for a, b, v in ((0, 1, 0.1), (0, 2, 0.3), (1, 2, 0.5))),
        barrier("branch", (0, 50), (0, 50), 7.0, branch_step=4, branch_a=0, branch_b=1),
    ])  # fmt: skip
    found = from_tables({"barrier": rows})
    values = found.series.set_index(["series", "seed", "step"])["value"]
    assert values["barrier:seed"].to_dict() == pytest.approx({(0, 8): 0.35, (1, 8): 0.25, (2, 8): 0.4})
    assert values["barrier:last"].to_dict() == {(1, 8): 0.4}
    median_of_seeds = 8 * (np.sqrt(2 * (35 / 8 + 1)) - 1)  # the first step is 8, and so is the unit of the axis
    [((seed, middle), between)] = values["barrier:neighbours"].to_dict().items()
    assert (seed, between) == (2, 0.7) and middle == pytest.approx(median_of_seeds)
    assert values["barrier:branch"].to_dict() == pytest.approx({(0, 4): 0.3})
    assert len(found.branch_steps) == 3 and found.branch_steps["error"].to_numpy() == pytest.approx(0.02)
    assert found.series["error"].isna().all() and found.series["shared_error"].to_numpy() == pytest.approx(0.02)
    assert sorted(found.pairs["value"]) == [0.2, 0.3, 0.5] and found.unit == "nats per token"


def test_series_of_checkpoints_by_hand() -> None:
    at = {"seed": 3, "step": 16, "branch_step": None}
    llc = {**at, "sampler": "sgld", "moved": "all", "mode": "evaluation", "n_beta": 5.0, "localisation": 100.0}
    probe = {**at, "probe": "p", "metric": "score", "error": 0.1}
    tables = {
        "loss": pd.DataFrame([{**at, "loss": 2.5, "error": 0.1}, {**at, "branch_step": 4, "loss": 9.0, "error": 0.1}]),
        "llc": pd.DataFrame([
            {**llc, "llc": 11.0, "error": 0.7},
            {**llc, "moved": "head 0.1", "llc": 2.0, "error": 0.2},
        ]),
        "probe": pd.DataFrame([
            {**probe, "subset": "", "value": 0.8, "headline": True},
            {**probe, "subset": "part", "value": 0.6, "headline": False},
        ]),
        "behaviour": pd.DataFrame([
            {"between": "seed", "seed_a": 0, "seed_b": 1, "step_a": 16, "probe": "predictions", "metric": "divergence",
             "value": 0.25, "error": 0.01}
        ]),
    }  # fmt: skip
    found = from_tables(tables)
    values = found.series.set_index("series")
    assert values["value"].to_dict() == {
        "loss": 2.5,
        "llc": 11.0,
        "llc:head 0.1:2": 2.0,
        "p:score": 0.8,
        "p:score:part": 0.6,
    }
    assert values.loc["llc", "error"] == 0.7 and np.isnan(values.loc["loss", "error"])
    assert values["headline"].to_dict() == {"loss": True, "llc": True, "llc:head 0.1:2": True, "p:score": True,
                                            "p:score:part": False}  # fmt: skip
    assert found.pairs["series"].tolist() == ["distance:predictions:divergence"]


def test_nothing_measured_is_no_series() -> None:
    assert from_tables({}).series.empty and from_tables({}).pairs.empty


def test_stages_say_what_changes_in_them() -> None:
    """Loss falls by one, rests and falls by one; what is learned in the second fall rises there alone."""
    found = analyse(worlds.observed(coupled(), OCTAVES), SETTINGS)
    everyone = found.stage[found.stage["seed"] == "all"].pivot(index="stage", columns="series", values="change")
    assert everyone["loss"].to_numpy() == pytest.approx([-1, -1], abs=0.12)
    assert everyone["good"].to_numpy() == pytest.approx([0.3, 0.7], abs=0.15)
    bounds = found.stage[(found.stage["series"] == "loss") & (found.stage["stage"] == 2)]
    assert np.log1p(bounds["start"]).to_numpy() == pytest.approx(3.5, abs=0.6)
    assert (bounds["start_low"] < bounds["start"]).all() and (bounds["start"] < bounds["start_high"]).all()


def test_unequal_steps_missing_checkpoints_ties_and_censored_runs() -> None:
    """Seeds saved at other steps, a hole in one, two alike, one that never learns: all stay in, the last one last."""
    values = coupled(7)
    values["good"][6] = 0.02 * np.random.default_rng(5).standard_normal(len(X))
    values["good"][1] = values["good"][0]
    del values["loss"], values["contrary"]
    series = worlds.observed(values, OCTAVES).series
    drop = (
        ((series["seed"] == 2) & (series["step"] % 3 == 0))
        | ((series["seed"] == 4) & series["step"].between(20, 50))
        | ((series["seed"] == 3) & (series["step"] > 800))
    )
    found = analyse(Observed(series[~drop]), Stages.model_validate({"threshold": 0.5, "draws": 50}))
    row = found.association.set_index(["behaviour", "test", "hypothesis"]).loc[("good", "onset", "seed")]
    assert row["seeds"] == 7 and row["effect"] > 0.6 and row["p"] < 0.05
    censored = found.event[(found.event["series"] == "good") & (found.event["event"] == "half_rise")].set_index("seed")
    assert censored.loc["6", "censored"] == "right" and np.isnan(censored.loc["6", "step"])
    assert (censored.drop("6")["censored"] == "no").all()


@pytest.mark.parametrize(
    ("level", "censored", "said"), [(0.1, "left", "before the first checkpoint"), (0.9, "right", "not before the end")]
)
def test_a_barrier_that_is_always_on_one_side_is_dated_outside_of_training(
    level: float, censored: str, said: str
) -> None:
    values = {name: runs for name, runs in coupled().items() if name != "contrary"}
    values["barrier:last"] = np.full((6, len(X)), level)
    found = analyse(worlds.observed(values, OCTAVES), Stages.model_validate({"threshold": 0.5, "draws": 50}))
    stable = found.event[found.event["event"] == "stable"]
    assert stable["seed"].tolist() == [*"012345", "all"] and (stable["censored"] == censored).all()
    assert not [note for note in found.notes if "barrier:last" in note]
    (line,) = [line for line in sentences(found) if line.startswith("Time to stable connectivity")]
    assert line.startswith(
        "Time to stable connectivity, after which the barrier stays below 0.5: "
        f"barrier:last in the median of the seeds, {said}"
    )


def test_the_median_time_to_stable_connectivity_is_no_mean_of_infinities() -> None:
    def at(*places: float) -> list[Event]:
        return [Event("stable", "fall", np.full(2000, place)) for place in places]

    random = np.random.default_rng(0)
    assert np.median(median_of_seeds(at(1.0, 2.0, 3.0), random).at) == 2
    halves, counts = np.unique(median_of_seeds(at(1.0, 2.0), random).at, return_counts=True)
    assert halves.tolist() == [1, 1.5, 2] and counts[1] / 2000 == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(2000))
    opposite = median_of_seeds(at(-np.inf, np.inf), random).at
    assert set(opposite) == {-np.inf, np.inf}
    assert np.mean(opposite == -np.inf) == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / 2000)), "the earlier one"
    assert set(median_of_seeds(at(2.0, np.inf), random).at) == {2.0, np.inf}


def test_a_lead_of_seeds_that_never_change_is_a_bound() -> None:
    values = {name: runs for name, runs in coupled().items() if name != "contrary"}
    values["good"][3:5] = 0.02 * np.random.default_rng(2).standard_normal((2, len(X)))
    observed = worlds.observed({"barrier:x": 1 - values["barrier:last"], "good": values["good"]}, OCTAVES)
    found = analyse(observed, Stages.model_validate({"draws": 50}))
    lead = found.association.set_index("test").loc["lead"]
    assert (lead["censored"], lead["bound"]) == (2, "at least")
    assert (found.association.set_index("test")["censored"].drop("lead") == 0).all()
    said = sentences(replace(found, association=found.association.assign(q=0.01, p_floor=0.01)))
    factor, low, high = np.exp(lead[["effect", "low", "high"]].astype(float))
    (line,) = [line for line in said if "(step + 1)" in line]
    assert f"(step + 1) of behaviour is at least {factor:.2f} [{low:.2f}, {high:.2f}] times that of conn" in line
    assert "(2 of 6 seeds change outside of training, so this is a bound)" in line


@pytest.mark.parametrize(
    ("c", "b", "bound"),
    [(5, 6, ""), (5, np.inf, "at least"), (-np.inf, 6, "at least"), (np.inf, 6, "at most"), (5, -np.inf, "at most"),
     (np.inf, np.inf, "unknown")],
)  # fmt: skip
def test_which_way_a_lead_is_bounded(c: float, b: float, bound: str) -> None:
    others = np.full((2, 9), 4.0)
    ours, theirs = (np.vstack([others, np.full((1, 9), at)]) for at in (c, b))
    assert _censoring(ours, theirs) == {"censored": int(bound != ""), "bound": bound}


def test_empty_tables_have_their_columns(tmp_path: Path) -> None:
    values = {name: coupled()[name] for name in ("barrier:last", "good")}
    found = analyse(worlds.observed(values, OCTAVES), Stages.model_validate({"draws": 50}))
    assert found.stage.empty
    for name in TABLES:
        write_table(getattr(found, name), tmp_path / f"{name}.csv")
        assert list(pd.read_csv(tmp_path / f"{name}.csv")) == list(getattr(found, name)) != []


def test_ends_of_stages_are_steps_as_starts_are() -> None:
    found = analyse(worlds.observed(coupled(), OCTAVES), SETTINGS).stage
    one = found[(found["seed"] == "all") & (found["series"] == "loss")]
    assert one["end"].tolist() == [*one["start"].tolist()[1:], OCTAVES[-1]] and one["start"].iloc[0] == 0


def test_curves_are_the_same_whoever_fits_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """By processes of their own once there are many, as here there are said to be."""
    world, settings = worlds.observed({"loss": coupled()["good"][:2]}, OCTAVES), Stages.model_validate({"draws": 50})
    alone = analyse(world, settings)
    asked: list[int] = []
    monkeypatch.setattr(dating, "PARALLEL", 0)
    monkeypatch.setattr(dating, "Parallel", lambda n_jobs: asked.append(n_jobs) or Parallel(n_jobs=1))
    together = analyse(world, settings)
    assert asked == [-1]
    pd.testing.assert_frame_equal(alone.curve, together.curve)
    pd.testing.assert_frame_equal(alone.event, together.event)


def test_the_threshold_is_a_share_of_the_fall_of_the_loss_or_of_the_largest_barrier() -> None:
    """The fall is that from the first mean over seeds to the last; a loss that does not fall says nothing."""
    barriers = [[0.2, 0.9, 0.4], [0.1, 0.3, 0.5]]
    for losses, want in (
        ({"loss": [[3.0, 3.9, 1.0], [3.2, 3.5, 1.4]]}, 0.02 * 1.9),
        ({"loss": [[1.0, 0.2, 1.3], [1.1, 0.3, 1.2]]}, 0.05 * 0.9),
        ({}, 0.05 * 0.9),
    ):
        assert analyse(short(barrier_last=barriers, **losses), Stages()).threshold == pytest.approx(want)


def test_the_error_that_steps_share_moves_them_together_and_each_series_by_itself() -> None:
    """On a line from 1 at step 0 to 0 at step 3, one half is crossed later by log(4) times the error of all values."""
    world = short(barrier_last=[[1.0, 0.0], [1.0, 0.0]], barrier_branch=[[1.0, 0.0], [1.0, 0.0]])
    world = Observed(world.series.assign(shared_error=0.05, step=3 * world.series["step"]))
    settings = Stages.model_validate({"threshold": 0.5, "draws": 2000})
    found = dating.date(world, settings).onsets
    every = np.concatenate([found[name][1] for name in ("barrier:last", "barrier:branch")])
    assert every.mean(axis=1) == pytest.approx(np.log(4) / 2, abs=4 * 0.05 * np.log(4) / np.sqrt(2000))
    assert every.std(axis=1) == pytest.approx(0.05 * np.log(4), rel=4 / np.sqrt(2 * 2000))
    assert np.abs(np.corrcoef(every) - np.eye(4)).max() < 4 / np.sqrt(2000)
    again, other = (dating.date(world, settings.model_copy(update={"seed": seed})).onsets for seed in (0, 1))
    np.testing.assert_array_equal(again["barrier:last"][1], found["barrier:last"][1])
    assert np.abs(np.corrcoef(other["barrier:last"][1], found["barrier:last"][1])[:2, 2:]).max() < 4 / np.sqrt(2000)


def line(ends: tuple[float, float], slopes: np.ndarray) -> Curves:
    """Straight curves of known gradients."""
    x = np.linspace(*ends, 31)
    draws = np.multiply.outer(slopes, x)
    return Curves(x, draws.mean(axis=0), draws, 0.0)


def test_the_mean_run_resamples_seeds() -> None:
    """Seeds of gradients 1, 2 and 6: those of its draws are means of three drawn with replacement, widened."""
    curves = {seed: line((0, 4), np.full(3000, slope)) for seed, slope in enumerate((1, 2, 6))}
    run = {seed: Measured(one.x, one.mean, np.full(31, 0.3), 29) for seed, one in curves.items()}
    mean, found = mean_run(run, curves, np.random.default_rng(0))
    np.testing.assert_allclose([mean.value, found.mean], [3 * mean.x] * 2)
    assert mean.sd == pytest.approx(0.3 / np.sqrt(3)) and mean.count == 29
    wide = np.sqrt(3 / 2) * stats.t.ppf(0.95, 2) / stats.norm.ppf(0.95)
    again = 3 + (found.draws[:, -1] / 4 - 3) / wide
    assert again.std() == pytest.approx(np.std([1, 2, 6]) / np.sqrt(3), rel=0.05)
    assert {*np.round(3 * again)} == {3, 4, 5, 6, 8, 9, 10, 13, 14, 18}


def test_an_interval_of_the_mean_is_that_of_student_over_the_seeds() -> None:
    """Of seeds that differ by normal numbers only: the draws of the mean cover it as a t interval does."""
    random = np.random.default_rng(1)
    covered = []
    for _ in range(200):
        places = random.standard_normal(5)
        curves = {
            seed: Curves(np.arange(5.0), np.full(5, at), np.full((400, 5), at), 0.0) for seed, at in enumerate(places)
        }
        run = {seed: Measured(one.x, one.mean, np.ones(5), 3) for seed, one in curves.items()}
        low, high = np.quantile(mean_run(run, curves, random)[1].draws[:, 0], [0.05, 0.95])
        covered.append(low <= 0 <= high)
    assert np.mean(covered) == pytest.approx(0.9, abs=4 * np.sqrt(0.9 * 0.1 / 200))


def test_seeds_that_save_other_steps_meet_where_all_have_checkpoints_or_on_straight_lines() -> None:
    def run(x: list[float]) -> tuple[Measured, Curves]:
        at = np.array(x, dtype=float)
        return Measured(at, 2 * at, np.ones(len(at)), 3), Curves(at, 2 * at, np.tile(2 * at, (50, 1)), 0.0)

    shared = {0: run([0, 1, 2, 3, 4, 5]), 1: run([0, 0.5, 1, 2, 3, 4, 5])}
    apart = {0: run([0, 1, 2, 3, 4]), 1: run([0.5, 1.5, 2.5, 3.5, 4.5])}
    for seeds, want in ((shared, [0, 1, 2, 3, 4, 5]), (apart, [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4])):
        measured_, curves = ({seed: one[k] for seed, one in seeds.items()} for k in (0, 1))
        mean, curve = mean_run(measured_, curves, np.random.default_rng(0))
        np.testing.assert_allclose([mean.x, mean.value / 2, curve.mean / 2], [want] * 3)


def test_a_run_that_ended_early_moves_no_date_of_the_others() -> None:
    """Seven runs to step 1,024 and one that ended at step 8, and is said to have."""
    made = coupled(8)
    series = worlds.observed({"good": made["good"], "barrier:x": made["contrary"]}, OCTAVES).series
    whole = analyse(Observed(series), SETTINGS)
    cut = analyse(Observed(series[(series["seed"] != 2) | (series["step"] <= 8)]), SETTINGS)
    before, after = (
        found.event[(found.event["event"] == "half_rise") & (found.event["series"] == "good")].set_index("seed")
        for found in (whole, cut)
    )
    others = [*"0134567"]
    np.testing.assert_allclose(after.loc[others, "step"], before.loc[others, "step"], rtol=0.1)
    assert np.log(after.loc["all", "step"] / before.loc["all", "step"]) == pytest.approx(0, abs=0.25)
    assert after.loc["2", "censored"] == "right" and before.loc["2", "censored"] == "no"
    assert (
        "good: its mean over seeds leaves out seed 2 (from step 0 to 8 only); it covers steps 0 to 1,024" in cut.notes
    )
    seeds = cut.association.set_index(["test", "hypothesis"])["seeds"]
    assert (seeds["onset", "seed"], seeds["trajectory", "seed"]) == (8, 7)


def test_errors_that_disagree_with_the_scatter_are_said() -> None:
    """Of many checkpoints the scatter is used, of few the larger of both."""
    random = np.random.default_rng(3)
    steps = np.arange(100, 10_001, 100.0)
    value = 20 + 5 * np.sin(np.log(steps)) + 0.15 * random.standard_normal(100)
    for error, said in ((21.0, "times its scatter between checkpoints"), (0.01, "times smaller than its scatter")):
        rows = pd.DataFrame({"seed": 0, "step": steps, "value": value, "error": error})
        runs, notes = measured("llc", rows, Axis())
        assert runs[0].sd == pytest.approx(0.15, rel=0.4) and said in notes[0] and "the scatter is used" in notes[0]
        few, notes = measured("llc", rows.iloc[::8], Axis())
        assert few[0].sd.min() >= error and said in notes[0]
    agreed, notes = measured("llc", rows.assign(error=np.linspace(0.1, 0.2, 100)), Axis())
    assert notes == [] and agreed[0].sd[-1] == pytest.approx(2 * agreed[0].sd[0])


def test_what_changes_in_a_stage_by_hand() -> None:
    """Bounded at 2.5: what is known from 1 to 3 alone changes there, and the interval is that of the draws."""
    slopes = np.linspace(-1, 3, 201)
    bound = Event("plateau", "rise", np.full(201, 2.5), (2.4, 2.6))
    rows = staging.stages([bound], {"a": line((0, 4), slopes), "b": line((1, 3), 2 * slopes)}, Axis())
    assert [(row["stage"], row["series"], row["begins"]) for row in rows] == [
        (1, "a", "start"), (1, "b", "start"), (2, "a", "plateau"), (2, "b", "plateau"),
    ]  # fmt: skip
    for row, stretch in zip(rows, (2.5, 2 * 1.5, 1.5, 2 * 0.5), strict=True):
        changes = (row["low"], row["change"], row["high"])
        assert changes == pytest.approx([-0.8 * stretch, stretch, 2.8 * stretch])
    assert np.log1p([rows[0]["end"], rows[2]["start"], rows[2]["end"]]) == pytest.approx([2.5, 2.5, 4])


def test_runs_that_end_within_a_gap_of_the_others_are_whole() -> None:
    """Saved every ten steps with another beginning in each seed; one that lacks more is left out, in one note."""
    x = {seed: np.arange(seed, 400.0 + seed, 10) for seed in range(5)}
    assert covering(x) == [*range(5)]
    cut = {**x, 7: x[0][:20], 8: x[0][20:]}
    assert covering(cut) == [*range(5)]
    made = {seed: Measured(at, at, at, 9) for seed, at in cut.items()}
    kept, (note,) = seeds_of_mean(made, "s", Axis())
    assert kept == [*range(5)] and ", 8 (from step" in note
    assert note.startswith("s: its mean over seeds leaves out seeds 7 (from step ")


@pytest.mark.parametrize("kind", ["sums", "clusters"])
def test_a_missing_pair_moves_the_means_of_no_seed(kind: str) -> None:
    """Barriers that are sums of effects of seeds, or of two clusters: with imputation the mean is that of all pairs."""
    own = {"a": 0.1, "b": 0.7, "c": 0.3, "d": 1.2, "e": 0.5, "f": 0.9}
    side = dict(zip(own, "001101", strict=True))
    pairs = pd.DataFrame([
        {"series": "barrier:seed", "seed_a": one, "seed_b": two, "step": 4.0, "error": 0.1,
         "value": own[one] + own[two] if kind == "sums" else 0.1 + (side[one] != side[two])}
        for one, two in combinations(own, 2)
    ])  # fmt: skip
    every = to_others(pairs).set_index("seed")["value"]
    for gone in (0, 4, 9):
        less = to_others(pairs.drop(index=gone)).set_index("seed")["value"]
        pd.testing.assert_series_equal(less, every)
    few = to_others(pairs.iloc[[0, 1]]).set_index("seed")["value"]
    assert few["a"] == pytest.approx(pairs["value"].iloc[:2].mean())


def test_matrices_are_of_the_seeds_that_have_all_pairs() -> None:
    pairs = pd.DataFrame([
        {"series": "barrier:seed", "seed_a": one, "seed_b": two, "step": 4.0, "value": 1.0}
        for one, two in combinations("abcdef", 2) if (one, two) not in {("a", "b"), ("b", "f")}
    ])  # fmt: skip
    assert last_step.complete(pairs) == [*"acdef"] and last_step.left_out(pairs) == ["b"]
    one = pairs[pairs["seed_b"] != "f"]
    assert last_step.complete(one) == [*"acde"] and last_step.complete(one.drop(index=one.index[:3])) == [*"bcde"]
