"""Outlier runs: published runs with two known ones, and worlds without any."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import worlds
from matplotlib.figure import Figure
from worlds import OCTAVES, X, coupled

from landscape.figures.stages import stages_over_training, stretches
from landscape.stages.analysis import analyse
from landscape.stages.association import hypotheses
from landscape.stages.association.by_seed import SEED
from landscape.stages.events.dating import date
from landscape.stages.findings import outliers
from landscape.stages.findings.outliers import robust
from landscape.stages.findings.sentences import sentences
from landscape.stages.series.files import read
from landscape.stages.series.observed import Observed
from landscape.stages.settings import Stages

PUBLISHED = Path(__file__).resolve().parent.parent / "validation" / "published"
SETTINGS = Stages.model_validate({"threshold": 0.5, "draws": 50})


def far(series: pd.DataFrame) -> set[int]:
    return set(outliers.outliers(Observed(series), np.random.default_rng(0))["seed"])


def test_two_runs_of_a_published_model_are_outliers_and_no_other() -> None:
    """Seeds 3 and 4 of Pythia-410m have robust z above 7 in some n-gram correlation, all others below 4."""
    named = {file.stem: far(read(file).series) for file in PUBLISHED.glob("*.csv")}
    assert named.pop("pythia_410m") == {3, 4} and set().union(*named.values()) == set() and len(named) >= 3


def test_robust_z_by_hand() -> None:
    values = np.array([1.0, 2.0, 4.0, 7.0, 30.0])
    np.testing.assert_allclose(robust(values), (values - 4) / (1.4826 * 3))
    np.testing.assert_allclose(robust(values, 10.0), (values - 4) / 10)
    assert not robust(np.array([1.0, 1.0, 1.0, 5.0])).any()


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [5, 10, 20])
def test_seeds_alike_have_outliers_in_a_twentieth_of_worlds(seeds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five series of normal seeds: 300 worlds, each as a whole."""
    monkeypatch.setattr(outliers, "WORLDS", 1999)
    random = np.random.default_rng(seeds)
    step = pd.DataFrame({"series": np.repeat([*"abcde"], seeds), "seed": [*range(seeds)] * 5, "step": 1.0})
    hits = [bool(far(step.assign(value=random.standard_normal(5 * seeds), error=np.nan))) for _ in range(300)]
    error = np.sqrt(0.05 * 0.95 / 300)
    assert np.mean(hits) < 0.05 + 4 * error < 0.11


def test_the_last_step_that_half_of_the_seeds_reach_decides() -> None:
    """A run that ended early is not an outlier; nor are many distant runs, or runs of few seeds."""
    series = worlds.observed({"loss": np.tile(np.linspace(3, 1, len(X)), (8, 1))}, OCTAVES).series
    noise = 0.01 * np.random.default_rng(1).standard_normal(len(series))
    series = series.assign(value=series["value"] + noise)
    early = series[(series["seed"] != 0) | (series["step"] < 50)]
    assert far(early) == set()
    last = series["step"] == series["step"].max()
    lifted = series.assign(value=series["value"] + 0.5 * (last & (series["seed"] == 3)))
    assert far(lifted) == {3} and far(lifted[lifted["seed"].isin([2, 3, 4, 5])]) == set()
    longer = lifted[last & (lifted["seed"] < 3)].assign(step=5000.0)
    assert far(pd.concat([lifted, longer])) == {3}
    several = series.assign(value=series["value"] + 0.5 * (last & series["seed"].isin([3, 4, 5])))
    assert far(several) == set()
    assert far(lifted.assign(error=0.3)) == set()


def failed() -> Observed:
    """Coupled worlds of eight seeds, one of which is an outlier with early behaviour."""
    values = coupled(8)
    values["good"][7] = np.roll(values["good"][7], -8)
    values["good"][7][-8:] = values["good"][7][-9]
    values["good"][7, -1] -= 0.6
    return worlds.observed({name: values[name] for name in ("loss", "barrier:last", "good")}, OCTAVES)


def test_tests_say_what_they_are_without_outliers() -> None:
    observed = failed()
    found = analyse(observed, SETTINGS)
    assert set(found.outlier["seed"]) == {7} and set(found.outlier["series"]) == {"good"}
    rest = observed.series[observed.series["seed"] != 7]
    others = hypotheses.associations(
        replace(observed, series=rest), date(replace(observed, series=rest), SETTINGS), SETTINGS, None
    ).set_index(["test", "hypothesis"])  # fmt: skip
    rows = found.association.set_index(["test", "hypothesis"])
    onset = rows.loc[("onset", SEED)]
    assert onset["effect_without"] == pytest.approx(others.loc[("onset", SEED), "effect"], abs=0.15)
    assert onset["p_without"] < onset["p"]
    said = sentences(found)
    assert said[-1].startswith("Outlier runs, which the means include: seed 7 (good ") and len(said) <= 8
    assert any("; at p <= 0.05 there are 0, and 1 without the outlier runs." in line for line in said)
    clean = analyse(worlds.observed(coupled(), OCTAVES), SETTINGS)
    assert clean.outlier.empty and clean.association["p_without"].isna().all()


