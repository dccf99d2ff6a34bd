import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from drawn import SETTINGS, bent_frames, planted, rows
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.patches import Polygon, Rectangle

from landscape.figures import behaviour, branching, calibration, details, llc, loss, matrix, simplex, together
from landscape.figures import page as page_module
from landscape.figures.calibration import calibration_map
from landscape.figures.captions import caption, of_mean
from landscape.figures.frames import Frames
from landscape.figures.interpolation import interpolation, some
from landscape.figures.llc import llc_over_training
from landscape.figures.loss import loss_over_training
from landscape.figures.matrix import barrier_matrix
from landscape.figures.page import MAX_LISTED, Missing, page
from landscape.figures.paper import figures
from landscape.figures.plane import about, loss_plane
from landscape.figures.probes import probe_over_training
from landscape.figures.style import MOST_STEPS, step_axis
from landscape.figures.svg import Drawing
from landscape.figures.traces import traces
from landscape.figures.training import barrier_over_training


@pytest.fixture(autouse=True)
def drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """seaborn draws the whole figure for each heatmap, to see whether its labels must be rotated."""
    monkeypatch.setattr("seaborn.matrix._draw_figure", lambda figure: None)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of the texts of a page: drawing its figures takes nearly all of the time."""
    monkeypatch.setattr(page_module, "drawing", lambda section: Drawing("", (1.0, 1.0), ()))


@pytest.fixture
def frames() -> Frames:
    return planted()


def drawn_cells(ax: Axes) -> np.ndarray:
    """The values of a matrix as they are drawn; nan where it is blank."""
    shape = len(ax.get_yticks()), len(ax.get_xticks())
    return np.ma.filled(ax.collections[0].get_array().astype(float), np.nan).reshape(shape)


def names_of(ax: Axes) -> list[str]:
    """The checkpoints of a matrix: all but the last below it, and all but the first beside it."""
    below, beside = ([t.get_text() for t in axis.get_ticklabels()] for axis in (ax.xaxis, ax.yaxis))
    assert below[1:] == beside[:-1]
    return [*below, beside[-1]]


def test_matrix_shows_each_pair_once() -> None:
    """Below the diagonal, whichever of the two is the first; an error of zero in these digits is not written."""
    made = pd.DataFrame(rows(32))
    made.loc[1, ["a", "b", "seed_a", "seed_b"]] = made.loc[1, ["b", "a", "seed_b", "seed_a"]].tolist()
    made.loc[2, ["low", "high"]] = [0.2996, 0.3003]
    ax = barrier_matrix(made, vmax=0.9)
    np.testing.assert_array_equal(drawn_cells(ax), [[0.2, np.nan], [0.5, 0.3]])
    assert names_of(ax) == ["0", "1", "2"] and ax.collections[0].get_clim() == (0, 0.9)
    assert [t.get_text() for t in ax.texts] == ["0.200\n±0.050", "0.500\n±0.050", "0.300"]
    assert ax.figure.axes[1].get_ylabel() == "barrier (nats per token)"
    assert ax.get_title() == "step 32"


@pytest.mark.slow
def test_a_large_matrix_is_an_image_that_stays_legible() -> None:
    """A thousand checkpoints: each cell a pixel, with its value, and few enough names to be read."""
    count = 1000
    a, b = np.triu_indices(count, 1)
    values = np.abs(np.sin(a * 7.0 + b))
    many = pd.DataFrame({"a": a, "b": b, "seed_a": a, "seed_b": b, "barrier": values, "low": values, "high": values})
    many = many.assign(step_a=5, step_b=5, unit="nats", a=many["a"].map("r{}".format), b=many["b"].map("r{}".format))
    figure = plt.figure(figsize=(4.9, 4.6))
    ax = barrier_matrix(many.drop(index=3), ax=figure.gca())
    (image,) = ax.images
    drawn = np.ma.filled(image.get_array().astype(float), np.nan)
    assert drawn.shape == (count - 1, count - 1) and not ax.collections and len(ax.texts) == 0
    np.testing.assert_array_equal(drawn[b[4:] - 1, a[4:]], values[4:])
    assert np.isnan(drawn[b[3] - 1, a[3]]) and np.isnan(drawn[np.triu_indices(count - 1, 1)]).all()
    assert [t.get_text() for t in ax.get_xticklabels()] == [f"{n}" for n in range(0, count, 50)]
    figure.savefig(stream := io.BytesIO(), format="svg")
    assert stream.tell() < 8e6 and stream.getvalue().count(b"<path") < 300


def test_matrix_leaves_a_missing_pair_blank() -> None:
    ax = barrier_matrix(pd.DataFrame(rows(32)).iloc[:2])
    np.testing.assert_array_equal(drawn_cells(ax), [[0.2, np.nan], [0.5, np.nan]])


def test_matrix_of_any_checkpoints_names_them_apart() -> None:
    mixed = pd.DataFrame([*rows(4), *rows(32, 0.5)]).assign(between="all")
    cross = {
        **rows(4)[0],
        "a": "run/0/4",
        "b": "run/0/32",
        "seed_b": 0,
        "step_b": 32,
        "barrier": 0.75,
        "between": "all",
    }
    ax = barrier_matrix(pd.concat([mixed, pd.DataFrame([cross])]))
    names = [f"seed {s} step {t}" for s in range(3) for t in (4, 32)]
    assert names_of(ax) == names and ax.get_xlabel() == "checkpoint"
    drawn = drawn_cells(ax)
    assert (drawn[0, 0], drawn[1, 0], drawn[4, 3]) == (0.75, 0.2, 0.15)
    assert np.isnan(drawn[2, 0])
    plain = pd.DataFrame(rows(4)).assign(seed_a=None, seed_b=None, step_a=None, step_b=None)
    plain["a"], plain["b"] = ["x/one", "x/one", "y/one"], ["y/one", "x/two", "x/two"]
    ax = barrier_matrix(plain, ax=plt.figure().gca())
    assert names_of(ax) == ["one", "two", "y/one"]


def test_checkpoints_are_named_by_all_labels_in_which_they_differ() -> None:
    """Also by words; a label that is the same for all says nothing."""
    words = {f"optimizer_{side}": "sgd" if side == "a" else "adam" for side in "ab"}
    words |= {f"task_{side}": "mnli" for side in "ab"}
    pair = pd.DataFrame(rows(4)[:1]).assign(a="x/sgd/4", b="x/adam/4", between="optimizer", **words)
    alone = pair.assign(seed_a=None, seed_b=None)
    assert names_of(barrier_matrix(alone)) == ["adam", "sgd"]
    ax = barrier_matrix(pair.assign(seed_b=0), ax=plt.figure().gca())
    assert names_of(ax) == ["adam 0", "sgd 0"] and ax.get_xlabel() == "checkpoint"
    later = pair.assign(a="x/sgd/9", step_a=9, seed_b=0)
    ax = barrier_matrix(later, ax=plt.figure().gca())
    assert names_of(ax) == ["adam seed 0 step 4", "sgd seed 0 step 9"]
    seeds = pd.DataFrame(rows(4)).assign(seed_a=["ada", "ada", "bob"], seed_b=["bob", "eve", "eve"])
    ax = barrier_matrix(seeds, ax=plt.figure().gca())
    assert names_of(ax) == ["ada", "bob", "eve"] and ax.get_xlabel() == "run"


def test_captions_say_what_the_interval_of_a_mean_is_about() -> None:
    one, three, fifteen = (pd.Series([pairs, pairs]) for pairs in (1, 3, 15))
    low, none, part = pd.Series([0.1, 0.2]), pd.Series([np.nan] * 2), pd.Series([0.1, np.nan])
    assert of_mean(low, one, "seeds") == "mean: one pair, 95 % interval over examples"
    assert of_mean(none, three, "branches") == "mean: no interval over so few branches"
    assert of_mean(part, pd.Series([1, 3]), "seeds") == "mean: no interval over so few seeds"
    every = "mean: 95 % interval over seeds, which pairs share, and over examples"
    assert of_mean(low, fifteen, "seeds") == every
    assert of_mean(part, fifteen, "seeds") == f"{every}, where there are enough"


def test_training_shows_mean_interval_and_every_pair(frames: Frames) -> None:
    pairs = frames.barriers[frames.barriers["between"] == "seed"]
    ax = barrier_over_training(frames.training, pairs)
    line = ax.containers[0].lines[0]
    np.testing.assert_allclose(line.get_xdata(), [0, 4, 32])
    np.testing.assert_allclose(line.get_ydata(), np.array([0.1, 0.5, 1]) * np.mean([0.2, 0.5, 0.3]))
    assert frames.training["low"].isna().all() and ax.get_legend_handles_labels()[1] == ["one pair", "mean"]
    known = frames.training.assign(low=[0.01, 0.1, 0.2], high=[0.1, 0.3, 0.5])
    drawn = barrier_over_training(known, pairs, ax=plt.figure().gca())
    bars = drawn.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose([[b[0][1], b[1][1]] for b in bars], known[["low", "high"]])
    dots = [c for c in ax.collections if isinstance(c, PathCollection)][0].get_offsets()
    np.testing.assert_allclose(np.sort(dots[:, 1]), np.sort(pairs["barrier"].astype(float)))
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "4", "32"]


def test_curves_have_a_band(frames: Frames) -> None:
    """With five seeds; with three there is every pair in its place."""
    known = frames.curves.assign(rise_high=frames.curves["rise"] + 0.04, rise_low=frames.curves["rise"] - 0.04)
    pairs = frames.profiles[frames.profiles["between"] == "seed"]
    ax = interpolation(known, pairs, value="rise", unit="nats per token")
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0, 0], [0.25, 0.75], [0.5, 1], [1, 0]])
    assert ax.collections[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(1.04) and len(ax.lines) == 3
    few = interpolation(frames.curves, pairs, value="rise", unit="nats per token", ax=plt.figure().gca())
    assert frames.curves["rise_low"].isna().all() and len(few.lines) == 9
    assert few.get_legend_handles_labels()[1] == ["step 0", "step 4", "step 32"]
    np.testing.assert_allclose(few.lines[0].get_xydata(), [[0, 0], [0.25, 0.75], [0.5, 1], [1, 0]])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["step 0", "step 4", "step 32"]


def test_loss_has_a_line_for_each_seed(frames: Frames) -> None:
    ax = loss_over_training(frames.losses)
    np.testing.assert_allclose(ax.containers[1].lines[0].get_ydata(), [2.9, 2.86, 2.58])
    bars = ax.containers[1].lines[2][0].get_segments()
    np.testing.assert_allclose([(b[1] - b[0])[1] / 2 for b in bars], 1.96 * 0.02)


def test_every_figure_says_how_it_was_made(frames: Frames) -> None:
    frames = replace(frames, barriers=frames.barriers[~frames.barriers["step_a"].isin([0, 4])])
    found = figures(frames)
    assert list(found) == [
        "barrier_matrices", "mean_barrier_over_training", "interpolation_curves", "onset_of_linear_connectivity",
        "loss_over_training",
    ]  # fmt: skip
    for name, figure in found.items():
        text = " ".join(figure.get_supxlabel().split())
        assert "objective: causal-lm, nats per token" in text and "128 examples of 64 tokens" in text
        if name != "loss_over_training":
            assert "barrier: largest rise of the loss above the chord" in text
            assert "t grid: 11 even points on a linear path" in text


def test_caption_tells_of_lower_precision() -> None:
    table = pd.DataFrame(rows(1)).assign(dtype="bfloat16", dtype_error=[0.001, 0.003, 0.002])
    assert caption(table).endswith("bfloat16, within 0.003 of float32 where compared")


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]


RECORD = {
    "name": "<script>alert(1)</script>", "checkpoints": [1, 2], "parameters": 1234, "tasks": [{"kind": "losses"}] * 3,
    "versions": {"torch": "2", "transformers": "5", "landscape-toolkit": "0"}, "study": {"name": "<b>"},
}  # fmt: skip


def test_page_is_self_contained_and_escaped(frames: Frames, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "sections", lambda given: [loss.section(given), branching.section(given)])
    html = page(frames, RECORD, [Missing("losses", "task <img>", "failed & gone")])
    links = Links()
    links.feed(html)
    assert links.found and all(link.startswith("#") for link in links.found)
    assert links.tags.count("script") == 2 and not {"link", "img", "iframe", "base", "form"} & set(links.tags)
    assert "&lt;script&gt;" in html and "task &lt;img&gt;: failed &amp; gone" in html
    assert "At the end (step 32) the mean barrier between seeds is 0.333 (pairs 0.200 to 0.500)" in html
    assert "those spawned latest, after step 8, with 0.100" in html


@pytest.mark.usefixtures("undrawn")
def test_a_page_has_a_line_for_each_kind_of_missing_task(frames: Frames) -> None:
    """It folds their names: failed ones first, and a limited number."""
    kinds = {"barriers": 500, "probes": 4, "losses": 3}
    record = RECORD | {"tasks": [{"kind": kind} for kind, count in kinds.items() for _ in range(count)]}
    missing = [Missing("barriers", f"pair {n}", "too <large>" if n % 50 == 7 else "") for n in range(300)]
    missing += [Missing("probes", name, why) for name, why in (("a", "no text"), ("b", "?"), ("c", "no text"))]
    html = page(frames, record, missing)
    assert "<b>303 of 507 tasks have no result</b>" in html
    lines = re.findall("<details><summary>(.*?)</summary>\n<ul>\n(.*?)</ul>", html, re.DOTALL)[:2]
    assert [line for line, _ in lines] == [
        "barriers: 6 failed and 294 not run yet, of 500; most often: too &lt;large&gt;",
        "probes: 3 failed, of 4; most often: no text",
    ]
    listed = re.findall("<li>(.*?)</li>", lines[0][1])
    assert listed[:2] == ["pair 7: too &lt;large&gt;", "pair 57: too &lt;large&gt;"] and len(listed) == MAX_LISTED + 1
    assert listed[6] == "pair 0: not run yet" and listed[-1] == "and 100 more"


@pytest.mark.usefixtures("undrawn")
def test_page_of_unlabelled_pairs_has_what_it_can(frames: Frames) -> None:
    barriers = frames.barriers[frames.barriers["between"] == "seed"].assign(between="all")
    empty = pd.DataFrame()
    html = page(Frames(barriers, frames.profiles, frames.losses, empty, empty, empty), RECORD, [])
    assert "<h2>Barrier matrices</h2>" in html and "<h2>Onset" not in html
    no_step = frames.training.iloc[:1].assign(step=np.nan)
    html = page(Frames(barriers.iloc[:3], empty, empty, no_step, empty, empty), RECORD, [])
    numbers = html.split('<section id="numbers">')[1].split("</section>")[0]
    assert '<th scope="col">pairs</th>' in numbers and ">step</th>" not in numbers and "nan" not in numbers


@pytest.mark.usefixtures("undrawn")
def test_page_shows_curves_planes_and_mixtures(frames: Frames) -> None:
    made = bent_frames(frames)
    names = ("learned", "by_path", "learned_profiles", "plane", "place", "mixture")
    made = Frames(**{name: getattr(made, name) for name in names})
    shown = figures(made)
    assert list(shown) == ["learned_curves", "planes", "mixtures"]
    left, right = shown["learned_curves"].axes
    assert [line.get_label() for line in left.lines] == ["straight line", "Bezier curve"]
    assert [t.get_text() for t in right.get_xticklabels()] == ["straight line", "Bezier curve", "control"]
    diamonds = [line.get_ydata()[0] for line in right.lines if line.get_marker() == "D"]
    assert diamonds == pytest.approx([0.3, 0.025, 1.25])
    grey = [c for c in right.containers if c.lines[0].get_marker() == "."]
    assert [len(c.lines[2][0].get_segments()) for c in grey] == [3, 3, 3]
    for low, high in (segment[:, 1] for c in grey for segment in c.lines[2][0].get_segments()):
        assert (high - low) / 2 == pytest.approx(1.96 * 0.01)
    text = " ".join(page(replace(made, plane=pd.DataFrame(), mixture=pd.DataFrame()), RECORD, []).split())
    assert "0.333 (pairs 0.200 to 0.500) on the straight line" in text
    assert "0.033 (pairs 0.020 to 0.050) on learned curves" in text and "(+1.250 on the way to a random point)" in text
    alone = page(Frames(plane=made.plane, place=made.place), RECORD, [])
    assert "<h2>Planes</h2>" in alone and "The numbers" not in alone


@pytest.mark.slow
def test_llc_is_drawn_with_its_error_and_its_warnings(frames: Frames) -> None:
    plain = {k: v for k, v in SETTINGS.items() if k not in ("points", "path")}
    shared = {
        "sampler": "sgld",
        "chains": 4,
        "draws": 9,
        "burn_in": 5,
        "n_beta": 26.4,
        "localisation": 100.0,
        "moved": "all",
        "mode": "evaluation",
    }
    rows = pd.DataFrame([
        {"seed": s, "step": t, "branch_step": None, "llc": 5.0 + s + t / 10, "low": 4.1 + s + t / 10,
         "high": 6.0 + s + t / 10, "reliable": (s, t) != (1, 32),
         "warnings": "chains disagree (R-hat 1.20): draw more" if (s, t) == (1, 32) else "",
         "step_size": 1e-4 * (1 + t), **shared, **plain}
        for s in range(2) for t in (0, 4, 32)
    ])  # fmt: skip
    ax = llc_over_training(rows)
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "white" and len(line.get_xdata())]
    assert [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in hollow] == [(32.0, 9.2)]
    bars = ax.collections[0].get_segments()
    assert bars[0][:, 1].tolist() == pytest.approx([4.1, 6.0])
    shown = figures(replace(frames, llc=rows))
    said = " ".join(page(replace(frames, llc=rows), RECORD, []).split())
    assert "Unreliable: 1 of 6 (chains disagree: 1)." in said and "<dt>Local learning coefficient</dt>" in said
    held = " ".join(page(replace(frames, llc=rows.assign(advice=["weaker", *[""] * 5])), RECORD, []).split())
    assert "more than by the loss: 1 of 6 (column advice)." in held and "column advice" not in said
    assert "local_learning_coefficient_over_training" in shown
    assert "step size 0.0001 to 0.0033, by curvature" in llc.about(rows)
    part = rows.assign(moved="*.h.0.*", mode="training")
    assert llc.about(part).startswith("only *.h.0.* moved; dropout on; sgld")
    shown = figures(replace(frames, llc=pd.concat([rows, part])))
    both = shown["local_learning_coefficient_over_training"]
    assert [ax.get_title()[:16] for ax in both.axes] == ["moved: all; loca", "moved: *.h.0.*; "]


def test_a_calibration_is_a_map_with_its_warnings_and_its_proposal() -> None:
    rows = pd.DataFrame([
        {"localisation": pull, "step_size": step, "llc": 1000 * step / pull, "error": 0.2, "reliable": step < 4e-3,
         "sampler": "sgld", "chains": 2, "draws": 9, "burn_in": 5, "n_beta": 26.4}
        for pull in (10.0, 100.0) for step in (1e-3, 2e-3, 4e-3)
    ])  # fmt: skip
    ax = calibration_map(rows, (2e-3, 100.0))
    corners = [patch for patch in ax.patches if isinstance(patch, Polygon)]
    assert [tuple(corner.get_xy()[0]) for corner in corners] == [(3.0, 1.0), (3.0, 2.0)]
    (frame,) = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert frame.get_xy() == (1, 0) and [t.get_text() for t in ax.get_yticklabels()] == ["100", "10"]
    np.testing.assert_allclose(
        np.asarray(ax.collections[0].get_array()).reshape(2, 3), [[0.01, 0.02, 0.04], [0.1, 0.2, 0.4]]
    )
    assert "framed: proposed" in calibration.about(rows, (2e-3, 100.0))
    assert "no setting is on a plateau" in calibration.about(rows, None)


def test_chains_are_drawn_above_the_checkpoint_with_their_burn_in(frames: Frames) -> None:
    plain = {k: v for k, v in SETTINGS.items() if k not in ("points", "path")}
    rows = pd.DataFrame([
        {"checkpoint": "r", "chain": c, "draw": d, "loss": 3 + c + d / 100, "baseline": 2.5, "burn_in": 8,
         "seed": 1, "step": 64, **plain}
        for c in range(2) for d in range(30)
    ])  # fmt: skip
    ax = traces(rows)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 0.5 + np.arange(30) / 100)
    np.testing.assert_allclose(ax.lines[2].get_ydata(), 1.5 + np.arange(30) / 100)
    (shade,) = ax.patches
    assert (shade.get_x(), shade.get_x() + shade.get_width()) == (0, 8) and ax.get_title() == "seed 1, step 64"
    assert list(figures(Frames(traces=rows))) == ["chains"]


def test_a_plane_is_drawn_in_true_scale(frames: Frames) -> None:
    made = bent_frames(frames)
    path = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [0.0, 1.5, 0.0]})
    ax = loss_plane(made.plane, made.place, path)
    assert ax.get_aspect() == 1 and ax.get_xlabel() == "distance (first component: 71% of the variance)"
    np.testing.assert_allclose(ax.dataLim.extents, [0, 0, 4, 2])
    filled = ax.collections[0]
    assert (filled.norm.vmin, filled.norm.vmax) == (2, 2 + 4**2 + 2 * 2**2)
    dots = next(c for c in ax.collections if isinstance(c, PathCollection))
    np.testing.assert_array_equal(dots.get_offsets(), made.place[["x", "y"]])
    np.testing.assert_array_equal(dots.get_array(), made.place["loss"])
    drawn = {tuple(line.get_xdata()) for line in ax.lines}
    assert drawn == {(0.0, 1.0, 2.0)} and [line.get_color() for line in ax.lines].count("crimson") == 1
    assert [t.get_text() for t in ax.texts] == ["seed 0 step 0", "seed 0 step 8", "seed 0 step 16"]
    words = about(made.plane, made.place)
    assert "15 points 1 apart" in words and "lie up to 0.4 off the plane" in words


def test_mixtures_are_those_of_the_last_step_with_their_intervals(frames: Frames) -> None:
    late = bent_frames(frames).mixture
    early = late.assign(step=4, checkpoints='["c", "d"]', loss=late["loss"] + 5)
    section = simplex.section(Frames(mixture=pd.concat([late, early])))
    assert section is not None and "step 32" in section.note
    (ax,) = section.figure.axes
    assert [t.get_text() for t in ax.get_xticklabels()] == [
        "checkpoints", "middles of edges", "random mixtures", "centre (soup)",
    ]  # fmt: skip
    drawn = [c.lines[0].get_ydata().tolist() for c in ax.containers]
    assert drawn == [[2.0, 2.1], [2.7], [2.4], [2.8]]
    bars = [segment for c in ax.containers for segment in c.lines[2][0].get_segments()]
    np.testing.assert_allclose([(bar[1] - bar[0])[1] / 2 for bar in bars], 1.96 * 0.02)


def test_a_matrix_a_step_of_seeds_alone(frames: Frames) -> None:
    section = matrix.section(frames)
    assert section is not None
    assert [ax.get_title() for ax in section.figure.axes if ax.get_title()] == ["step 0", "step 4", "step 32"]
    assert len(section.figure.axes) == 3 + 1  # with one scale for all


def test_runs_that_another_label_tells_apart_have_a_matrix_a_step() -> None:
    made = pd.DataFrame([*rows(4, 0.5), *rows(32)]).assign(between="optimizer")
    unequal = made.iloc[:1].assign(between="size", step_b=8)
    figure = matrix.barrier_matrices(pd.concat([made, unequal]))
    assert [ax.get_title() for ax in figure.axes] == ["step 4", "step 32", "", ""]  # pairs of two steps, and the scale
    np.testing.assert_allclose(drawn_cells(figure.axes[0])[0, 0], made["barrier"].iloc[0])


def test_branches_are_compared_at_their_last_step(frames: Frames) -> None:
    section = branching.section(frames)
    assert section is not None and "until step 8" in section.text and "compared at step 8" in section.note
    (ax,) = section.figure.axes
    np.testing.assert_allclose(ax.containers[0].lines[0].get_xydata(), [[2, 0.7 / 3], [8, 0.1]])


def test_distances_of_behaviour_are_those_of_the_last_step(frames: Frames) -> None:
    rows_ = pd.concat([
        pd.DataFrame(rows(step, scale)).rename(columns={"barrier": "value"}).assign(
            probe="predictions", metric="disagreement", subset="", items=70)
        for step, scale in ((4, 0.3), (32, 0.8))
    ])  # fmt: skip
    section = behaviour.section(Frames(behaviour=rows_, barriers=frames.barriers))
    assert section is not None and section.note.startswith("predictions: 70 items")
    barrier, distance = (ax for ax in section.figure.axes if ax.get_title())
    assert {barrier.get_title(), distance.get_title()} == {"step 32"}
    np.testing.assert_allclose(drawn_cells(distance), [[0.16, np.nan], [0.4, 0.24]])


@pytest.mark.parametrize("most", [2, 3, 6])
def test_of_many_steps_the_first_and_the_last_are_shown(most: int) -> None:
    for count in range(1, 40):
        shown = some(list(range(count)), most)
        assert len(shown) == min(most, count) and (shown[0], shown[-1]) == (0, count - 1)
        assert np.ptp(np.diff(shown) if len(shown) > 1 else [0]) <= 1


def test_a_probe_has_the_bars_of_its_items_and_its_chance() -> None:
    table = pd.DataFrame([
        {"probe": "x", "metric": "m", "subset": "", "seed": s, "step": t, "value": 0.4 + s / 10 + t / 100,
         "error": 0.03, "chance": 0.5}
        for s in (0, 3) for t in (16, 0)
    ])  # fmt: skip
    ax = probe_over_training(table)
    assert [c.lines[0].get_ydata().tolist() for c in ax.containers] == [
        pytest.approx([0.4, 0.56]), pytest.approx([0.7, 0.86]),
    ]  # fmt: skip
    bars = ax.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose([(bar[1] - bar[0])[1] / 2 for bar in bars], 1.96 * 0.03)
    assert list(ax.lines[-1].get_ydata()) == [0.5, 0.5]


@pytest.mark.parametrize("steps", [np.arange(0, 20_001, 200), np.array([0, 1, 2, 4, 8, 1000, 1001]), np.array([7])])
def test_labels_of_steps_have_room(steps: np.ndarray) -> None:
    """Evenly spaced ones have a linear axis; the first and the last are always there."""
    figure, ax = plt.subplots()
    ax.plot(steps, steps)
    step_axis(ax, pd.Series(steps), "training step")
    figure.canvas.draw()
    shown = ax.get_xticks()
    assert [label.get_text() for label in ax.get_xticklabels()] == [f"{step:,}" for step in shown]
    linear = len(steps) > 7
    assert ax.get_xscale() == ("linear" if linear else "symlog")
    assert ax.get_xlabel() == "training step" + (not linear) * " (logarithmic, with 0)"
    places = ax.xaxis.get_transform().transform(shown.astype(float))
    assert shown[0] == steps[0] and shown[-1] == steps[-1] and set(shown) <= set(steps)
    assert len(shown) == 1 or np.diff(places).min() >= 0.99 * np.ptp(places) / MOST_STEPS


@pytest.mark.parametrize(("steps", "places"), [([0, 200, 400], [0, 1, 2]), ([0, 1, 3, 7], [0, 1, 2, 3])])
def test_charts_of_one_series_have_the_axis_of_the_figure(steps: list[int], places: list[float]) -> None:
    known = np.array(steps, dtype=float)
    assert details._places(known, known) == pytest.approx(places)


def test_captions_say_how_much_was_evaluated() -> None:
    made = pd.DataFrame({**SETTINGS, "unit": "nats", "points": [17, 9], "examples": 512, "t_error": 0.001,
                         "evaluations": [15 * 128, 7 * 512]})  # fmt: skip
    share = (15 * 128 + 7 * 512) / (15 * 512 + 7 * 512)
    assert f"512 examples of 64 tokens, on average {share:.0%} of them evaluated at a point between" in caption(made)
    assert "of them evaluated" not in caption(made.assign(evaluations=[15 * 512, 7 * 512]))


def test_classifiers_have_their_accuracy_beside_the_probes(frames: Frames) -> None:
    """It is a metric of the table of losses, and the calibration of the same predictions says nothing of it."""
    probe = pd.DataFrame([
        {"probe": "calibration", "metric": "ece", "subset": "", "seed": s, "step": t, "branch_step": None, "value": 0.1,
         "error": 0.01, "chance": 0.0, "headline": True, "better": "lower", "about": "70 predictions"}
        for s in range(3) for t in (0, 32)
    ])  # fmt: skip
    losses = frames.losses.assign(accuracy=0.5 + frames.losses["seed"] / 10 + frames.losses["step"] / 100)
    section = together.section(Frames(probe=probe, losses=losses))
    assert section is not None
    labels = [ax.get_ylabel() for ax in section.figure.axes]
    assert labels == ["loss (nats per token)", "accuracy ↑", "calibration error ↓"]
    drawn = [c.lines[0].get_ydata().tolist() for c in section.figure.axes[1].containers]
    assert drawn == [pytest.approx([0.5 + s / 10, 0.54 + s / 10, 0.82 + s / 10]) for s in range(3)]
    plain = together.section(Frames(probe=probe, losses=frames.losses))
    assert plain is not None and len(plain.figure.axes) == 2
