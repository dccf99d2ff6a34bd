from dataclasses import replace
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.patches import Polygon, Rectangle

from landscape.figures import calibration, llc
from landscape.figures.calibration import calibration_map
from landscape.figures.frames import Frames
from landscape.figures.interpolation import interpolation
from landscape.figures.llc import llc_over_training
from landscape.figures.loss import loss_over_training
from landscape.figures.matrix import barrier_matrix
from landscape.figures.page import figures, page
from landscape.figures.plane import about, loss_plane
from landscape.figures.style import caption
from landscape.figures.traces import traces
from landscape.figures.training import barrier_over_training
from landscape.summary import barrier_over_parting, by_path, mean_profiles
from landscape.summary import barrier_over_training as mean_by_step

SETTINGS = {
    "objective": "causal-lm", "unit": "nats per token", "examples": 128, "length": 64, "numerics": "float32",
    "numerics_error": None, "points": 11, "path": "linear",
}  # fmt: skip
PAIRS = {(0, 1): 0.2, (0, 2): 0.5, (1, 2): 0.3}


def rows(step: int, scale: float = 1.0, between: str = "seeds") -> list[dict[str, object]]:
    label = "seed" if between == "seeds" else "child"
    other = "child" if between == "seeds" else "seed"
    return [
        {
            "a": f"run/{a}/{step}", "b": f"run/{b}/{step}",
            "definition": "chord", "barrier": scale * v, "low": scale * v - 0.04, "high": scale * v + 0.06,
            f"{label}_a": a, f"{label}_b": b, f"{other}_a": None if other == "child" else 0,
            f"{other}_b": None if other == "child" else 0, "step_a": step, "step_b": step, "between": between,
            "parted": None if between == "seeds" else step, **SETTINGS,
        }
        for (a, b), v in PAIRS.items()
    ]  # fmt: skip


@pytest.fixture
def frames() -> Frames:
    barriers = pd.DataFrame([
        *rows(0, 0.1),
        *rows(4, 0.5),
        *rows(32),
        *rows(2, 0.7, "children"),
        *rows(8, 0.3, "children"),
    ])
    profiles = pd.DataFrame([
        {**{k: v for k, v in row.items() if k not in ("barrier", "low", "high", "definition")},
         "t": t, "loss": 2 + 4 * t * (1 - t), "error": 0.03, "rise": 4 * t * (1 - t), "rise_error": 0.01}
        for row in barriers.to_dict("records") for t in (0.0, 0.25, 0.5, 1.0)
    ])  # fmt: skip
    losses = pd.DataFrame([
        {"seed": s, "step": t, "parted": None, "loss": 3 - s / 10 - t / 100, "error": 0.02,
         **{k: v for k, v in SETTINGS.items() if k not in ("points", "path")}}
        for s in range(3) for t in (0, 4, 32)
    ])  # fmt: skip
    return Frames(
        barriers, profiles, losses, mean_by_step(barriers), barrier_over_parting(barriers), mean_profiles(profiles)
    )


def test_matrix_shows_each_pair_twice() -> None:
    ax = barrier_matrix(pd.DataFrame(rows(32)), vmax=0.9)
    drawn = np.asarray(ax.collections[0].get_array()).reshape(3, 3)
    np.testing.assert_array_equal(drawn, [[0, 0.2, 0.5], [0.2, 0, 0.3], [0.5, 0.3, 0]])
    assert ax.collections[0].get_clim() == (0, 0.9)
    assert [t.get_text() for t in ax.texts][:3] == ["", "0.200\n±0.050", "0.500\n±0.050"]
    assert ax.figure.axes[1].get_ylabel() == "barrier (nats per token)"
    assert ax.get_title() == "step 32"


def test_matrix_leaves_a_missing_pair_blank() -> None:
    ax = barrier_matrix(pd.DataFrame(rows(32)).iloc[:2])
    drawn = np.ma.filled(ax.collections[0].get_array().astype(float), np.nan).reshape(3, 3)
    np.testing.assert_array_equal(drawn, [[0, 0.2, 0.5], [0.2, 0, np.nan], [0.5, np.nan, 0]])


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
    assert [t.get_text() for t in ax.get_xticklabels()] == names and ax.get_xlabel() == "checkpoint"
    drawn = np.ma.filled(ax.collections[0].get_array().astype(float), np.nan).reshape(6, 6)
    assert (drawn[0, 1], drawn[1, 0], drawn[0, 2], drawn[3, 5]) == (0.75, 0.75, 0.2, 0.15)
    assert np.isnan(drawn[0, 3])
    plain = pd.DataFrame(rows(4)).assign(seed_a=None, seed_b=None, step_a=None, step_b=None)
    plain["a"], plain["b"] = ["x/one", "x/one", "y/one"], ["y/one", "x/two", "x/two"]
    ax = barrier_matrix(plain, ax=plt.figure().gca())
    assert [t.get_text() for t in ax.get_xticklabels()] == ["one", "two", "y/one"]


