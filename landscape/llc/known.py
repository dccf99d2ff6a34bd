"""Learning coefficients that are known exactly, to test estimates against."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def reduced_rank(inputs: int, hidden: int, outputs: int, rank: int) -> tuple[Fraction, int]:
    """Coefficient and multiplicity of a linear network of one hidden layer (Aoyagi and Watanabe 2005).

    It is the smallest over all weights that realise the true map, as in :func:`deep_linear`.

    Args:
        inputs: Width of the input.
        hidden: Width of the hidden layer.
        outputs: Width of the output.
        rank: Rank of the true map.
    """
    m, h, n, r = inputs, hidden, outputs, rank
    if m + h < n + r:
        return Fraction(h * m - h * r + n * r, 2), 1
    if n + h < m + r:
        return Fraction(h * n - h * r + m * r, 2), 1
    if m + n < h + r:
        return Fraction(m * n, 2), 1
    odd = (m + h + n + r) % 2
    s = h + r
    return Fraction(-s * s - m * m - n * n + 2 * s * m + 2 * s * n + 2 * m * n + odd, 8), 1 + odd


def deep_linear(widths: Sequence[int], rank: int) -> tuple[Fraction, int]:
    """Coefficient and multiplicity of a deep linear network with population loss (Aoyagi 2024, arXiv:2401.06105).

    It is the smallest over all weights that realise the true map, and belongs to the weights whose layers are all
    ``diag(1, ..., 1, 0, ...)`` with ``rank`` ones. Around other weights the local coefficient may be larger. If the
    rank is that of the narrowest layer, it is the same everywhere.

    Args:
        widths: From input to output, at least two.
        rank: Rank of the true map, at most the smallest width.

    Raises:
        ValueError: If the rank is larger than a width.
    """
    if rank > min(widths):
        raise ValueError(f"a map through widths {list(widths)} has at most rank {min(widths)}, not {rank}")
    spare = sorted(width - rank for width in widths)
    ends = Fraction(rank * (widths[0] + widths[-1]) - rank * rank, 2)
    for size in range(2, len(spare) + 1):
        part, rest = spare[:size], spare[size:]
        layers, total = size - 1, sum(part)
        least = min(rest, default=None)
        if total >= layers * max(part) and (least is None or (max(part) < least and total < layers * least)):
            over = total - (-(-total // layers) - 1) * layers
            squares = (total * total - sum(one * one for one in part)) // 2
            spread = Fraction(over * (layers - over), 4 * layers)
            curved = Fraction((layers - 1) * total * total, 4 * layers)
            return ends + spread - curved + Fraction(squares, 2), over * (layers - over) + 1
    raise ValueError(f"no part of the widths {list(widths)} fits rank {rank}")
