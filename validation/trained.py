"""The error between points, on profiles of trained checkpoints: pairs, arcs, aligned pairs, curves and chains.

python validation/trained.py     # from trained_profiles.npz, which training.py makes
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.interpolate import BarycentricInterpolator

from landscape.profile import nodes

FILE = Path(__file__).with_name("trained_profiles.npz")
STEPS = nodes.STEPS
EXAMPLES = 512
"""Of the data set whose interval the error is compared with."""


@dataclass(frozen=True)
class Trained:
    """The mean rise above the chord along a path.

    Attributes:
        name: Architecture and kind of path.
        rise: At all points of the fine grid, piece by piece.
        half: Half-width of the 95 % interval of the largest rise, for 512 examples.
    """

    name: str
    rise: np.ndarray
    half: float

    @property
    def pieces(self) -> int:
        """How many pieces the path has."""
        return len(self.rise) // STEPS


def profiles() -> list[Trained]:
    """The profiles of the file."""
    with np.load(FILE) as file:
        rises = np.split(file["rises"].astype(float), np.cumsum(file["lengths"])[:-1])
        return [Trained(str(n), r, float(h)) for n, r, h in zip(file["names"], rises, file["halves"], strict=True)]


def stated(profile: Trained) -> tuple[float, float, float, float]:
    """The stated error, the true one of the profile and of its maximum, and the half-width of the data's interval.

    Points are added until the stated error is 0.002 or a quarter of the data's interval. The truth is the polynomial
    through all 129 points of a piece.
    """
    rise, pieces, tolerance = profile.rise, profile.pieces, max(0.002, profile.half / 2)
    at = nodes.first(pieces)
    while True:
        checks = nodes.checks(at, rise[at], pieces)
        given = at, rise[at], checks, rise[checks]
        error = nodes.error(*given, pieces)
        more = nodes.refined(*given, tolerance, pieces)
        if error <= tolerance or len(more) == len(at):
            break
        at = more
    interpolation = nodes.interpolant(at, pieces)
    truth, found = exact(profile, interpolation.t), interpolation.matrix @ rise[at]
    highest = exact(profile, np.linspace(0, 1, 2048 * pieces + 1)).max()
    return error, float(np.abs(found - truth).max()), abs(float(found.max() - highest)), profile.half


def exact(profile: Trained, times: np.ndarray) -> np.ndarray:
    """The polynomial through all points of each piece."""
    t, piece = nodes.grid(profile.pieces), np.minimum((times * profile.pieces).astype(int), profile.pieces - 1)
    out = np.zeros(len(times))
    for k in range(profile.pieces):
        own = slice(k * STEPS, (k + 1) * STEPS + 1)
        signs = np.where(np.arange(STEPS + 1) % 2, -1.0, 1.0) / np.where(np.arange(STEPS + 1) % STEPS, 1, 2)
        polynomial = BarycentricInterpolator(t[own], profile.rise[own], wi=signs)
        out[piece == k] = polynomial(times[piece == k])
    return out


def main() -> None:
    """Print how the stated errors compare with the true ones."""
    error, true, highest, half = np.array([stated(profile) for profile in profiles()]).T
    once, thrice, near = error >= true, error <= 3 * true, error - true <= half
    print(f"{len(error)} profiles")
    print(f"stated error from one to three times the true one: {(once & thrice).mean():.3f}")
    print(f"or above it by less than the half-width of the interval: {(once & (thrice | near)).mean():.3f}")
    print(f"not below the error of the maximum: {(error >= highest).mean():.3f}")
    print(
        "stated over true, 5th, 50th and 95th percentile:",
        np.quantile(error / true.clip(1e-7), (0.05, 0.5, 0.95)).round(2),
    )


if __name__ == "__main__":
    main()
