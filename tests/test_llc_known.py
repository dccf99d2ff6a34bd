"""Coefficients that are known exactly, and what calibration makes of a grid."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from landscape.llc import calibration, langevin
from landscape.llc.estimate import estimate
from landscape.llc.known import deep_linear, reduced_rank
from landscape.llc.run import Run
from landscape.llc.samplers import Dynamics


@pytest.mark.parametrize(
    ("widths", "rank", "value", "m"),
    [
        ((3, 2, 3), 0, 2.5, 1), ((3, 2, 3), 1, 3.5, 2), ((5, 4, 5), 2, 10.5, 1), ((4, 4, 4, 4), 0, 5.5, 3),
        ((4, 4, 4, 4), 4, 8, 1), ((10, 8, 6, 8, 10), 3, 32, 2), ((10, 10, 10, 10), 5, 46, 3),
        ((64, 64, 64), 32, 1920, 1),
    ],
)  # fmt: skip
def test_published_values_of_deep_linear_networks(widths: tuple[int, ...], rank: int, value: float, m: int) -> None:
    assert deep_linear(widths, rank) == (Fraction(value), m)


def test_one_hidden_layer_is_reduced_rank_regression() -> None:
    """Two theorems by different roads; and a coefficient is at most half of the parameters."""
    for inputs in range(1, 8):
        for hidden in range(1, 8):
            for outputs in range(1, 8):
                for rank in range(min(inputs, hidden, outputs) + 1):
                    found = deep_linear((inputs, hidden, outputs), rank)
                    assert found == reduced_rank(inputs, hidden, outputs, rank)
                    assert found[0] <= Fraction(hidden * (inputs + outputs), 2)
    with pytest.raises(ValueError, match="at most rank 2, not 3"):
        deep_linear((4, 2, 5), 3)


@pytest.mark.slow
@pytest.mark.parametrize(("widths", "rank"), [((4, 4, 4), 1), ((3, 4, 3, 2), 1), ((3, 4, 3), 2)])
def test_chains_find_the_formula_at_the_most_singular_point(widths: tuple[int, ...], rank: int) -> None:
    """At t = 1000 the coefficient lies below its limit by about ``(m - 1) / ln t``, and never above."""
    shapes = list(zip(widths[1:], widths, strict=False))
    layers = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
    for layer in layers:
        layer[:rank, :rank] = torch.eye(rank)
    truth = torch.zeros(widths[-1], widths[0], dtype=torch.float64)
    truth[:rank, :rank] = torch.eye(rank)
    sizes = [layer.numel() for layer in layers]

    def network(points: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
        at = points.detach().requires_grad_()
        out = torch.eye(widths[0], dtype=torch.float64).expand(len(at), -1, -1)
        for part, shape in zip(at.split(sizes, dim=1), shapes, strict=True):
            out = part.view(-1, *shape) @ out
        losses = (out - truth).square().sum(dim=(1, 2)) / 2
        return losses.detach(), torch.autograd.grad(losses.sum(), at)[0]

    centre, n_beta = torch.cat([layer.flatten() for layer in layers]), 1e3
    plan = langevin.Plan(sampler="mala", draws=2500, burn_in=2000, batch=None)
    dynamics = Dynamics(n_beta=n_beta, localisation=1.0, step_size=2e-4)
    traces = langevin.run(centre.repeat(48, 1), network, 2, dynamics, plan, [(1, n) for n in range(48)])
    run = Run(
        n_beta=n_beta, localisation=1.0, step_size=2e-4, burn_in=2000, parameters=len(centre), sampler="mala"
    )  # fmt: skip
    found = estimate(traces.losses, 0.0, run)
    exact, m = deep_linear(widths, rank)
    assert found.error < 0.08
    assert float(exact) - (m + 0.5) / np.log(n_beta) - 4 * found.error < found.llc < float(exact) + 4 * found.error


def grid(*, bend: float = 0.0) -> pd.DataFrame:
    """Coefficients that rise with the step from 20 and 50, and noise that falls; reliable but at the corners."""
    rows = []
    for checkpoint, start in (("first", 20.0), ("last", 50.0)):
        for pull in (10.0, 100.0, 1000.0):
            for step in (1e-4, 2e-4, 4e-4, 8e-4):
                llc = start * (100 / pull) ** 0.3 * (1 + 100 * step) + bend * step * 1e4
                reliable = pull > 10 and not (pull == 100 and step == 1e-4)
                rows.append({"checkpoint": checkpoint, "localisation": pull, "step_size": step, "llc": llc,
                             "error": 0.4 * (1e-4 / step) ** 0.5, "reliable": reliable, "warnings": "" if reliable else
                             "chains disagree (R-hat 1.30): draw more; below zero: the checkpoint"})  # fmt: skip
    return pd.DataFrame(rows)


def test_calibration_takes_the_weakest_localisation_and_weighs_bias_against_noise() -> None:
    rows = grid()
    found = calibration.plateau(rows)
    at = found[(rows["checkpoint"] == "first") & (rows["localisation"] == 100)]
    steps = np.array([1e-4, 2e-4, 4e-4, 8e-4])
    np.testing.assert_allclose(at["uncertainty"], np.hypot(2000 * steps, 0.4 * (1e-4 / steps) ** 0.5) / 20, rtol=1e-6)
    assert at["flat"].tolist() == [False, True, True, True] and not found["flat"][rows["localisation"] == 10].any()
    assert calibration.proposal(rows) == (2e-4, 100.0)
    assert calibration.proposal(rows[rows["localisation"] > 100]) == (2e-4, 1000.0)
    quiet = rows.assign(error=rows["error"] / 10)
    assert calibration.proposal(quiet) == (2e-4, 100.0), "the smallest reliable step, where noise is no matter"
    noisy = rows.assign(error=4 * rows["error"])
    assert calibration.proposal(noisy) == (4e-4, 100.0)


def test_the_line_of_a_plateau_is_the_weighted_one_through_sound_cells() -> None:
    """Against the normal equations, with values off any line and a cell that is unsound in the middle."""
    step, error = np.array([1e-4, 2e-4, 5e-4, 9e-4]), np.array([1.1, 0.7, 0.2, 0.4])
    llc, reliable = np.array([22.3, 23.1, 90.0, 23.5]), np.array([True, True, False, True])
    rows = pd.DataFrame({"checkpoint": "one", "localisation": 50.0, "step_size": step, "llc": llc, "error": error,
                         "reliable": reliable})  # fmt: skip
    design, weights = np.stack([np.ones(4), step], axis=1)[reliable], np.diag(error[reliable] ** -2.0)
    start, slope = np.linalg.solve(design.T @ weights @ design, design.T @ weights @ llc[reliable])
    found = calibration.plateau(rows.iloc[[2, 0, 3, 1]]).loc[range(4)]
    wanted = np.sqrt((slope * step) ** 2 + error**2) / start
    np.testing.assert_allclose(found["uncertainty"], wanted, rtol=1e-6)
    assert found["flat"].tolist() == [True, True, False, False] and (wanted[[0, 1, 3]] < 0.1).all()
    alone = calibration.plateau(rows.assign(reliable=[False, False, False, True]))
    assert alone["uncertainty"].isna().all() and not alone["flat"].any()


def test_no_plateau_is_said_with_what_is_in_the_way() -> None:
    rows = grid(bend=30)
    assert calibration.proposal(rows) is None
    lonely = rows.assign(reliable=rows["step_size"] == 1e-4)
    assert not calibration.plateau(lonely)["flat"].any()
    said = [
        "",
        "below zero: train further; chains disagree (R-hat 1.31): draw more",
        "chains disagree (R-hat 1.2): draw",
    ]
    assert calibration.obstacle(pd.DataFrame({"warnings": said})) == "chains disagree"
    assert calibration.obstacle(rows[rows["reliable"]]) == "no two neighbouring steps agree"
    one = grid().assign(reliable=lambda r: r["reliable"] & ((r["checkpoint"] == "first") | (r["step_size"] == 8e-4)))
    assert calibration.proposal(one) is None, "a plateau at one end only is none"


def test_the_grid_is_around_the_step_of_the_curvature() -> None:
    cells = calibration.grid(30.0, 25.0, 100.0)
    wanted = [
        (times * 0.4 / (25 * 30 + 100), pull) for pull in (10.0, 100.0, 1000.0) for times in (0.25, 0.5, 1, 2, 4, 8)
    ]
    np.testing.assert_allclose(cells, wanted, rtol=5e-3)