def test_outliers_and_unreliable_series_are_marked_in_the_figure() -> None:
    found = analyse(failed(), SETTINGS)
    parts = found.series, found.curve, found.event, found.stage
    marked = stages_over_training(*parts, boundaries="loss", outlier=found.outlier, unreliable=("loss",))
    plain = stages_over_training(*parts, boundaries="loss")

    def dashed(figure: Figure) -> int:
        return sum(line.is_dashed() and line.get_linewidth() == 0.9 and line.get_color() == "0.1"
                   for ax in figure.axes for line in ax.lines)  # fmt: skip

    assert (dashed(marked), dashed(plain)) == (1, 0)
    good = next(ax for ax in marked.axes if ax.get_title(loc="left") == "good")
    assert [text.get_text() for text in good.texts] == ["seed 7"]
    assert [figure.axes[0].get_title(loc="left") for figure in (marked, plain)] == ["loss (unreliable)", "loss"]


def test_gaps_without_checkpoints_are_dotted() -> None:
    """A first save late in training, and a hole, on the axis that the analysis has."""
    even = np.array([0, *range(2000, 40_001, 500)], dtype=float)
    assert stretches(even)[0] == slice(0, 1) and stretches(even)[-1].stop == len(even)
    octaves = np.array([0, *2.0 ** np.arange(12)])
    assert stretches(octaves) == [slice(0, 13)] and stretches(octaves[:2]) == [slice(0, 2)]
    holed = np.concatenate([2.0 ** np.arange(0, 4, 0.25), 2.0 ** np.arange(6, 9, 0.25)])
    assert stretches(holed) == [slice(0, 16), slice(16, 28)]


def test_series_of_unreliable_values_bound_nothing_unless_asked() -> None:
    """Half of the coefficients are unreliable: there is a note, tables mark them, and they bound stages if named."""
    values = coupled()
    values["llc"] = 10 * values["loss"]
    observed = worlds.observed(values, OCTAVES)
    marked = observed.series.assign(reliable=(observed.series["series"] != "llc") | (observed.series["seed"] > 2))
    doubted = replace(observed, series=marked)
    assert doubted.unreliable == {"llc": (3 * len(X), 6 * len(X))} and observed.unreliable == {}
    found = analyse(doubted, SETTINGS)
    assert analyse(observed, SETTINGS).boundaries == "llc" and found.boundaries == "loss"
    (note,) = [note for note in found.notes if "unreliable" in note]
    assert note.startswith("60 of 120 values of llc are unreliable") and "unless boundaries is llc" in note
    assert found.event.groupby("series")["unreliable"].all().to_dict()["llc"] and not found.event["unreliable"].all()
    asked = analyse(doubted, Stages.model_validate({"threshold": 0.5, "draws": 50, "boundaries": "llc"}))
    assert asked.boundaries == "llc" and "of llc (unreliable), in which llc changes" in sentences(asked)[0]


def test_a_score_that_never_leaves_chance_has_no_onset() -> None:
    """Accuracy from 0.49 to 0.5, and one from 0.4 to 0.6 around it, whose items leave 0.06 open; not one to 0.9."""
    rise = 1 / (1 + np.exp(-(X - 3) / 0.4))
    noise = 0.002 * np.random.default_rng(3).standard_normal((3, 3, len(X)))
    values = {"a": 0.49 + 0.01 * rise + noise[0], "b": 0.4 + 0.2 * rise + noise[1], "c": 0.5 + 0.4 * rise + noise[2]}
    world = worlds.observed({"loss": 1 - rise + noise[0], **values}, OCTAVES)
    series = world.series.assign(
        chance=np.where(world.series["series"] == "loss", np.nan, 0.5),
        shared_error=np.where(world.series["series"] == "loss", np.nan, 0.06),
    )
    found = analyse(replace(world, series=series), SETTINGS)
    dated = set(found.event.loc[found.event["event"] == "half_rise", "series"])
    assert dated == {"loss", "c"}
    assert sum("is never farther from chance (" in note for note in found.notes) == 2
