"""Other people's series from files: the same as frames, and refused with the place of a mistake."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import worlds
from simulated import OCTAVES
from worlds import coupled

from landscape.errors import InputError
from landscape.stages.series.files import read


def write(folder: Path, frame: pd.DataFrame, name: str = "s.csv") -> Path:
    file = folder / name
    frame.to_parquet(file) if name.endswith("parquet") else frame.to_csv(file, index=False)
    return file


def test_files_of_others_are_the_same_as_frames(tmp_path: Path) -> None:
    frame = worlds.observed(coupled(), OCTAVES).series
    plain = frame[["series", "seed", "step", "value"]]
    for name in ("s.csv", "s.parquet"):
        got = read(write(tmp_path, plain, name))
        pd.testing.assert_frame_equal(got.series[["series", "seed", "step", "value"]], plain, check_dtype=False)
    pairs = pd.DataFrame({
        "series": "barrier:x",
        "seed_a": [0, 0, 1],
        "seed_b": [1, 2, 2],
        "step": 8,
        "value": [0.2, 0.5, 0.3],
    })
    pairs = pd.concat([pairs, pairs.assign(series="distance:y"), pairs.assign(series="barrier:last", value=7.0)])
    both = read(write(tmp_path, plain), write(tmp_path, pairs, "p.csv"))
    own = both.series[both.series["series"] == "barrier:x"].set_index("seed")["value"]
    assert own.to_dict() == pytest.approx({0: 0.35, 1: 0.25, 2: 0.4}) and len(both.pairs) == 9
    # Distances are no series of connectivity, and a series that is given stays as it is.
    assert set(both.series["series"]) == {*plain["series"], "barrier:x"} and both.series["value"].max() < 7


GOOD = pd.DataFrame({"series": "a", "seed": 0, "step": [0, 1], "value": [0.5, 0.7]})


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (GOOD.drop(columns="seed"), "lacks the column seed; it needs series, seed, step, value, and may have error"),
        (GOOD.assign(value=[0.5, "high"]), "value in line 3 is 'high'; a finite number is wanted"),
        (GOOD.assign(value=[0.5, np.inf]), "value in line 3 is 'inf'; a finite number is wanted"),
        (GOOD.assign(value=[np.nan, 1]), "value in line 2 is 'nan'; a finite number is wanted"),
        (GOOD.assign(step=[-1, 2]), "a step or an error below 0"),
        (GOOD.assign(error=[0.1, -0.1]), "a step or an error below 0"),
        (GOOD.assign(step=1), "two values of series a, seed 0, step 1.0; give one"),
        (GOOD.assign(series=["a", None]), r"s.csv: line 3 has no series; fill it in"),
        (GOOD.assign(seed=[np.nan, 1]), r"s.csv: line 2 has no seed; fill it in"),
        (GOOD.assign(error=[np.nan, np.inf]), "error in line 3 is 'inf'; a finite number is wanted"),
        (GOOD.assign(value=[0.5, -1e200]), "line 3 has a value beyond 1e[+]150; use another unit"),
        (GOOD.assign(seed=["s0", "all"]), "the seed 'all' is reserved for the mean over seeds; rename it"),
        (GOOD.iloc[:0], "s.csv has columns but no rows"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_its_place(tmp_path: Path, frame: pd.DataFrame, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(write(tmp_path, frame))


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_are_asked_about(tmp_path: Path, separator: str) -> None:
    GOOD.to_csv(tmp_path / "s.csv", index=False, sep=separator)
    with pytest.raises(InputError, match=r"columns found: 'series.*seed.*step.*value'; are they separated by commas\?"):
        read(tmp_path / "s.csv")


PAIRS = pd.DataFrame({"series": "barrier:x", "seed_a": [0, 0], "seed_b": [1, 2], "step": 8, "value": [0.2, -0.01]})


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("barrier:x", 2, 2, 8, 0.0), "line 4 pairs a seed with itself; leave it out"),
        (("barrier:x", 2, 0, 8, -0.01), "line 4 repeats a pair in the opposite order; give each pair once"),
        (("barrier:x", 2, 0, 8, 0.9), "line 4 repeats a pair in the opposite order; give each pair once"),
        (("barrier:x", np.nan, 2, 8, 0.9), "line 4 has no seed_a; fill it in"),
    ],
)
def test_pairs_with_a_mistake_are_refused(tmp_path: Path, row: tuple[object, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(None, write(tmp_path, pd.concat([PAIRS, pd.DataFrame([row], columns=PAIRS.columns)])))


def test_the_same_pair_at_another_step_or_in_another_series_is_another_value(tmp_path: Path) -> None:
    """A barrier may be slightly negative, by a signed definition."""
    back = PAIRS.rename(columns={"seed_a": "seed_b", "seed_b": "seed_a"})
    frame = pd.concat([PAIRS, back.assign(step=9), back.assign(series="distance:x")])
    assert len(read(None, write(tmp_path, frame)).pairs) == 6


def test_a_file_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file or folder .*nothing.csv"):
        read(tmp_path / "nothing.csv")
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(InputError, match="cannot read .*x.parquet .*give CSV, or Parquet"):
        read(tmp_path / "x.parquet")