def test_training_shows_mean_interval_and_every_pair(frames: Frames) -> None:
    pairs = frames.barriers[frames.barriers["between"] == "seeds"]
    ax = barrier_over_training(frames.training, pairs)
    line = ax.containers[0].lines[0]
    np.testing.assert_allclose(line.get_xdata(), [0, 4, 32])
    np.testing.assert_allclose(line.get_ydata(), np.array([0.1, 0.5, 1]) * np.mean([0.2, 0.5, 0.3]))
    bars = ax.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose([[b[0][1], b[1][1]] for b in bars], frames.training[["low", "high"]])
    dots = [c for c in ax.collections if isinstance(c, PathCollection)][0].get_offsets()
    np.testing.assert_allclose(np.sort(dots[:, 1]), np.sort(pairs["barrier"].astype(float)))
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "4", "32"]


def test_curves_have_a_band(frames: Frames) -> None:
    ax = interpolation(frames.curves, value="rise", unit="nats per token")
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0, 0], [0.25, 0.75], [0.5, 1], [1, 0]])
    band = ax.collections[0].get_paths()[0].vertices
    top = frames.curves[frames.curves["step"] == 0]["rise_high"].max()
    assert band[:, 1].max() == pytest.approx(top) and top == pytest.approx(1 + 4.3027 * 0.01, abs=1e-4)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["step 0", "step 4", "step 32"]


def test_loss_has_a_line_for_each_seed(frames: Frames) -> None:
    ax = loss_over_training(frames.losses)
    np.testing.assert_allclose(ax.containers[1].lines[0].get_ydata(), [2.9, 2.86, 2.58])


def test_every_figure_says_how_it_was_made(frames: Frames) -> None:
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
    table = pd.DataFrame(rows(1)).assign(numerics="bfloat16", numerics_error=[0.001, 0.003, 0.002])
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
    "name": "<script>alert(1)</script>", "checkpoints": [1, 2], "parameters": 1234, "tasks": [1, 2, 3],
    "versions": {"torch": "2", "transformers": "5", "landscape-toolkit": "0"}, "study": {"name": "<b>"},
}  # fmt: skip


def test_page_is_self_contained_and_escaped(frames: Frames) -> None:
    html = page(frames, RECORD, {"task <img>": "failed & gone"})
    links = Links()
    links.feed(html)
    assert len(links.found) == 5 and all(link.startswith("data:image/svg+xml;base64,") for link in links.found)
    assert not {"script", "link"} & set(links.tags)
    assert "&lt;script&gt;" in html and "task &lt;img&gt;: failed &amp; gone" in html
    assert "At the end (step 32) the mean barrier between seeds is 0.333" in html
    assert "Children that parted latest, after step 8, end with a barrier of 0.100" in html


def test_page_of_unlabelled_pairs_has_what_it_can(frames: Frames) -> None:
    barriers = frames.barriers[frames.barriers["between"] == "seeds"].assign(between="all")
    empty = pd.DataFrame()
    html = page(Frames(barriers, frames.profiles, frames.losses, empty, empty, empty), RECORD, {})
    assert "Barrier matrices" in html and "Onset" not in html
    no_step = frames.training.iloc[:1].assign(step=np.nan)
    html = page(Frames(barriers, frames.profiles, frames.losses, no_step, empty, empty), RECORD, {})
    assert "<th>pairs</th>" in html and "<th>step</th>" not in html and "nan" not in html.split("The numbers")[1]


def bent_frames(frames: Frames) -> Frames:
    """Two kinds of path and a control for the last step's pairs, a plane, and a simplex."""
    lines = pd.DataFrame(rows(32)).assign(climb=0.6, climb_error=0.02, mean_climb=0.3, mean_climb_error=0.01)
    kinds = {"linear": (1.0, 0.6), "bezier": (0.1, 0.05), "control": (0.0, 2.5)}
    bent = pd.concat([
        lines.assign(
            path=path,
            climb=climb,
            mean_climb=climb / 2,
            **{name: lines[name] * scale for name in ("barrier", "low", "high")},
        )
        for path, (scale, climb) in kinds.items()
    ])
    profiles = pd.DataFrame([
        {"path": path, "t": t, "loss": 2 + scale * t * (1 - t), "loss_low": 1.9, "loss_high": 2.4}
        for path, (scale, _) in kinds.items() for t in (0.0, 0.5, 1.0)
    ])  # fmt: skip
    plain = {k: v for k, v in SETTINGS.items() if k not in ("points", "path")}
    shared = {"plane": "p", "kind": "trajectory", "explained_x": 0.71, "explained_y": 0.2, **plain}
    plane = pd.DataFrame([
        {**shared, "x": float(x), "y": float(y), "loss": 2 + x * x + 2.0 * y * y, "error": 0.03, "above_error": 0.01}
        for x in range(5) for y in range(3)
    ])  # fmt: skip
    place = pd.DataFrame([
        {**shared, "checkpoint": f"r/{s}", "seed": 0, "step": s, "x": s / 8, "y": 1.0, "off_plane": 0.4, "loss": 2.5}
        for s in (0, 8, 16)
    ])  # fmt: skip
    mixture = pd.DataFrame([
        {"checkpoints": '["a", "b"]', "step": 32, "kind": kind, "loss": loss, "error": 0.02, **plain}
        for kind, loss in (("vertex", 2.0), ("vertex", 2.1), ("edge", 2.7), ("centre", 2.8), ("random", 2.4))
    ])  # fmt: skip
    return replace(
        frames, bent=bent, by_path=by_path(bent), bent_profiles=profiles, plane=plane, place=place, mixture=mixture
    )


