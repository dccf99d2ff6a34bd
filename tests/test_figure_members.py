"""Contracts of figures: every section of the catalogue, and every member that figures name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from drawn import bent_frames, planted, rows

from landscape.catalogue import CURVES, DEFINITIONS, FIGURES, MATCHERS, PROBES
from landscape.cli.report import frames
from landscape.figures.captions import caption
from landscape.figures.curves import by_path as paths_drawn
from landscape.figures.frames import Frames
from landscape.figures.probes import probes_over_training
from landscape.figures.section import Section
from landscape.figures.sections import sections
from landscape.figures.symmetry import barriers_by_symmetry
from landscape.figures.tables import csv
from landscape.profile.summary import by_path
from landscape.study.store import Store


@pytest.fixture(autouse=True)
def drawn_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """seaborn draws the whole figure for each heatmap, to see whether its labels must be rotated."""
    monkeypatch.setattr("seaborn.matrix._draw_figure", lambda figure: None)
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def every(finished: Path) -> Frames:
    """Rows for every section: planted ones, and those of the finished study for what is not planted."""
    stored = frames(Store(finished / "results"))
    names = ("aligned", "by_symmetry", "alignment", "llc", "traces", "probe", "behaviour")
    steps = [0.0, 4.0, 32.0]
    series = pd.DataFrame({"series": "loss", "seed": "0", "step": steps, "value": [3.0, 2.5, 1.0]})
    curve = series.drop(columns="seed").assign(low=series["value"] - 0.1, high=series["value"] + 0.1)
    event = {"series": "loss", "seed": "all", "event": "half_rise", "way": "fall", "censored": "no"}
    event |= {"step": 5.0, "low": 4.0, "high": 32.0}
    kl = pd.DataFrame({
        "subset": "",
        "step": steps,
        "value": [0.4, 0.1, 0.3],
        "low": np.nan,
        "high": np.nan,
        "pairs": 3,
    })
    return replace(
        bent_frames(planted()), **{name: getattr(stored, name) for name in names},
        series=series, curve=curve, event=pd.DataFrame([event]), boundaries="loss", kl=kl,
    )  # fmt: skip


sections_of_the_catalogue = pytest.mark.parametrize("name", FIGURES)


@sections_of_the_catalogue
def test_a_section_of_no_rows_is_none(name: str) -> None:
    assert FIGURES.load(name).section(Frames()) is None


@sections_of_the_catalogue
def test_a_section_has_a_figure_with_its_texts(name: str, every: Frames) -> None:
    section = FIGURES.load(name).section(every)
    assert isinstance(section, Section), f"give {name} rows here"
    assert section.title.strip() and section.text.endswith(".") and section.note.strip()
    caption_of_figure, note = section.figure.get_supxlabel(), section.note.replace("$", r"\$")
    assert caption_of_figure.replace(";", "").split() == note.replace(";", "").split()
    assert any(ax.has_data() for ax in section.figure.axes)


@sections_of_the_catalogue
def test_the_lines_of_python_draw_the_figure_from_its_files(
    name: str, every: Frames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what is said under the pointer lies where it is drawn, and every detail that is named is there."""
    section = FIGURES.load(name).section(every)
    for rows_name, table in section.rows.items():
        (tmp_path / section.file(rows_name)).write_text(csv(table))
    saved = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "savefig", lambda file: saved.append((file, plt.gcf())))
    exec(section.code, {})
    ((file, again),) = saved
    assert file == f"{section.name}.pdf" and len(again.axes) == len(section.figure.axes)
    for one, other in zip(section.figure.axes, again.axes, strict=True):
        assert (one.get_xlabel(), one.get_ylabel(), one.get_title()) == (
            other.get_xlabel(), other.get_ylabel(), other.get_title())  # fmt: skip
        assert len(one.lines) == len(other.lines)
        for line, drawn in zip(one.lines, other.lines, strict=True):
            np.testing.assert_allclose(line.get_xydata(), drawn.get_xydata(), rtol=1e-6, atol=1e-6)
    for spots in section.spots:
        assert len(spots.x) == len(spots.y) == len(spots.text)
        assert all(key in section.details and line < len(section.details[key].lines)
                   for key, line in spots.detail if key)  # fmt: skip


@pytest.mark.slow
def test_a_section_has_something_under_the_pointer(every: Frames) -> None:
    silent = [one.title for one in sections(every) if not any(len(spots.x) for spots in one.spots)]
    assert silent == []


def test_the_report_has_every_section_once(every: Frames) -> None:
    titles = [section.title for section in sections(every)]
    assert len({*titles}) == len(titles) == len(FIGURES)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_caption_says_what_a_definition_means(name: str) -> None:
    assert caption(pd.DataFrame(rows(1)).assign(definition=name)).startswith(f"barrier: {DEFINITIONS[name].help}; ")


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_is_drawn_by_its_label(name: str) -> None:
    bent = bent_frames(planted()).learned.replace({"path": {"bezier": name}})
    ax = paths_drawn(by_path(bent), bent)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["straight line", CURVES.label(name), "control"]


@pytest.mark.parametrize("name", MATCHERS)
def test_a_way_to_align_is_drawn_by_its_label(name: str) -> None:
    pairs = pd.concat([pd.DataFrame(rows(32)).assign(how="none"), pd.DataFrame(rows(32, 0.3)).assign(how=name)])
    means = pairs.groupby("how", as_index=False)[["barrier", "low", "high"]].mean()
    labels = [t.get_text().replace("\n", " ") for t in barriers_by_symmetry(means, pairs).get_yticklabels()]
    assert labels == ["raw", MATCHERS.label(name)]


@pytest.mark.parametrize("name", PROBES)
def test_the_axes_of_probes_say_what_a_metric_is(name: str) -> None:
    metrics = {**PROBES[name].metrics, "other": f"{name}, other"}
    table = pd.DataFrame([
        {"probe": name, "metric": metric, "subset": "", "seed": 0, "step": step, "value": 0.4, "error": 0.03,
         "chance": 0.5, "headline": True, "better": "lower"}
        for metric in metrics for step in (0, 16)
    ])  # fmt: skip
    _, axes = plt.subplots(1, len(metrics), squeeze=False)
    assert probes_over_training(table, list(axes.flat)) == [(name, metric) for metric in metrics]
    assert [ax.get_ylabel() for ax in axes.flat] == [f"{label} ↓" for label in metrics.values()]


def test_an_unknown_member_is_refused() -> None:
    with pytest.raises(ValueError, match="no definition of a barrier is called 'cord'; did you mean chord"):
        caption(pd.DataFrame(rows(1)).assign(definition="cord"))
    probe = pd.DataFrame(rows(1)).assign(probe="inducton", metric="copy_gap", headline=True, step=4, better="",
                                         subset="", seed=0, value=0.1, error=0.1, chance=np.nan)  # fmt: skip
    with pytest.raises(ValueError, match="no probe is called 'inducton'; did you mean induction"):
        probes_over_training(probe, [plt.figure().gca()])
