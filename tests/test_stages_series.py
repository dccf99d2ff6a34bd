"""Series from results and from files, and the whole analysis of planted ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import worlds
from worlds import OCTAVES, sigmoid

from landscape.cli.stages import write as write_table
from landscape.settings import Primary, Stages
from landscape.stages import TABLES, analyse, dating
from landscape.stages.events import Event
from landscape.stages.hypotheses import _censoring
from landscape.stages.onsets import middle
from landscape.stages.sentences import sentences
from landscape.stages.series import Observed, from_tables

X = np.log1p(OCTAVES)
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


def coupled(seeds: int = 6, noise: float = 0.03) -> dict[str, np.ndarray]:
    """Connectivity at exp(3), with the seeds from early to late; one behaviour goes with it, the other against it."""
    random = np.random.default_rng(1)
    late = np.linspace(-0.8, 0.8, seeds)[:, None]
    make = {"barrier:last": 1 - sigmoid(X, 3 + late), "good": sigmoid(X, 4 + late), "contrary": sigmoid(X, 4 - late),
            "loss": 3 - sigmoid(X, 2) - sigmoid(X, 5 + 0 * late)}  # fmt: skip
    return {name: values + noise * random.standard_normal((seeds, len(X))) for name, values in make.items()}


def test_planted_coupling_is_found_and_the_contrary_is_not() -> None:
    observed = worlds.observed(coupled(), OCTAVES)
    primary = Primary(connectivity="barrier:last", behaviour="good", test="onset")
    settings = Stages.model_validate({"threshold": 0.5, "primary": primary, "draws": 100})
    found = analyse(observed, settings, primary)
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
    observed = worlds.observed(coupled(), OCTAVES)
    primary = Primary(connectivity="barrier:last", behaviour="good", test="onset")
    found = analyse(observed, Stages.model_validate({"primary": primary, "draws": 50}))
    assert not found.association["primary"].any()
    assert found.notes == ("the primary association was not declared before the study ran, and counts as exploration",)


def test_stages_say_what_changes_in_them() -> None:
    """Loss falls by one, rests and falls by one; what is learned in the second fall rises there alone."""
    found = analyse(worlds.observed(coupled(), OCTAVES), Stages.model_validate({"draws": 100}))
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
    series = worlds.observed(values, OCTAVES).series
    drop = (
        ((series["seed"] == 2) & (series["step"] % 3 == 0))
        | ((series["seed"] == 4) & series["step"].between(20, 50))
        | ((series["seed"] == 3) & (series["step"] > 800))
    )
    found = analyse(Observed(series[~drop]), Stages.model_validate({"threshold": 0.5, "draws": 100}))
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
    assert set(middle(at(-np.inf, np.inf), random).at) == {-np.inf, np.inf}
    assert set(middle(at(2.0, np.inf), random).at) == {2.0, np.inf}


def test_a_lead_of_seeds_that_never_change_is_a_bound() -> None:
    values = {name: runs for name, runs in coupled().items() if name != "contrary"}
    values["barrier:last"] = 1 - values["barrier:last"]
    values["good"][3:5] = 0.02 * np.random.default_rng(2).standard_normal((2, len(X)))
    observed = worlds.observed({"barrier:x": values["barrier:last"], "good": values["good"]}, OCTAVES)
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
    found = analyse(worlds.observed(coupled(), OCTAVES), Stages.model_validate({"draws": 50})).stage
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
    world, settings = worlds.observed({"loss": coupled()["good"]}, OCTAVES), Stages.model_validate({"draws": 50})
    alone = analyse(world, settings)
    monkeypatch.setattr(dating, "MANY", 0)
    together = analyse(world, settings)
    pd.testing.assert_frame_equal(alone.curve, together.curve)
    pd.testing.assert_frame_equal(alone.event, together.event)


def test_stability_onsets_of_seeds_are_tested_beside_behaviour() -> None:
    """Children of every seed: a seed that settles early learns early; the onset of one is too early to be seen."""
    random = np.random.default_rng(3)
    late = np.linspace(-0.7, 0.7, 6)
    partings = np.array([0, 4, 8, 16, 32, 64, 128, 256])
    rows = [
        barrier("children", (seed, 999), (seed, 999), float(v), parted=int(parted), child_a=a, child_b=b)
        for seed, d in enumerate(late) for parted in partings for a, b in ((0, 1), (0, 2), (1, 2))
        for v in [1 - sigmoid(np.log1p(parted), 3 + d, 0.25) + 0.02 * random.random()]
    ]  # fmt: skip
    children = from_tables({"barrier": pd.DataFrame(rows)})
    behaviour = worlds.observed({"good": sigmoid(X, 4 + late[:, None])}, OCTAVES).series
    both = Observed(pd.concat([children.series, behaviour]), children.pairs, children.partings)
    found = analyse(both, Stages.model_validate({"threshold": 0.5, "draws": 100}))
    settled = found.event[found.event["event"] == "settles"].set_index("seed")
    assert np.log1p(settled["step"].drop("all")).to_numpy() == pytest.approx(3 + late, abs=0.2)
    test = found.association.set_index(["test", "hypothesis"]).loc[("onset", "seed")]
    assert test["connectivity"] == "barrier:children" and test["effect"] > 0.9 and test["p"] < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "coupling", "runs"), [(5, 0.0, 200), (10, 0.0, 200), (5, 1.0, 100)])
def test_level_and_power_hold_from_the_series_on(seeds: int, coupling: float, runs: int) -> None:
    """Trends with autocorrelated noise, smoothed and dated like any: rejections at 0.05 at most 0.07, power 0.75."""
    random = np.random.default_rng([seeds, int(coupling)])
    x = np.log1p(worlds.SIXTY)
    rejected: dict[str, list[bool]] = {}
    for _ in range(runs):
        c, b = worlds.onsets(random, seeds, coupling)
        b = b - b.mean() + c.mean() + 0.4  # near enough for own pairs of curves to be compared
        values = {
            "barrier:last": 1 - sigmoid(x, c[:, None], 0.5) + worlds.drift(random, seeds, len(x), 0.03),
            "good": sigmoid(x, b[:, None], 0.5) + worlds.drift(random, seeds, len(x), 0.03),
        }
        settings = Stages.model_validate({"threshold": 0.5, "draws": 50, "permutations": 499})
        found = analyse(worlds.observed(values, worlds.SIXTY), settings).association
        for row in found.to_dict("records"):
            if row["hypothesis"] == "seed":
                rejected.setdefault(row["test"], []).append(row["p"] <= 0.05)
    rates = {name: float(np.mean(hits)) for name, hits in rejected.items()}
    print(seeds, coupling, rates)
    if coupling == 0:
        assert all(rate <= 0.07 + 1.7 * np.sqrt(0.05 * 0.95 / runs) for rate in rates.values()), rates
    else:
        assert rates["onset"] >= 0.75 and rates["trajectory"] >= 0.75, rates
