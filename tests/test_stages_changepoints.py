"""Other bounds of stages: breaks of slope and states, with planted ones."""

from typing import Any

import numpy as np
import pytest
import worlds
from simulated import OCTAVES, SIXTY, sigmoid

from landscape.errors import InputError
from landscape.stages.analysis import analyse
from landscape.stages.events import changepoints
from landscape.stages.findings.sentences import sentences
from landscape.stages.series.smooth import Curves, smooth
from landscape.stages.settings import Stages

curves_once = worlds.curves_once
X = np.log1p(SIXTY)


def curve(value: np.ndarray, seed: int = 0, noise: float = 0.02) -> Curves:
    random = np.random.default_rng(seed)
    noisy = value + noise * random.standard_normal(len(value))
    return smooth(X, noisy, np.full(len(value), noise), 54, draws=100, random=random)


def test_planted_breaks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changepoints, "SEARCHED_DRAWS", 8)
    bent = np.interp(X, [0, 3.1, 6.6, X[-1]], [3, 2.8, 1.0, 0.9])
    found = changepoints.breaks(curve(bent))
    assert [(e.name, e.way) for e in found] == [("break", "fall"), ("break", "rise")]
    assert [np.median(e.at) for e in found] == pytest.approx([3.1, 6.6], abs=0.35)


def test_breaks_of_a_known_curve_are_dated_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A corner on the even grid is found there; a bend that few checkpoints may show by chance is not."""
    monkeypatch.setattr(changepoints, "SEARCHED_DRAWS", 2)
    x = np.linspace(0, 9.8, changepoints.GRID)
    bent = np.interp(x, [0, x[14], x[33], 9.8], [0.2, 0.1, 2.0, 2.1])
    found = changepoints.breaks(Curves(x, bent, np.stack([bent, bent]), 0.0))
    assert [(np.median(e.at), e.way) for e in found] == [(pytest.approx(x[14]), "rise"), (pytest.approx(x[33]), "fall")]
    for corner, count in ((0.335, 0), (0.3, 1)):
        bent = np.interp(x, [0, x[20], 9.8], [0, corner, 1.0])
        few = np.r_[0:50:5, 49]
        # Eleven checkpoints: the criterion without a break, less that with the one that leaves nothing.
        gain = 11 * np.log1p(np.mean((bent - x / 9.8) ** 2) / (0.05**2 + changepoints.ROUNDED_CORNERS**2))
        assert (gain > 2 * np.log(11)) == (count == 1) and gain > np.log(11)
        assert len(changepoints.breaks(Curves(x[few], bent[few], np.stack([bent, bent])[:, few], 0.05))) == count


def test_a_straight_line_has_no_break() -> None:
    assert changepoints.breaks(curve(X / 12)) == []


@pytest.mark.slow
def test_states_are_entered_in_order_and_later_in_late_seeds() -> None:
    """Two abilities, each learned at once: states are entered around both, and later in late seeds."""
    late = (-0.6, -0.2, 0.2, 0.6)
    runs = {seed: [curve(sigmoid(X, at + d, 0.15), seed) for at in (3.5, 7.5)] for seed, d in enumerate(late)}
    found = changepoints.states(runs, np.random.default_rng(0), also={"mean": runs[1]})
    assert set(found) == {0, 1, 2, 3, "mean"}
    assert [np.median(e.at) for e in found["mean"]] == [np.median(e.at) for e in found[1]]
    for seed, d in enumerate(late):
        at = np.array([np.median(e.at) for e in found[seed]])
        assert (np.diff(at) > 0).all()
        assert np.abs(at - (3.5 + d)).min() < 0.6 and np.abs(at - (7.5 + d)).min() < 0.6


@pytest.mark.parametrize(
    ("engine", "what"),
    [
        ("breaks", "breaks of a piecewise linear fit of loss"),
        pytest.param("states", "states of all series", marks=pytest.mark.slow),
    ],
)
def test_stages_can_be_bounded_by_them(engine: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changepoints, "SEARCHED_DRAWS", 4)
    random = np.random.default_rng(0)
    x = np.log1p(OCTAVES)
    loss = np.interp(x, [0, 2.5, 5, x[-1]], [3, 3, 1, 1]) + 0.01 * random.standard_normal((3, len(x)))
    found = analyse(worlds.observed({"loss": loss}, OCTAVES), Stages.model_validate({"engine": engine, "draws": 50}))
    bounds = found.event[found.event["event"].isin(["break", "state"])]
    assert set(bounds["seed"]) == {"0", "1", "2", "all"} and not (found.event["event"] == "plateau").any()
    everyone = found.stage[found.stage["seed"] == "all"]
    assert len(everyone) >= 3 and everyone["change"].sum() == pytest.approx(-2, abs=0.1)
    assert any(f"bounded by {what}, in which" in line for line in sentences(found))


@pytest.mark.parametrize(("engine", "package"), [("breaks", "ruptures"), ("states", "hmmlearn")])
def test_a_missing_package_is_said(engine: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(changepoints.importlib, "import_module", without)
    series = worlds.observed({"loss": sigmoid(np.log1p(OCTAVES), 3.0)[None]}, OCTAVES)
    with pytest.raises(InputError, match=rf"needs {package}: pip install 'landscape-toolkit\[changepoints\]'"):
        analyse(series, Stages.model_validate({"engine": engine, "draws": 50}))