def test_page_shows_curves_planes_and_mixtures(frames: Frames) -> None:
    shown = figures(bent_frames(frames))
    assert {"learned_curves", "planes", "mixtures"} <= set(shown)
    left, right = shown["learned_curves"].axes
    assert [line.get_label() for line in left.lines] == ["straight line", "Bezier curve"]
    assert [t.get_text() for t in right.get_xticklabels()] == ["straight line", "Bezier curve", "control"]
    diamonds = [line.get_ydata()[0] for line in right.lines if line.get_marker() == "D"]
    assert diamonds == pytest.approx([0.3, 0.025, 1.25])
    text = page(bent_frames(frames), RECORD, {})
    assert "on the straight line and 0.033 [" in " ".join(
        text.split()
    ) and "(+1.250 on the way to a random point)" in " ".join(text.split())
    alone = page(replace(Frames(), plane=bent_frames(frames).plane, place=bent_frames(frames).place), RECORD, {})
    assert "<h2>Planes</h2>" in alone and "The numbers" not in alone


@pytest.mark.slow
def test_llc_is_drawn_with_its_error_and_its_doubts(frames: Frames) -> None:
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
        {"seed": s, "step": t, "parted": None, "llc": 5.0 + s + t / 10, "low": 4.1 + s + t / 10,
         "high": 6.0 + s + t / 10, "sound": (s, t) != (1, 32),
         "alarms": "chains disagree (R-hat 1.20): draw more" if (s, t) == (1, 32) else "",
         "step_size": 1e-4 * (1 + t), **shared, **plain}
        for s in range(2) for t in (0, 4, 32)
    ])  # fmt: skip
    ax = llc_over_training(rows)
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "white" and len(line.get_xdata())]
    assert [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in hollow] == [(32.0, 9.2)]
    bars = ax.collections[0].get_segments()
    assert bars[0][:, 1].tolist() == pytest.approx([4.1, 6.0])
    shown = figures(replace(frames, llc=rows))
    said = " ".join(page(replace(frames, llc=rows), RECORD, {}).split())
    assert "Doubtful: 1 of 6 (chains disagree: 1)." in said and "<dt>Local learning coefficient</dt>" in said
    assert "local_learning_coefficient_over_training" in shown
    assert "step size 0.0001 to 0.0033, by curvature" in llc.about(rows)
    part = rows.assign(moved="*.h.0.*", mode="training")
    assert llc.about(part).startswith("only *.h.0.* moved; dropout on; sgld")
    shown = figures(replace(frames, llc=pd.concat([rows, part])))
    both = shown["local_learning_coefficient_over_training"]
    assert [ax.get_title()[:16] for ax in both.axes] == ["moved: all; loca", "moved: *.h.0.*; "]


def test_a_calibration_is_a_map_with_its_doubts_and_its_proposal() -> None:
    rows = pd.DataFrame([
        {"localisation": pull, "step_size": step, "llc": 1000 * step / pull, "error": 0.2, "sound": step < 4e-3,
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
    assert "chains" in figures(replace(frames, traces=rows))


def test_a_plane_is_drawn_in_true_scale(frames: Frames) -> None:
    made = bent_frames(frames)
    path = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [0.0, 1.5, 0.0]})
    ax = loss_plane(made.plane, made.place, path)
    assert ax.get_aspect() == 1 and ax.get_xlabel() == "distance (first component: 71% of the variance)"
    dots = next(c for c in ax.collections if isinstance(c, PathCollection))
    np.testing.assert_array_equal(dots.get_offsets(), made.place[["x", "y"]])
    np.testing.assert_array_equal(dots.get_array(), made.place["loss"])
    drawn = {tuple(line.get_xdata()) for line in ax.lines}
    assert drawn == {(0.0, 1.0, 2.0)} and [line.get_color() for line in ax.lines].count("crimson") == 1
    assert [t.get_text() for t in ax.texts] == ["step 0", "step 8", "step 16"] or len(ax.texts) == 3
    words = about(made.plane, made.place)
    assert "15 places 1 apart" in words and "lie up to 0.4 off the plane" in words
