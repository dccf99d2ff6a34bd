"""What is preregistered can be tested, and what cannot be tested is said with its reason."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import worlds
from simulated import OCTAVES
from worlds import coupled

from landscape.stages.analysis import analyse
from landscape.stages.association.preregistered import preregistered, untested
from landscape.stages.events import dating
from landscape.stages.events.dating import Dated
from landscape.stages.series.observed import Observed
from landscape.stages.settings import Primary, Stages
from landscape.study.file import Study

curves_once = worlds.curves_once
SETTINGS = Stages.model_validate({"draws": 50})
MEASURES = [
    {"kind": "barriers", "between": "last"},
    {"kind": "barriers", "between": "seed"},
    {"kind": "barriers", "between": "neighbours", "path": "spherical"},
    {"kind": "barriers", "between": "optimizer"},
    {"kind": "barriers", "between": ["seed", "branch"]},
    {"kind": "probes", "names": ["induction", "harness:piqa"]},
    {"kind": "probes", "names": ["ngrams"], "among": "branches"},
    {"kind": "behaviour", "names": ["predictions"]},
]


def study(stages: dict[str, Any]) -> Study:
    parts = {"checkpoints": {"folder": "seed_{seed}"}, "data": {"objective": "causal-lm"}}
    return Study.model_validate({"version": 1, "name": "x", **parts, "measure": MEASURES, "stages": stages})


@pytest.mark.parametrize(
    ("connectivity", "behaviour", "test"),
    [
        ("barrier:last", "induction:copy_gap", "onset"),
        ("barrier:seed", "harness:piqa:acc", "onset given loss"),
        ("barrier:seed", "distance:predictions:divergence", "matrix"),
        ("barrier:seed", "induction:copy_gap", "matrix given loss"),
        ("barrier:last", "loss", "onset"),
    ],
)
def test_a_primary_of_measured_series_is_taken(connectivity: str, behaviour: str, test: str) -> None:
    primary = {"connectivity": connectivity, "behaviour": behaviour, "test": test}
    assert study({"primary": primary}).stages.primary == Primary(**primary)


@pytest.mark.parametrize(
    ("connectivity", "behaviour", "test", "said"),
    [
        ("barier:last", "induction:x", "onset", "makes the series 'barier:last'; known: barrier:last, barrier:seed "),
        (
            "barrier:neighbours",
            "induction:x",
            "onset",
            "the series 'barrier:neighbours'; known: barrier:last, barrier:seed ",
        ),
        ("barrier:optimizer", "induction:x", "onset", "makes the series 'barrier:optimizer'"),
        ("barrier:seed,branch", "induction:x", "onset", "makes the series 'barrier:seed,branch'"),
        ("barrier:*", "induction:x", "onset", "'barrier:.' is a pattern"),
        ("barrier:last", "induction:*", "onset", "'induction:.' is a pattern"),
        ("barrier:last", "inducton:x", "onset", "'inducton:x' for the test 'onset'; known: .* induction:..., harness"),
        ("barrier:last", "ngrams:kl", "onset", "no measure makes the series 'ngrams:kl'"),
        ("barrier:last", "llc", "onset", "no measure makes the series 'llc'"),
        ("barrier:last", "distance:predictions:divergence", "onset", "no measure makes the series 'distance:predic"),
        ("barrier:seed", "distance:induction:x", "matrix", "known: .* distance:predictions:..."),
        ("barrier:last", "induction:x", "matrix", "the test 'matrix' is on pairs of seeds: give barrier:seed"),
    ],
)
def test_a_primary_of_series_that_are_not_measured_is_refused(
    connectivity: str, behaviour: str, test: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        study({"primary": {"connectivity": connectivity, "behaviour": behaviour, "test": test}})


def test_a_primary_that_the_patterns_leave_out_is_refused() -> None:
    primary = {"connectivity": "barrier:last", "behaviour": "induction:copy_gap"}
    assert study({"primary": primary, "behaviour": "induction:*"}).stages.behaviour == ("induction:*",)
    with pytest.raises(ValueError, match=r"is of 'induction:copy_gap', which none of harness:\*, loss takes"):
        study({"primary": primary, "behaviour": ["harness:*", "loss"]})
    with pytest.raises(ValueError, match="is of 'barrier:last', which none of barrier:seed takes"):
        study({"primary": primary, "connectivity": "barrier:seed"})


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"threshold": 0.3}, "threshold 0.3, preregistered: left out"),
        ({"floor": 0.2}, "floor 0.2, preregistered: left out"),
        ({"permutations": 999}, "permutations 999, preregistered: 9999"),
        ({"draws": 80}, "draws 80, preregistered: 60"),
        ({"seed": 7}, "seed 7, preregistered: 0"),
        ({"boundaries": "loss"}, ""),
        ({"primary": {"connectivity": "barrier:seed", "behaviour": "q", "test": "matrix"}}, ""),
    ],
)
def test_what_decides_a_test_and_has_changed_since_is_named(now: dict[str, Any], said: str) -> None:
    """The primary stays that of the first run. Older stores kept it alone, and with it the definition."""
    primary = {"connectivity": "barrier:last", "behaviour": "p:x", "test": "onset"}
    kept = {"draws": 60, "primary": primary}
    settings = Stages.model_validate({**kept, **now})
    assert preregistered(kept, settings, "chord") == (Primary(**primary), [said] if said else [])
    other = "definition mean_ends, preregistered: chord"
    assert preregistered(kept, settings, "mean_ends")[1] == [*([said] if said else []), other]
    elsewhere = "data hans, preregistered: main"
    assert preregistered(kept, settings, "chord", "hans")[1] == [*([said] if said else []), elsewhere]
    assert preregistered(primary, settings, "mean_ends") == (Primary(**primary), [other])
    assert preregistered(primary, settings, "chord") == (Primary(**primary), []) and preregistered(
        {}, settings, "x"
    ) == (
        None,
        [],
    )


@pytest.fixture(scope="module")
def world() -> Observed:
    values = coupled()
    values["flat"] = 0.01 * np.random.default_rng(0).standard_normal((6, len(OCTAVES)))
    observed = worlds.observed(values, OCTAVES)
    few = (observed.series["series"] == "contrary") & (observed.series["seed"] > 1)
    pairs = pd.DataFrame([
        {"series": "barrier:seed", "seed_a": a, "seed_b": b, "step": 1024.0, "value": a + 0.7 * b, "error": np.nan}
        for a in range(6) for b in range(a)
    ])  # fmt: skip
    return Observed(observed.series[~few], pairs[1:])


@pytest.fixture(scope="module")
def dated(world: Observed) -> Dated:
    return dating.date(world, SETTINGS)


@pytest.mark.parametrize(
    ("connectivity", "behaviour", "test", "why"),
    [
        (
            "barrier:last",
            "nothing",
            "onset",
            "there is no series nothing; known: barrier:last, barrier:seed, contrary",
        ),
        ("barrier:last", "good", "matrix", "matrix tests need a series of pairs, which barrier:last is not"),
        ("barrier:last", "flat", "onset", "flat has no onset"),
        ("barrier:last", "contrary", "onset", "2 seeds have both, and 3 are needed"),
        ("barrier:last", "loss", "onset", "the setting behaviour does not include loss"),
        ("barrier:seed", "good", "onset", "the setting connectivity does not include barrier:seed"),
    ],
)
def test_why_the_primary_could_not_be_tested(
    world: Observed, dated: Dated, connectivity: str, behaviour: str, test: str, why: str
) -> None:
    primary = Primary.model_validate({"connectivity": connectivity, "behaviour": behaviour, "test": test})
    assert untested(primary, world, dated, SETTINGS).startswith(why)


def test_a_primary_that_could_not_be_tested_is_noted_with_the_reason(world: Observed) -> None:
    primary = Primary(connectivity="barrier:last", behaviour="good", test="matrix")
    said = "(barrier:last with good, by matrix) could not be tested: matrix tests need a series of pairs"
    assert any(f"the primary association {said}" in note for note in analyse(world, SETTINGS, primary).notes)


@pytest.mark.slow
def test_what_matrices_lack_and_patterns_that_match_nothing_are_noted(world: Observed) -> None:
    series = pd.concat([
        world.series[world.series["series"] == "good"],
        world.series[world.series["series"] == "barrier:last"].assign(series="barrier:seed"),
    ])
    settings = Stages.model_validate({
        "draws": 50,
        "connectivity": ["nix*", "barrier:seed"],
        "behaviour": ["goo*", "x"],
    })
    lacking = analyse(Observed(series, world.pairs), settings).notes
    assert "no series fits nix*; known: barrier:seed, good" in lacking
    assert "no series fits x; known: barrier:seed, good" in lacking and not [n for n in lacking if "goo*" in n]
    assert "the matrix of barrier:seed leaves out seed 1, because pairs are missing" in lacking
    whole = pd.concat([world.pairs, world.pairs[:1].assign(seed_a=1, seed_b=0)])
    assert not [note for note in analyse(Observed(series, whole), settings).notes if "matrix" in note]
    for other, why in (
        (whole.assign(step=777.0), "no step in common (777; 0, 2, 3, 4 and 16 more)"),
        (whole.assign(seed_a=whole["seed_a"] + 10), "seeds with all their pairs at step 1024: "),
        (whole.assign(seed_a="s" + whole["seed_a"].astype(str), seed_b="s" + whole["seed_b"].astype(str)),
         "at step 1024 there is no value of the seeds s0, s1, s2, s3 and 2 more"),
    ):  # fmt: skip
        said = f"the matrix of barrier:seed is not compared with good: {why}"
        assert [note for note in analyse(Observed(series, other), settings).notes if note.startswith(said)], why
