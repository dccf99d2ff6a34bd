"""Every kind of path of the catalogue keeps one contract; each is compared with a definition of its own."""

from itertools import pairwise
from pathlib import Path

import cases
import pytest
import torch
from scipy.spatial import geometric_slerp
from torch import Tensor
from torch.testing import assert_close

from landscape.catalogue import CURVES, PATHS
from landscape.errors import InputError
from landscape.paths import kind as load
from landscape.paths import kinds as folder
from landscape.points.combine import combine_rows

CASES = [(kind, 2) for kind in PATHS] + [(kind, count) for kind in CURVES for count in (2, 3, 4, 5)]
ARCS = ("spherical", "geodesic")
SIZES = [7, 1, 12, 5]
every = pytest.mark.parametrize(("kind", "count"), CASES)
curves = pytest.mark.parametrize(("kind", "count"), CASES[len(PATHS) :] + [("linear", 2)])


def points(anchors: int) -> Tensor:
    return torch.randn(anchors, sum(SIZES), generator=cases.generator(anchors), dtype=torch.float64)


def rows(kind: str, t: Tensor, anchors: Tensor) -> Tensor:
    return load(kind).coefficients(t, list(anchors), SIZES)


def along(kind: str, t: Tensor, anchors: Tensor) -> Tensor:
    """The points of a path at each t."""
    out = torch.empty(len(t), sum(SIZES), dtype=torch.float64)
    combine_rows(rows(kind, t, anchors), list(anchors), out, SIZES)
    return out


def test_the_catalogue_has_every_file() -> None:
    files = {file.stem for file in Path(folder.__file__).parent.glob("*.py")} - {"__init__"}
    assert {member.module.rpartition(".")[2] for member in (*PATHS.values(), *CURVES.values())} == files
    with pytest.raises(ValueError, match="no path is called 'polichain'; did you mean polychain"):
        load("polichain")


@every
def test_coefficients_have_one_row_for_each_t(kind: str, count: int) -> None:
    found = rows(kind, cases.TIMES, points(count))
    assert found.shape in {(3, count), (3, len(SIZES), count)} and found.dtype == torch.float64


@every
def test_meets_its_ends(kind: str, count: int) -> None:
    found = rows(kind, torch.tensor([0.0, 1.0], dtype=torch.float64), points(count)).reshape(2, -1, count)
    for row in found[0].tolist():
        assert row == pytest.approx([1, *[0] * (count - 1)], abs=1e-15)
    for row in found[1].tolist():
        assert row == pytest.approx([*[0] * (count - 1), 1], abs=1e-15)


@every
def test_turns_around(kind: str, count: int) -> None:
    anchors = points(count)
    assert_close(along(kind, 1 - cases.TIMES, anchors.flip(0)), along(kind, cases.TIMES, anchors), rtol=0, atol=1e-13)


@every
def test_scales_with_its_anchors(kind: str, count: int) -> None:
    anchors = points(count)
    assert_close(along(kind, cases.TIMES, 3 * anchors), 3 * along(kind, cases.TIMES, anchors), rtol=0, atol=1e-12)


@every
def test_near_anchors_give_the_straight_line(kind: str, count: int) -> None:
    """Anchors at even steps of a short line are that line, t by t: a curve that starts on the line starts as it."""
    a, b = points(2)
    b = a + 1e-9 * b
    even = torch.stack([torch.lerp(a, b, k / (count - 1)) for k in range(count)])
    line = torch.stack([torch.lerp(a, b, t) for t in cases.TIMES])
    assert_close(along(kind, cases.TIMES, even), line, rtol=0, atol=1e-12)


@every
def test_there_is_a_piece_between_corners_only(kind: str, count: int) -> None:
    """A path is smooth inside a piece: the second difference vanishes with its width squared, and not at a corner."""
    pieces = load(kind).pieces(count)
    assert 1 <= pieces <= count - 1
    t = torch.tensor([k / (count - 1) for k in range(1, count - 1)], dtype=torch.float64)
    for one in t:
        before, here, after = along(kind, one + torch.tensor([-1e-4, 0, 1e-4], dtype=torch.float64), points(count))
        assert (float((before - 2 * here + after).norm()) < 1e-6) == (pieces == 1)


