from itertools import pairwise

import cases
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from landscape.paths import KINDS

kinds = pytest.mark.parametrize("kind", KINDS)
bent = pytest.mark.parametrize(
    ("kind", "anchors"), [(k, n) for k in KINDS for n in (2, 3, 4, 5) if k != "linear" or n == 2]
)


def points(anchors: int) -> Tensor:
    return torch.randn(anchors, 5, generator=cases.generator(anchors), dtype=torch.float64)


@bent
def test_meets_its_ends(kind: str, anchors: int) -> None:
    first, last = KINDS[kind](torch.tensor([0.0, 1.0], dtype=torch.float64), anchors).tolist()
    assert first == [1, *[0] * (anchors - 1)] and last == [*[0] * (anchors - 1), 1]


@bent
def test_moves_with_its_points(kind: str, anchors: int) -> None:
    """Shifting every anchor shifts the path: true iff each row sums to one."""
    sums = KINDS[kind](cases.TIMES, anchors).sum(dim=1)
    assert_close(sums, torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-14)


@bent
def test_turns_around(kind: str, anchors: int) -> None:
    there, back = KINDS[kind](cases.TIMES, anchors), KINDS[kind](1 - cases.TIMES, anchors)
    assert_close(back.flip(1), there, rtol=0, atol=1e-14)


@kinds
def test_two_points_are_a_segment(kind: str) -> None:
    a, b = points(2)
    for row, t in zip(KINDS[kind](cases.TIMES, 2), cases.TIMES, strict=True):
        assert_close(row @ torch.stack([a, b]), torch.lerp(a, b, t), rtol=0, atol=1e-14)


@bent
def test_anchors_on_a_line_at_even_steps_are_that_line(kind: str, anchors: int) -> None:
    """So a curve that starts on the straight line starts as the straight line, t by t."""
    a, b = points(2)
    even = torch.stack([torch.lerp(a, b, k / (anchors - 1)) for k in range(anchors)])
    line = torch.stack([torch.lerp(a, b, t) for t in cases.TIMES])
    assert_close(KINDS[kind](cases.TIMES, anchors) @ even, line, rtol=0, atol=1e-14)


def casteljau(anchors: Tensor, t: float) -> Tensor:
    """De Casteljau's construction: the definition, with no binomials in it."""
    while len(anchors) > 1:
        anchors = torch.stack([(1 - t) * a + t * b for a, b in pairwise(anchors)])
    return anchors[0]


@pytest.mark.parametrize("anchors", [3, 4, 6])
def test_bezier_is_casteljau(anchors: int) -> None:
    rows = KINDS["bezier"](cases.TIMES, anchors) @ points(anchors)
    for row, t in zip(rows, cases.TIMES.tolist(), strict=True):
        assert_close(row, casteljau(points(anchors), t), rtol=0, atol=1e-14)


def test_a_chain_walks_from_corner_to_corner() -> None:
    corners = points(4)
    for t in (0.1, 0.4, 0.87):
        piece, share = divmod(3 * t, 1)
        expected = torch.lerp(corners[int(piece)], corners[int(piece) + 1], share)
        (row,) = KINDS["polychain"](torch.tensor([t], dtype=torch.float64), 4)
        assert_close(row @ corners, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("kind", "anchors", "said"),
    [("linear", 3, "has 2 anchors, got 3"), ("bezier", 1, "at least 2 anchors, got 1"), ("polychain", 1, "at least 2")],
)
def test_a_wrong_number_of_anchors_is_refused(kind: str, anchors: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        KINDS[kind](cases.TIMES, anchors)
