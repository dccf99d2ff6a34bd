import cases
import pytest
import torch
from torch.testing import assert_close

from landscape.paths import KINDS

kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
def test_meets_its_ends(kind: str) -> None:
    assert KINDS[kind](torch.tensor([0.0, 1.0], dtype=torch.float64), 2).tolist() == [[1, 0], [0, 1]]


@kinds
def test_moves_with_its_points(kind: str) -> None:
    """Shifting every anchor shifts the path: true iff each row sums to one."""
    assert_close(KINDS[kind](cases.TIMES, 2).sum(dim=1), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-15)


@kinds
def test_turns_around(kind: str) -> None:
    assert_close(KINDS[kind](1 - cases.TIMES, 2).flip(1), KINDS[kind](cases.TIMES, 2), rtol=0, atol=1e-15)


@kinds
def test_two_points_are_a_segment(kind: str) -> None:
    a, b = torch.randn(2, 5, generator=cases.generator(2), dtype=torch.float64)
    for row, t in zip(KINDS[kind](cases.TIMES, 2), cases.TIMES, strict=True):
        assert_close(row @ torch.stack([a, b]), torch.lerp(a, b, t), rtol=0, atol=1e-14)


def test_a_line_has_two_anchors() -> None:
    with pytest.raises(ValueError, match="has 2 anchors, got 3"):
        KINDS["linear"](cases.TIMES, 3)
