"""Series from results and from files, and the whole analysis of planted ones."""

from dataclasses import replace
from itertools import permutations as every_order
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import worlds
from joblib import Parallel
from scipy import stats
from simulated import OCTAVES, SIXTY, drift, sigmoid
from worlds import X, coupled

from landscape.cli.stages import write as write_table
from landscape.settings import Primary, Stages
from landscape.stages import TABLES, aligned, analyse, dating, hypotheses, membership, staging
from landscape.stages.dating import Dated
from landscape.stages.events import Event
from landscape.stages.hypotheses import _censoring
from landscape.stages.onsets import middle
from landscape.stages.sentences import sentences
from landscape.stages.series import Observed, from_tables
from landscape.stages.smooth import Curves

curves_once = worlds.curves_once
PRIMARY = Primary(connectivity="barrier:last", behaviour="good", test="onset")
SETTINGS = Stages.model_validate({"threshold": 0.5, "primary": PRIMARY, "draws": 50})
WHERE = {
    "path": "linear",
    "symmetry": "none",
    "parted": None,
    "child_a": None,
    "child_b": None,
    "unit": "nats per token",
}


def barrier(between: str, a: tuple[int, int], b: tuple[int, int], value: float, **more: object) -> dict[str, object]:
    ends = {"seed_a": a[0], "step_a": a[1], "seed_b": b[0], "step_b": b[1]}
    half = 1.959964 * 0.02
    return {**WHERE, **ends, "between": between, "barrier": value, "low": value - half, "high": value + half, **more}


def test_series_of_barriers_by_hand() -> None:
    rows = pd.DataFrame([
        barrier("seeds", (0, 8), (1, 8), 0.2),
        barrier("seeds", (0, 8), (2, 8), 0.5),
        barrier("seeds", (1, 8), (2, 8), 0.3),
        barrier("seeds", (0, 8), (1, 8), 0.9, path="bezier"),
        barrier("seeds", (1, 8), (2, 8), 0.8, symmetry="weights"),
        barrier("last", (1, 8), (1, 99), 0.4),
        barrier("neighbours", (2, 8), (2, 35), 0.7),
        *(barrier("children", (0, 99), (0, 99), v, parted=4, child_a=a, child_b=b)
          for a, b, v in ((0, 1, 0.1), (0, 2, 0.3), (1, 2, 0.5))),
        barrier("children", (0, 50), (0, 50), 7.0, parted=4, child_a=0, child_b=1),
    ])  # fmt: skip
    found = from_tables({"barrier": rows})
    values = found.series.set_index(["series", "seed", "step"])["value"]
    assert values["barrier:seeds"].to_dict() == pytest.approx({(0, 8): 0.35, (1, 8): 0.25, (2, 8): 0.4})
    assert values["barrier:last"].to_dict() == {(1, 8): 0.4}
    assert values["barrier:neighbours"].to_dict() == pytest.approx({(2, 17): 0.7})  # 9 * 36 = 18 ** 2
    assert values["barrier:children"].to_dict() == pytest.approx({(0, 4): 0.3})
    assert len(found.partings) == 3 and found.partings["error"].to_numpy() == pytest.approx(0.02)
    assert found.series["error"].isna().all() and found.series["shared_error"].to_numpy() == pytest.approx(0.02)
    assert sorted(found.pairs["value"]) == [0.2, 0.3, 0.5] and found.unit == "nats per token"