@every
def test_a_wrong_number_of_anchors_is_refused(kind: str, count: int) -> None:
    with pytest.raises(ValueError, match="anchors, got 1"):
        rows(kind, cases.TIMES, points(1))
    if kind in PATHS.members:
        with pytest.raises(ValueError, match="has 2 anchors, got 3"):
            rows(kind, cases.TIMES, points(3))


@curves
def test_moves_with_its_points(kind: str, count: int) -> None:
    """Shifting every anchor shifts the path: true iff each row sums to one."""
    sums = rows(kind, cases.TIMES, points(count)).sum(dim=1)
    assert_close(sums, torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-14)


@curves
def test_two_points_are_a_segment(kind: str, count: int) -> None:
    a, b = points(2)
    for point, t in zip(along(kind, cases.TIMES, points(2)), cases.TIMES, strict=True):
        assert_close(point, torch.lerp(a, b, t), rtol=0, atol=1e-14)


@curves
def test_anchors_on_a_line_at_even_steps_are_that_line(kind: str, count: int) -> None:
    """So a curve that starts on the straight line starts as the straight line, t by t."""
    a, b = points(2)
    even = torch.stack([torch.lerp(a, b, k / (count - 1)) for k in range(count)])
    line = torch.stack([torch.lerp(a, b, t) for t in cases.TIMES])
    assert_close(along(kind, cases.TIMES, even), line, rtol=0, atol=1e-14)


def casteljau(anchors: Tensor, t: float) -> Tensor:
    """De Casteljau's construction: the definition, with no binomials in it."""
    while len(anchors) > 1:
        anchors = torch.stack([(1 - t) * a + t * b for a, b in pairwise(anchors)])
    return anchors[0]


@pytest.mark.parametrize("anchors", [3, 4, 6])
def test_bezier_is_casteljau(anchors: int) -> None:
    for row, t in zip(along("bezier", cases.TIMES, points(anchors)), cases.TIMES.tolist(), strict=True):
        assert_close(row, casteljau(points(anchors), t), rtol=0, atol=1e-14)


def test_a_chain_has_a_piece_between_any_two_corners() -> None:
    assert [load(kind).pieces(4) for kind in ("polychain", "bezier")] == [3, 1] and load("linear").pieces(2) == 1


def test_a_chain_walks_from_corner_to_corner() -> None:
    corners = points(4)
    for t in (0.1, 0.4, 0.87):
        piece, share = divmod(3 * t, 1)
        expected = torch.lerp(corners[int(piece)], corners[int(piece) + 1], share)
        (point,) = along("polychain", torch.tensor([t], dtype=torch.float64), corners)
        assert_close(point, expected, rtol=0, atol=1e-14)


def two_ends(seed: int = 3) -> tuple[Tensor, Tensor]:
    a, b = torch.randn(2, sum(SIZES), generator=cases.generator(seed), dtype=torch.float64)
    return a, b


def arc(kind: str, t: Tensor, a: Tensor, b: Tensor) -> list[list[Tensor]]:
    """Each tensor at each t."""
    weights = rows(kind, t, torch.stack([a, b]))
    if weights.ndim == 2:
        weights = weights[:, None].expand(-1, len(SIZES), -1)
    ends = list(zip(a.split(SIZES), b.split(SIZES), strict=True))
    return [[w[0] * x + w[1] * y for w, (x, y) in zip(row, ends, strict=True)] for row in weights]


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
        arc("spherical", cases.TIMES, a, torch.cat([a[:8], -2 * a[8:20], a[20:]]))
    with pytest.raises(InputError, match="tensor 0 of the two ends points opposite ways"):
        arc("geodesic", cases.TIMES, a, -a)
