"""Training runs are told apart by all their labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from landscape.profile.runs import by_run, telling_apart
from landscape.profile.summary import barrier_over_training
from landscape.stages.series.observed import from_tables

STEPS = {"adam": (0, 100, 200), "sgd": (50, 150, 250)}


def losses() -> pd.DataFrame:
    rows = [{"seed": 0, "optimizer": name, "step": step, "branch_step": None, "loss": step / (1 + len(name)),
             "error": 0.1}
            for name, steps in STEPS.items() for step in steps]  # fmt: skip
    return pd.DataFrame(rows).sort_values("step")


def test_two_runs_of_one_seed_are_two_curves() -> None:
    (known,) = by_run({"loss": losses()}, ["optimizer"]).values()
    series = from_tables({"loss": known}).series
    for name, steps in STEPS.items():
        own = series[series["seed"] == f"{name} 0"]
        assert list(own["step"]) == list(steps)
        np.testing.assert_allclose(own["value"], [step / (1 + len(name)) for step in steps])
    assert len(series) == 6


def test_barriers_keep_the_label_that_both_share() -> None:
    rows = pd.DataFrame({
        "seed_a": [0, 0, 1], "seed_b": [1, 1, 2], "optimizer_a": ["adam", "sgd", "sgd"],
        "optimizer_b": ["adam", "sgd", "sgd"], "step_a": [8, 8, 8], "between": "seed", "barrier": [0.1, 0.4, 0.7],
        "low": 0.0, "high": 1.0, "path": "linear",
    })  # fmt: skip
    (known,) = by_run({"barrier": rows}, ["optimizer"]).values()
    assert list(known["seed_a"]) == ["adam 0", "sgd 0", "sgd 1"]
    assert list(known["seed_b"]) == ["adam 1", "sgd 1", "sgd 2"]
    assert not {"optimizer_a", "optimizer_b"} & set(known)
    assert float(barrier_over_training(known)["barrier"].iloc[0]) == pytest.approx(0.4)


@pytest.mark.parametrize(("labels", "names"), [
    ([{"seed": 0}, {"seed": 1}], []),
    ([{"seed": 0, "size": "small"}, {"seed": 1, "size": "small"}], []),
    ([{"seed": 0, "size": "small"}, {"seed": 0, "size": "large"}], ["size"]),
    ([{"optimizer": "adam"}], ["optimizer"]),
    ([{"seed": 0}, {"seed": 0, "part": "a"}], ["part"]),
])  # fmt: skip
def test_labels_that_tell_runs_apart(labels: list[dict[str, object]], names: list[str]) -> None:
    assert telling_apart(labels) == names


def test_a_label_that_only_some_have() -> None:
    rows = pd.DataFrame({"seed": [0, 1, None], "lr": [1.0, None, None]})
    (known,) = by_run({"loss": rows}, ["lr"]).values()
    assert list(known["seed"][:2]) == ["1 0", "1"]
    assert known["seed"][2] is None
