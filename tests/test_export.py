"""Tables for other programs: one row a pair, arrays with real axes, and what the columns say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray
from click.testing import CliRunner

from landscape import rows
from landscape.cli.main import cli
from landscape.errors import InputError
from landscape.face import tidy
from landscape.study.store import EMPTY, Store


@pytest.fixture(scope="module")
def results(finished: Path) -> Store:
    return Store(finished / "results")


@pytest.fixture(scope="module")
def tables(results: Store) -> dict[str, pd.DataFrame]:
    return results.tables(task["key"] for task in results.record()["tasks"])


def invoke(*arguments: object) -> str:
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_row_is_a_pair(tables: dict[str, pd.DataFrame]) -> None:
    long = tables["barrier"]
    wide = tidy.one_row_a_pair(long)
    identity = ["a", "b", "path", "align", "data", "between", "curve"]
    assert not wide.duplicated(identity).any()
    assert len(wide) == len(long.drop_duplicates(identity))
    for name in long["definition"].unique():
        column = "barrier" if name == "chord" else f"barrier_{name}"
        own = long[long["definition"] == name].set_index(identity)["barrier"]
        found = wide.set_index(identity)[column].dropna()
        assert found.sort_index().to_dict() == own.sort_index().to_dict()
    means = long[long["definition"] == "chord"].groupby("align")["barrier"].mean()
    pd.testing.assert_series_equal(wide.groupby("align")["barrier"].mean(), means)  # a naive groupby is right


def test_a_definition_without_rows_is_refused(tables: dict[str, pd.DataFrame]) -> None:
    assert set(tidy.of_definition(tables["barrier"], "area")["definition"]) == {"area"}
    with pytest.raises(InputError, match="no row has the definition midpoint"):
        tidy.of_definition(tables["barrier"].query("definition == 'chord'"), "midpoint")


def same(cell: Any, value: Any) -> bool:
    if isinstance(cell, bytes):
        cell = cell.decode()
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return cell == "" or np.isnan(cell)
    return bool(cell == value)


@pytest.mark.parametrize("table", list(rows.TABLES))
def test_every_row_is_found_by_its_labels(tables: dict[str, pd.DataFrame], results: Store, table: str) -> None:
    if table not in tables:
        pytest.skip("the finished study has none")
    total, frame = 0, tables[table].astype(object)
    cells = 0
    for _, count, made in tidy.arrays(table, tables[table], results.record()):
        total += count
        axes = [name for name in made.sizes if name != "row"]
        own = frame.rename(columns={"step_a": "step"}) if "step" in axes and "step_a" in frame else frame
        if "between" in own:
            own = own[own["between"] == made["between"].item()]
        numbers = [n for n in made.data_vars if n in own and made[n].dtype.kind == "f"]
        if not axes:
            assert made.sizes["row"] == count
            continue
        for _, row in own.sample(min(8, len(own)), random_state=0).iterrows():
            if any(pd.isna(row[a]) or row[a] not in made[a].values for a in axes):
                continue
            at = made.sel({a: row[a] for a in axes})
            assert [n for n in numbers if not same(at[n].item(), row[n])] == []
            cells += 1
    assert total == len(frame) and (cells or not axes)


def test_barriers_have_the_axes_of_a_study(tables: dict[str, pd.DataFrame], results: Store) -> None:
    found = {name: made for name, _, made in tidy.arrays("barrier", tables["barrier"], results.record())}
    made = found["barrier_seed"]
    assert list(made["barrier"].dims)[:5] == ["seed_a", "seed_b", "step", "definition", "data"]
    assert made["barrier"].attrs["units"] == "nats per token" and made["distance"].attrs["units"]
    assert made["step"].attrs["units"] == "steps"
    assert made["barrier"].attrs["long_name"] == "cross-fitted estimate of the barrier"
    assert json.loads(made.attrs["study"])["name"] == made.attrs["title"] == results.record()["name"]
    profiles = {name: made for name, _, made in tidy.arrays("profile", tables["profile"], results.record())}
    assert "t" in profiles["profile_seed"]["loss"].dims


def test_rows_of_branches_have_axes_of_their_own() -> None:
    """A label that is missing is no place on an axis."""
    frame = pd.DataFrame({
        "seed": [0, 1, 0, 0], "step": [8, 8, 8, 8], "branch_step": [None, None, 2, 4], "branch": [None, None, 1, 1],
        "loss": [1.0, 2.0, 3.0, 4.0], "data": "main",
    })  # fmt: skip
    found = {name: made for name, _, made in tidy.arrays("loss", frame, EMPTY)}
    assert set(found) == {"loss", "loss_branches"}
    assert found["loss"]["loss"].values.ravel().tolist() == [1.0, 2.0]
    assert found["loss_branches"]["loss"].sel(branch_step=4).item() == 4.0


def test_what_would_be_mostly_empty_stays_rows() -> None:
    frame = pd.DataFrame({"seed_a": range(300), "seed_b": range(300), "step": range(300), "barrier": 0.5})
    ((_, _, made),) = tidy.arrays("barrier", frame, EMPTY)
    assert dict(made.sizes) == {"row": 300}


@pytest.mark.parametrize(("definition", "times"), [("columns", 1), ("rows", 6), ("midpoint", 1)])
def test_definitions_are_columns_rows_or_chosen(
    finished: Path, tmp_path: Path, tables: dict[str, pd.DataFrame], definition: str, times: int
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(finished / "results", folder / "results")
    invoke("export", folder, "--definition", definition)
    found = pd.read_csv(folder / "export" / "barrier.csv")
    pairs = len(tables["barrier"].query("definition == 'chord'"))
    assert len(found) in (pairs * times, len(tables["barrier"]) if times > 1 else pairs)
    assert set(found["definition"]) >= {"chord" if definition == "columns" else "midpoint"}


@pytest.mark.slow
def test_netcdf_is_read_back(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(finished / "results", folder / "results")
    invoke("export", folder, "--format", "netcdf")
    for file in (folder / "export").glob("*.nc"):
        made = xarray.load_dataset(file, engine="scipy")
        assert made.attrs["source"].startswith("landscape") and made.sizes, file
    assert "units" in xarray.load_dataset(folder / "export" / "barrier_seed.nc", engine="scipy")["low"].attrs


@pytest.mark.parametrize("table", rows.TABLES)
def test_every_column_is_in_the_dictionary(table: str) -> None:
    said = invoke("columns", table)
    assert [c.name for c in rows.TABLES[table].columns if c.name not in said] == []
    listed = [json.loads(line) for line in invoke("columns", table, "--json").splitlines()]
    assert [one["name"] for one in listed] == [c.name for c in rows.TABLES[table].columns]


def test_tables_are_listed_and_a_typo_is_answered() -> None:
    assert [line.split()[0] for line in invoke("columns").splitlines()] == list(rows.TABLES)
    with pytest.raises(InputError, match=r"no table is called 'bariers'; did you mean barrier\?"):
        CliRunner().invoke(cli, ["columns", "bariers"], catch_exceptions=False, standalone_mode=False)
