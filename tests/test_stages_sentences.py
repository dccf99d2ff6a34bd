"""Findings in words."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import worlds
from worlds import OCTAVES, SETTINGS, coupled

from landscape.stages.analysis import Findings, analyse
from landscape.stages.findings.sentences import sentences


@pytest.fixture(scope="module")
def found() -> Findings:
    return analyse(worlds.observed(coupled(), OCTAVES), SETTINGS)


def onset_of(found: Findings, **more: object) -> pd.DataFrame:
    """The test of onsets of one behaviour, with other numbers."""
    rows = found.association[found.association["test"] == "onset"].iloc[[0]]
    return rows.assign(**{"primary": False, "p": 0.01, "q": 0.02, "p_floor": 0.001, **more})


def test_a_significant_test_whose_interval_spans_zero_is_explained(found: Findings) -> None:
    said = [
        sentences(replace(found, association=onset_of(found, low=low, high=0.9, p=p)))
        for low, p in ((-0.1, 0.01), (0.1, 0.01))
    ]
    why = "the test is one-sided, the interval two-sided"
    assert [any(why in line for line in lines) for lines in said] == [True, False]


def test_more_than_two_of_a_kind_are_counted(found: Findings) -> None:
    rows = pd.concat([onset_of(found, behaviour=f"b{n}") for n in range(5)])
    (line,) = [line for line in sentences(replace(found, association=rows)) if line.startswith("Seed hypothesis")]
    assert "5 of 5 exploratory tests are significant" in line and line.endswith("; and 3 more.")
    assert line.count("b0 with") == 1 and "b2 with" not in line


def test_there_are_eight_sentences_at_most(found: Findings) -> None:
    """Also where there is one of each kind."""
    outlier = pd.DataFrame({"series": ["good", "x"], "seed": 1, "step": 9.0, "value": 0.5, "median": 0.9, "z": -9.0,
                            "p": [0.001, 0.01]})  # fmt: skip
    cluster = pd.DataFrame({"connectivity": "barrier:seed", "step": 8.0, "seed": [*"abc"], "cluster": [0, 0, 1],
                            "p": 0.02, "frozen": True})  # fmt: skip
    lead = onset_of(found, test="lead", hypothesis="population", effect=np.log(3), low=np.nan, high=np.nan, step=np.nan)
    rows = pd.concat([found.association, lead])
    said = sentences(replace(found, outlier=outlier, cluster=cluster, association=rows))
    assert len(said) == 8 and all(line.endswith(".") and "\n" not in line for line in said)
    assert said[-1] == (
        "Outlier runs, which the means include: seed 1 (good 0.5 where the median is 0.9, robust z "
        "-9.0, p 0.001, and in 1 more series)."
    )
    assert said[-2].startswith("Clusters of seeds: a, b | c in barrier:seed at step 8 (p 0.02)")
    assert "is 3.00 times that of connectivity" in said[-3]


def test_without_a_preregistered_test_all_are_exploratory(found: Findings) -> None:
    said = sentences(replace(found, association=found.association.assign(primary=False)))
    assert "No association was preregistered: every test is exploratory." in said
    assert not any("preregistered" in line for line in sentences(replace(found, association=onset_of(found, p=np.nan))))


def test_one_stage_is_said_to_have_no_boundary(found: Findings) -> None:
    (row,) = found.stage[(found.stage["series"] == found.boundaries)].head(1).to_dict("records")
    said = sentences(replace(found, stage=pd.DataFrame([row])))
    assert sum(line.startswith("No boundary between stages is found ") for line in said) == 1