def test_series_of_checkpoints_by_hand() -> None:
    at = {"seed": 3, "step": 16, "parted": None}
    llc = {**at, "sampler": "sgld", "moved": "all", "mode": "evaluation", "n_beta": 5.0, "localisation": 100.0}
    probe = {**at, "probe": "p", "metric": "score", "error": 0.1}
    tables = {
        "loss": pd.DataFrame([{**at, "loss": 2.5, "error": 0.1}, {**at, "parted": 4, "loss": 9.0, "error": 0.1}]),
        "llc": pd.DataFrame([
            {**llc, "llc": 11.0, "error": 0.7},
            {**llc, "moved": "head 0.1", "llc": 2.0, "error": 0.2},
        ]),
        "probe": pd.DataFrame([
            {**probe, "subset": "", "value": 0.8, "headline": True},
            {**probe, "subset": "part", "value": 0.6, "headline": False},
        ]),
        "behaviour": pd.DataFrame([
            {"between": "seeds", "seed_a": 0, "seed_b": 1, "step_a": 16, "probe": "predictions", "metric": "divergence",
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
    assert trajectories["p"] < 0.05 and trajectories["p_family"] >= trajectories["p"]
    settled = found.event[found.event["event"] == "settles"].set_index("seed")
    assert np.log1p(settled["step"].drop("all")).to_numpy() == pytest.approx(3 + np.linspace(-0.8, 0.8, 6), abs=0.35)
    middle = np.log1p(settled.loc["all", ["low", "step", "high"]].astype(float))
    assert middle["step"] == pytest.approx(3, abs=0.35) and middle["low"] < 2.7 and middle["high"] > 3.3
    said = sentences(found)
    assert said[0].startswith(
        "Primary, declared before the study ran: good with barrier:last: onsets are rank-correlated"
    )
    assert any(line.startswith("2 stages in the mean over seeds, bounded by plateaus of loss") for line in said)
    assert any("good is half-way up at step" in line for line in said)


def test_what_was_not_declared_before_is_exploration() -> None:
    found = analyse(worlds.observed(coupled(), OCTAVES), SETTINGS)
    assert not found.association["primary"].any()
    assert found.notes == ("the primary association was not declared before the study ran, and counts as exploration",)


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
    censored = found.event[(found.event["series"] == "good") & (found.event["event"] == "crossing")].set_index("seed")
    assert censored.loc["6", "censored"] == "right" and np.isnan(censored.loc["6", "step"])
    assert (censored.drop("6")["censored"] == "no").all()


def test_few_seeds_short_series_and_flat_ones_are_said() -> None:
    values = {name: runs[:3] for name, runs in coupled().items()}
    values["flat"] = 0.01 * np.random.default_rng(0).standard_normal((3, len(X)))
    observed = worlds.observed(values, OCTAVES)
    short = observed.series[(observed.series["series"] != "contrary") | (observed.series["step"] < 5)]
    found = analyse(Observed(short), Stages.model_validate({"draws": 50, "boundaries": "nothing"}))
    (line,) = [line for line in sentences(replace(found, association=found.association.assign(q=0.01)))
               if line.startswith("Seed hypothesis")]  # fmt: skip
    few = int((found.association["hypothesis"] == "seed").sum())
    hopeless = int((found.association.query("hypothesis == 'seed'")["p_floor"] > 0.05).sum())
    assert f": {few - hopeless} of {few} exploratory tests are shown at q <= 0.05; {hopeless} of them could" in line
    assert 0 < hopeless < few
    assert any(note.startswith("3 seeds: with 4 or fewer nearly nothing can be shown") for note in found.notes)
    assert "contrary is known at 4 steps in some seed, and a curve needs 5: no events" in found.notes
    assert "flat does not change for certain over training: it has no onset" in found.notes
    assert any(note.startswith("no series is called nothing, so there are no stages; known: ") for note in found.notes)
    seed = found.association[found.association["hypothesis"] == "seed"]
    assert set(seed["behaviour"]) == {"good"}
    by_test = seed.set_index("test")
    assert by_test.loc["onset", "verdict"] == "cannot be shown with 3 seeds" and by_test.loc["onset", "p"] >= 1 / 6
    assert by_test.loc["match", "p_floor"] == 1 / 27
    assert "onset given loss" not in by_test.index


@pytest.mark.parametrize(
    ("level", "censored", "said"), [(0.1, "left", "before the first checkpoint"), (0.9, "right", "not before the end")]
)
def test_a_barrier_that_is_always_on_one_side_is_dated_outside_of_training(
    level: float, censored: str, said: str
) -> None:
    values = {name: runs for name, runs in coupled().items() if name != "contrary"}
    values["barrier:last"] = np.full((6, len(X)), level)
    found = analyse(worlds.observed(values, OCTAVES), Stages.model_validate({"threshold": 0.5, "draws": 50}))
    settled = found.event[found.event["event"] == "settles"]
    assert settled["seed"].tolist() == [*"012345", "all"] and (settled["censored"] == censored).all()
    assert not [note for note in found.notes if "barrier:last" in note]
    (line,) = [line for line in sentences(found) if line.startswith("barrier:last stays below 0.5 from step: in the")]
    assert line.count(said) == 7


def test_the_median_of_seeds_that_settle_is_no_mean_of_infinities() -> None:
    def at(*places: float) -> list[Event]:
        return [Event("settles", "fall", np.full(2000, place)) for place in places]

    random = np.random.default_rng(0)
    assert np.median(middle(at(1.0, 2.0, 3.0), random).at) == 2
    halves, counts = np.unique(middle(at(1.0, 2.0), random).at, return_counts=True)
    assert halves.tolist() == [1, 1.5, 2] and counts[1] / 2000 == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(2000))
    assert set(middle(at(-np.inf, np.inf), random).at) == {-np.inf, np.inf}
    assert set(middle(at(2.0, np.inf), random).at) == {2.0, np.inf}


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
    assert "(2 of 6 seeds outside of training: a bound)" in line


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


def test_another_series_changes_no_number() -> None:
    values = coupled()
    settings = Stages.model_validate({"draws": 50})
    less = analyse(worlds.observed({k: v for k, v in values.items() if k != "contrary"}, OCTAVES), settings)
    more = analyse(worlds.observed(values, OCTAVES), settings)
    columns = ["effect", "low", "high", "p", "power"]
    a, b = (f.association[f.association["behaviour"] == "good"][columns].reset_index(drop=True) for f in (less, more))
    pd.testing.assert_frame_equal(a, b)


def test_curves_are_the_same_whoever_fits_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """By processes of their own once there are many, as here there are said to be."""
    world, settings = worlds.observed({"loss": coupled()["good"][:2]}, OCTAVES), Stages.model_validate({"draws": 50})
    alone = analyse(world, settings)
    asked: list[int] = []
    monkeypatch.setattr(dating, "MANY", 0)
    monkeypatch.setattr(dating, "Parallel", lambda n_jobs: asked.append(n_jobs) or Parallel(n_jobs=1))
    together = analyse(world, settings)
    assert asked == [-1]
    pd.testing.assert_frame_equal(alone.curve, together.curve)
    pd.testing.assert_frame_equal(alone.event, together.event)


def test_stability_onsets_of_seeds_are_tested_beside_behaviour() -> None:
    """Children of every seed: a seed that settles early learns early; the onset of one is too early to be seen."""
    random = np.random.default_rng(3)
    late = np.linspace(-0.7, 0.7, 5)
    partings = np.array([0, 4, 8, 16, 32, 64, 128, 256])
    rows = [
        barrier("children", (seed, 999), (seed, 999), float(v), parted=int(parted), child_a=a, child_b=b)
        for seed, d in enumerate(late) for parted in partings for a, b in ((0, 1), (0, 2), (1, 2))
        for v in [1 - sigmoid(np.log1p(parted), 3 + d, 0.25) + 0.02 * random.random()]
    ]  # fmt: skip
    children = from_tables({"barrier": pd.DataFrame(rows)})
    behaviour = worlds.observed({"good": sigmoid(X, 4 + late[:, None])}, OCTAVES).series
    both = Observed(pd.concat([children.series, behaviour]), children.pairs, children.partings)
    found = analyse(both, Stages.model_validate({"threshold": 0.5, "draws": 50}))
    settled = found.event[found.event["event"] == "settles"].set_index("seed")
    assert np.log1p(settled["step"].drop("all")).to_numpy() == pytest.approx(3 + late, abs=0.2)
    test = found.association.set_index(["test", "hypothesis"]).loc[("onset", "seed")]
    assert test["connectivity"] == "barrier:children" and test["effect"] > 0.9 and test["p"] < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("coupling", "runs"), [(0.0, 15), (1.0, 10)])
def test_level_and_power_hold_from_the_series_on(coupling: float, runs: int) -> None:
    """Trends with autocorrelated noise, smoothed and dated like any: five seeds reject in few worlds, or in most."""
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
        for row in found.association.query("hypothesis == 'seed'").to_dict("records"):
            rejected.setdefault(row["test"], []).append(row["p"] <= 0.05)
    rates = {name: float(np.mean(hits)) for name, hits in rejected.items()}
    if coupling == 0:
        assert all(rate <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / runs) for rate in rates.values()), rates
    else:
        assert min(rates["onset"], rates["trajectory"]) >= 0.6, rates


def short(**series: list[list[float]]) -> Observed:
    """Series of fewer steps than a curve needs."""
    values = {name.replace("_", ":"): np.array(runs) for name, runs in series.items()}
    return worlds.observed(values, np.arange(len(next(iter(values.values()))[0]), dtype=float))


def test_what_counts_as_connected_is_a_share_of_the_fall_of_the_loss_or_of_the_largest_barrier() -> None:
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
    world = short(barrier_last=[[1.0, 0.0], [1.0, 0.0]], barrier_children=[[1.0, 0.0], [1.0, 0.0]])
    world = Observed(world.series.assign(shared_error=0.05, step=3 * world.series["step"]))
    settings = Stages.model_validate({"threshold": 0.5, "draws": 2000})
    found = dating.date(world, settings).onsets
    every = np.concatenate([found[name][1] for name in ("barrier:last", "barrier:children")])
    assert every.mean(axis=1) == pytest.approx(np.log(4) / 2, abs=4 * 0.05 * np.log(4) / np.sqrt(2000))
    assert every.std(axis=1) == pytest.approx(0.05 * np.log(4), rel=4 / np.sqrt(2 * 2000))
    assert np.abs(np.corrcoef(every) - np.eye(4)).max() < 4 / np.sqrt(2000)
    again, other = (dating.date(world, settings.model_copy(update={"seed": seed})).onsets for seed in (0, 1))
    np.testing.assert_array_equal(again["barrier:last"][1], found["barrier:last"][1])
    assert np.abs(np.corrcoef(other["barrier:last"][1], found["barrier:last"][1])[:2, 2:]).max() < 4 / np.sqrt(2000)


def test_connectivity_is_laid_beside_no_other_barriers() -> None:
    world = short(barrier_last=[[1.0, 0.0]], barrier_x=[[1.0, 0.0]], loss=[[1.0, 0.0]], good=[[1.0, 0.0]]).series
    world["headline"] = world["series"] != "loss:part"
    settings = Stages.model_validate({"connectivity": "barrier:last"})
    assert dating.beside(world, settings) == ["good"]
    named = settings.model_copy(update={"behaviour": ("barrier:*", "loss")})
    assert dating.beside(world, named) == ["barrier:x", "loss"]


def test_five_seeds_are_not_few() -> None:
    few, five = (analyse(short(loss=[[2.0, 1.0]] * seeds), Stages()).notes for seeds in (4, 5))
    assert few[1].startswith("4 seeds: with 4 or fewer nearly nothing can be shown") and len(five) == len(few) - 1


def line(ends: tuple[float, float], slopes: np.ndarray) -> Curves:
    """Straight curves of known slopes."""
    x = np.linspace(*ends, 31)
    draws = np.multiply.outer(slopes, x)
    return Curves(x, draws.mean(axis=0), draws, x[::10], 0.0)


def test_the_mean_run_resamples_seeds_where_all_of_them_are_known() -> None:
    """Seeds of slopes 1, 2 and 6: its slopes are the means of three drawn with replacement, from 2 to 4."""
    seeds = [line(ends, np.full(3000, slope)) for ends, slope in (((0, 4), 1), ((1, 5), 2), ((2, 6), 6))]
    found = staging.mean_run(seeds, np.random.default_rng(0))
    assert found is not None and (found.x[0], found.x[-1]) == (2, 4)
    np.testing.assert_allclose(found.mean, 3 * found.x)
    slopes = found.draws[:, -1] / 4
    want = np.std([1, 2, 6]) / np.sqrt(3)
    assert slopes.std() == pytest.approx(want, rel=0.05) and {*np.round(3 * slopes)} >= {
        3,
        4,
        5,
        6,
        8,
        9,
        10,
        13,
        14,
        18,
    }
    assert staging.mean_run([seeds[0], line((4, 5), np.ones(9))], np.random.default_rng(0)) is None


def test_what_changes_in_a_stage_by_hand() -> None:
    """Bounded at 2.5: what is known from 1 to 3 alone changes there, and the interval is that of the draws."""
    slopes = np.linspace(-1, 3, 201)
    bound = Event("plateau", "rise", np.full(201, 2.5), (2.4, 2.6))
    rows = staging.stages([bound], {"a": line((0, 4), slopes), "b": line((1, 3), 2 * slopes)})
    assert [(row["stage"], row["series"], row["begins"]) for row in rows] == [
        (1, "a", "start"), (1, "b", "start"), (2, "a", "plateau"), (2, "b", "plateau"),
    ]  # fmt: skip
    for row, stretch in zip(rows, (2.5, 2 * 1.5, 1.5, 2 * 0.5), strict=True):
        changes = (row["low"], row["change"], row["high"])
        assert changes == pytest.approx([-0.8 * stretch, stretch, 2.8 * stretch])
    assert np.log1p([rows[0]["end"], rows[2]["start"], rows[2]["end"]]) == pytest.approx([2.5, 2.5, 4])


def of_onsets(onsets: dict[str, tuple[list[str], np.ndarray]], events: dict[tuple[str, str], list[Event]] | None = None,
           primary: Primary | None = None, **settings: object) -> pd.DataFrame:  # fmt: skip
    """The tests on onsets that are known."""
    series = pd.DataFrame({"series": [*onsets], "seed": "a", "headline": True}).merge(
        pd.DataFrame({"step": [0, 1e4]}), "cross"
    )
    dated = Dated({}, {}, events or {}, onsets, 0.5, [])
    given = Stages.model_validate({"draws": 50, **settings})
    return hypotheses.associations(Observed(series), dated, given, primary)


def test_seeds_are_laid_beside_themselves() -> None:
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
        p = part["p"].sort_values()
        q = pd.Series([min(p.iloc[k:] * len(p) / np.arange(k + 1, len(p) + 1)) for k in range(len(p))], p.index)
        np.testing.assert_allclose(part["q"], q[part.index])
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


def test_the_loss_is_not_held_fixed_beside_itself() -> None:
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
        assert (rows.loc[rows["test"] == "precursor", "effect"] == share).all(), window


def test_matrices_are_those_of_the_last_step_that_has_all_seeds() -> None:
    """Scores in the order of the seeds, whatever that of the file."""
    seeds = [*"abcde"]
    pairs = pd.DataFrame([
        {"series": "barrier:seeds", "seed_a": a, "seed_b": b, "step": step, "value": step + n + 10 * k}
        for step in (2.0, 8.0, 32.0) for n, a in enumerate(seeds) for k, b in enumerate(seeds) if n < k
    ])  # fmt: skip
    scores = pd.DataFrame([
        {"series": "p", "seed": seed, "step": step, "value": step * (n + 1) ** 2}
        for step in (32.0, 8.0, 2.0) for n, seed in reversed([*enumerate(seeds)]) if (step, seed) != (32.0, "c")
    ])  # fmt: skip
    found = aligned.aligned(pairs, "p", Observed(scores, pairs))
    assert found is not None
    step, names, barriers, distances, values, losses = found
    assert (step, names, losses) == (8, seeds, None) and values.tolist() == [8, 32, 72, 128, 200]
    assert (
        barriers[1, 3] == barriers[3, 1] == 8 + 1 + 30 and distances[1, 3] == 128 - 32 and not np.diag(barriers).any()
    )


def test_clusters_are_frozen_from_the_step_on_from_which_they_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landscape.stages.clusters.NULLS", 19)
    random = np.random.default_rng(4)
    before, after = (0, 0, 0, 0, 1, 1, 1, 1), (0, 1, 0, 1, 0, 1, 0, 1)
    pairs = pd.DataFrame([
        {"series": "barrier:seeds", "seed_a": a, "seed_b": b, "step": step,
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
    (said,) = [line for line in sentences(found) if "clusters of seeds" in line]
    assert said.startswith(
        "barrier:seeds at step 8: 2 clusters of seeds (p 0.05): 0, 2, 4, 6 | 1, 3, 5, 7; membership is"
    )
    assert said.endswith("as at the end from step 4 on.")
