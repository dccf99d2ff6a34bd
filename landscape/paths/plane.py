"""Planes in weight space, in true scale: 1 on either axis is a Euclidean distance of 1 between points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.shapes import Float

FLAT = 1e-6
"""Share of a distance below which checkpoints count as lying on one line."""


@dataclass(frozen=True)
class Plane:
    """A plane whose points are ``(base + xy @ axes) @ anchors``.

    Attributes:
        base: Coefficients of the origin.
        axes: Coefficients of the two axes, whose points are orthonormal.
        explained: For principal components, the share of the variance of the anchors along each axis, in [0, 1].
    """

    base: Float[Tensor, " anchors"]
    axes: Float[Tensor, "2 anchors"]
    explained: tuple[float, float] | None = None

    def coefficients(self, xy: Float[Tensor, "points 2"]) -> Float[Tensor, "points anchors"]:
        """Coefficients over the anchors at points of the plane."""
        return self.base + xy @ self.axes

    def project(
        self, points: Sequence[Float[Tensor, " P"]], anchors: Sequence[Float[Tensor, " P"]]
    ) -> tuple[Float[Tensor, "points 2"], Float[Tensor, " points"]]:
        """The nearest point of the plane to each point, in its axes, and the Euclidean distance to it.

        Args:
            points: Any points of the space.
            anchors: Anchors of the plane.
        """
        origin, *axes = (_combine(row, anchors) for row in (self.base, *self.axes))
        away = [point.double() - origin for point in points]
        xy = torch.stack([torch.stack([a @ axis for axis in axes]) for a in away])
        rest = [a - x * axes[0] - y * axes[1] for a, (x, y) in zip(away, xy, strict=True)]
        return xy, torch.stack([torch.linalg.vector_norm(r) for r in rest])


def through(anchors: Sequence[Float[Tensor, " P"]]) -> Plane:
    """The plane through three points: the first is the origin, the second lies on the x axis.

    Raises:
        InputError: If the three lie on one line.
    """
    if len(anchors) != 3:
        raise InputError(f"a plane goes through three checkpoints, got {len(anchors)}; give three")
    gram = _gram(anchors)[1:, 1:]
    reach = gram[0, 0].sqrt()
    along = gram[0, 1] / gram[0, 0] if reach > 0 else torch.zeros_like(reach)
    height = (gram[1, 1] - along * gram[0, 1]).clamp(min=0).sqrt()
    if reach == 0 or height <= FLAT * gram[1, 1].sqrt():
        raise InputError("the three checkpoints lie on one line, through which there is no one plane; give others")
    x = torch.tensor([-1.0, 1.0, 0.0], dtype=torch.float64)
    y = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64) - along * x
    return Plane(torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64), torch.stack([x / reach, y / height]))


def spanned(directions: Sequence[Float[Tensor, " P"]]) -> Plane:
    """The plane through a point along two orthogonal directions; its anchors are the point and the two directions."""
    axes = torch.zeros(2, 3, dtype=torch.float64)
    for k, direction in enumerate(directions):
        axes[k, k + 1] = 1 / torch.linalg.vector_norm(direction, dtype=torch.float64)
    return Plane(torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64), axes)


def trajectory(anchors: Sequence[Float[Tensor, " P"]]) -> Plane:
    """The plane of largest variance through the mean of checkpoints: their two principal components.

    They come from the eigenvectors of the Gram matrix, so only inner products of checkpoints are computed. Two
    components also explain most of a random walk and show it as a smooth curve (Antognini and Sohl-Dickstein 2018), so
    the shape of a trajectory in this plane alone is no evidence.

    Raises:
        InputError: If there are fewer than three checkpoints, or they lie on one line.
    """
    n = len(anchors)
    if n < 3:
        raise InputError(f"a trajectory plane needs at least three checkpoints, got {n}; give more")
    centre = torch.eye(n, dtype=torch.float64) - 1 / n
    gram = centre @ _gram(anchors) @ centre
    values, vectors = torch.linalg.eigh((gram + gram.T) / 2)
    best, second = float(values[-1]), float(values[-2])
    if second <= FLAT**2 * best or best <= 0:
        raise InputError("the checkpoints lie on one line, through which there is no one plane; give others")
    axes = [centre @ vectors[:, -k] / values[-k].sqrt() for k in (1, 2)]
    axes = [axis * (1.0 if axis[-1] >= axis[0] else -1.0) for axis in axes]
    total = float(values.clamp(min=0).sum())
    return Plane(torch.full((n,), 1 / n, dtype=torch.float64), torch.stack(axes), (best / total, second / total))


def _gram(anchors: Sequence[Float[Tensor, " P"]]) -> Float[Tensor, "anchors anchors"]:
    """Inner products of the differences from the first, in float64."""
    away = [(anchor - anchors[0]).double() for anchor in anchors]
    return torch.tensor([[float(a @ b) for b in away] for a in away], dtype=torch.float64)


def _combine(row: Float[Tensor, " anchors"], anchors: Sequence[Float[Tensor, " P"]]) -> Float[Tensor, " P"]:
    out = torch.zeros_like(anchors[0], dtype=torch.float64)
    for weight, anchor in zip(row.tolist(), anchors, strict=True):
        out.add_(anchor, alpha=weight)
    return out
