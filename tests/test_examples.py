"""The worked example on a planted world gives the answer that was planted."""

from __future__ import annotations

import runpy
from dataclasses import replace
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import landscape as ls

EXAMPLE = Path(__file__).parent.parent / "docs" / "examples" / "connectivity_and_transitions.py"
STEPS = np.unique([0, *np.geomspace(1, 1024, 25).round().astype(int)])
DATES = {"frequency": 6.0, "succession": 20.0, "repetition": 60.0, "agreement": 200.0}
PRIMARY = {"connectivity": "barrier:last", "behaviour": "minimal-pairs:margin:repetition", "test": "onset"}


def world() -> pd.DataFrame:
    """Ten seeds: each ability rises at its date; who learns to repeat early has a barrier that falls early."""
    random, rows = np.random.default_rng(5), []
    for seed in range(10):
        shift = random.normal(0, 0.6)
        dates = {f"minimal-pairs:margin:{name}": at * np.exp(shift) for name, at in DATES.items()}
        for name, at in {**dates, "barrier:last": 60 * np.exp(shift), "loss": 20.0}.items():
            rise = 1 / (1 + (at / np.maximum(STEPS, 0.01)) ** 2.5)
            value = (4 * rise if name in dates else 1 - rise) + random.normal(0, 0.02, len(STEPS))
            rows.append(pd.DataFrame({"series": name, "seed": seed, "step": STEPS, "value": value, "error": 0.02}))
    between = pd.DataFrame({"series": "barrier:seed", "seed": 0, "step": STEPS, "value": 0.5, "error": 0.02})
    return pd.concat([*rows, *(between.assign(seed=seed) for seed in range(10))], ignore_index=True)


@pytest.mark.slow
def test_the_planted_order_and_the_association_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    found = ls.stages(world(), permutations=999)
    own = found.association.assign(primary=(found.association[list(PRIMARY)] == list(PRIMARY.values())).all(axis=1))
    found = replace(found, association=own)  # a frame has no study that it was written down in
    monkeypatch.setattr(ls, "stages", partial(lambda results, folder: results, found))
    runpy.run_path(str(EXAMPLE))
    said = capsys.readouterr().out
    assert "order found: frequency, succession, repetition, agreement\n" in said
    [primary] = found.association[found.association["primary"]].to_dict("records")
    assert primary["effect"] > 0.5 and primary["low"] > 0 and primary["p"] < 0.05
    assert said.index("primary:") < said.index("exploratory:")
    assert (tmp_path / "connectivity_and_transitions.png").stat().st_size > 10_000
    plt.close("all")
