from itertools import pairwise

import cases
import pytest
import torch
from scipy.spatial import geometric_slerp
from torch import Tensor
from torch.testing import assert_close

from landscape.errors import InputError
from landscape.paths import ARCS, KINDS, pieces

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


def test_a_chain_has_a_piece_between_any_two_corners() -> None:
    assert [pieces(kind, 4) for kind in ("polychain", "bezier")] == [3, 1] and pieces("linear", 2) == 1


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


SIZES = [7, 1, 12, 5]


def two_ends(seed: int = 3) -> tuple[Tensor, Tensor]:
    a, b = torch.randn(2, sum(SIZES), generator=cases.generator(seed), dtype=torch.float64)
    return a, b


def arc(kind: str, t: Tensor, a: Tensor, b: Tensor) -> list[list[Tensor]]:
    """Each tensor at each t."""
    rows = ARCS[kind](t, a, b, SIZES)
    if rows.ndim == 2:
        rows = rows[:, None].expand(-1, len(SIZES), -1)
    ends = list(zip(a.split(SIZES), b.split(SIZES), strict=True))
    return [[w[0] * x + w[1] * y for w, (x, y) in zip(row, ends, strict=True)] for row in rows]


def test_tensors_go_along_the_arc_that_scipy_draws() -> None:
    a, b = two_ends()
    units = [torch.cat([x / x.norm() for x in end.split(SIZES)]) for end in (a, b)]
    for parts, t in zip(arc("spherical", cases.TIMES, *units), cases.TIMES, strict=True):
        for k in (0, 2, 3):
            x, y = (unit.split(SIZES)[k].numpy() for unit in units)
            assert_close(parts[k], torch.from_numpy(geometric_slerp(x, y, float(t))), rtol=0, atol=1e-12)
    whole = [end / end.norm() for end in (a, b)]
    for parts, t in zip(arc("geodesic", cases.TIMES, *whole), cases.TIMES, strict=True):
        truth = geometric_slerp(whole[0].numpy(), whole[1].numpy(), float(t))
        assert_close(torch.cat(parts), torch.from_numpy(truth), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ARCS)
def test_arcs_meet_their_ends_and_turn_around(kind: str) -> None:
    a, b = two_ends()
    a[7], b[7] = 0.3, -0.2  # a single number goes straight, through zero
    first, last = (torch.cat(parts) for parts in arc(kind, torch.tensor([0.0, 1.0], dtype=torch.float64), a, b))
    assert_close(first, a, rtol=0, atol=1e-14)
    assert_close(last, b, rtol=0, atol=1e-14)
    for there, back in zip(arc(kind, cases.TIMES, a, b), arc(kind, 1 - cases.TIMES, b, a), strict=True):
        assert_close(torch.cat(there), torch.cat(back), rtol=0, atol=1e-13)
    scaled = arc(kind, cases.TIMES, 3 * a, 3 * b)
    for there, back in zip(arc(kind, cases.TIMES, a, b), scaled, strict=True):
        assert_close(3 * torch.cat(there), torch.cat(back), rtol=0, atol=1e-12)


def test_single_numbers_go_straight() -> None:
    a, b = two_ends()
    for parts, t in zip(arc("spherical", cases.TIMES, a, b), cases.TIMES, strict=True):
        assert_close(parts[1], torch.lerp(a[7:8], b[7:8], t), rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", ARCS)
def test_an_arc_between_near_ends_is_the_line(kind: str) -> None:
    a, b = two_ends()
    for near in (a + 1e-9 * b, a.clone(), torch.where(torch.arange(len(a)) < 7, torch.zeros_like(a), a)):
        if kind == "geodesic" and not near[:7].any():
            continue
        for parts, t in zip(arc(kind, cases.TIMES, a, near), cases.TIMES, strict=True):
            assert_close(torch.cat(parts), torch.lerp(a, near, t), rtol=0, atol=1e-12)


def test_opposite_ends_have_no_shortest_arc() -> None:
    a, _ = two_ends()
    with pytest.raises(InputError, match=r"tensor 2 of the two ends points opposite ways \(3.142 radians\)"):
        ARCS["spherical"](cases.TIMES, a, torch.cat([a[:8], -2 * a[8:20], a[20:]]), SIZES)
    with pytest.raises(InputError, match="tensor 0 of the two ends points opposite ways"):
        ARCS["geodesic"](cases.TIMES, a, -a, SIZES)
