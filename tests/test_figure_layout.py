"""Nothing in a figure is cut off, and no two texts overlap."""

import io
from itertools import combinations

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from drawn import rows

from landscape.figures import matrix
from landscape.figures.paper import COLUMN
from landscape.figures.style import note, style
from landscape.figures.symmetry import barriers_by_symmetry

WAYS = ["none", "random (all)", "weights (all)", "weights (permutations)", "activations (all)", "learned (all)",
        "learned (permutations)"]  # fmt: skip


def test_the_title_of_a_matrix_is_within_its_figure() -> None:
    one = pd.DataFrame(rows(32)[:1])
    five = pd.concat([
        one.assign(a=f"run/{a}/32", b=f"run/{b}/32", seed_a=a, seed_b=b) for a, b in combinations(range(5), 2)
    ])  # fmt: skip
    with style():
        figure = matrix.barrier_matrices(five)
        figure.savefig(io.BytesIO(), format="svg")
    title = figure.axes[0].title
    assert title.get_text() == "step 32" and title.get_window_extent().y1 <= figure.bbox.height


def test_captions_are_as_wide_as_their_figure() -> None:
    figure, ax = plt.subplots(figsize=(6, 4))
    note(ax, f"step 5; {'one part with many words ' * 6}; float32")
    figure.draw_without_rendering()
    words = figure._supxlabel
    assert words.get_text().startswith("step 5\none part") and words.get_text().endswith("\nfloat32")
    assert words.get_window_extent().width < figure.bbox.width


@pytest.mark.parametrize("width", [6.0, COLUMN])
def test_seven_ways_to_align_have_room(width: float) -> None:
    pairs = pd.concat([pd.DataFrame(rows(32)).assign(how=way) for way in WAYS])
    means = pairs.groupby("how", as_index=False)[["barrier", "low", "high"]].mean()
    with style(paper=width == COLUMN):
        figure = plt.figure(figsize=(width, width * 5.2 / 6))
        ax = barriers_by_symmetry(means, pairs, ax=figure.subplots())
        figure.draw_without_rendering()
    for texts in (ax.get_yticklabels(), ax.texts):
        boxes = sorted((text.get_window_extent() for text in texts), key=lambda box: box.y0)
        assert len(boxes) >= len(WAYS)
        assert all(low.y1 <= high.y0 for low, high in zip(boxes, boxes[1:], strict=False))
        assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
