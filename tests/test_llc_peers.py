"""The same chains by devinterp, where it is right; needs the extra ``peers``."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from landscape.llc import langevin
from landscape.llc.estimate import estimate
from landscape.llc.run import Run
from landscape.llc.samplers import Dynamics

peer = pytest.importorskip("devinterp.optim.sgmcmc", exc_type=ImportError)

CURVATURE = torch.logspace(-1, 1, 12, dtype=torch.float64)
CENTRE = torch.linspace(-1, 2, 12, dtype=torch.float64)
N_BETA, LOCALISATION, STEP, STEPS, CHAINS = 200.0, 5.0, 1e-3, 3000, 6


def theirs(seed: int) -> np.ndarray:
    """Losses along one chain of ``SGMCMC.sgld``."""
    torch.manual_seed(seed)
    point = torch.nn.Parameter(CENTRE.clone())
    optimizer = peer.SGMCMC.sgld([point], lr=STEP, nbeta=N_BETA, localization=LOCALISATION)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = 3 + (CURVATURE * (point - CENTRE) ** 2).sum() / 2
        loss.backward()
        losses.append(float(loss.detach()))
        optimizer.step()
    return np.array(losses)


def test_sgld_agrees_with_devinterp() -> None:
    """Within three combined errors of each other, and each of the stationary law at this step."""
    run = Run(n_beta=N_BETA, localisation=LOCALISATION, step_size=STEP, burn_in=1000, parameters=12)
    found = estimate(np.stack([theirs(seed) for seed in range(CHAINS)]), 3.0, run)

    def value_and_grad(points: torch.Tensor, batches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        away = points - CENTRE
        return 3 + (CURVATURE * away**2).sum(dim=1) / 2, CURVATURE * away

    plan = langevin.Plan(draws=STEPS - 1000, burn_in=1000, batch=None)
    seeds = [(7, chain) for chain in range(CHAINS)]
    dynamics = Dynamics(n_beta=N_BETA, localisation=LOCALISATION, step_size=STEP)
    traces = langevin.run(CENTRE.repeat(CHAINS, 1), value_and_grad, 2, dynamics, plan, seeds)
    ours = estimate(traces.losses, 3.0, run)
    together = math.hypot(ours.error, found.error)
    kappa = N_BETA * CURVATURE + LOCALISATION
    truth = float((N_BETA * CURVATURE / (kappa * (1 - STEP * kappa / 4))).sum() / 2)
    assert together < 0.25 and abs(ours.llc - found.llc) < 3 * together
    for one in (ours, found):
        assert abs(one.llc - truth) < 4 * one.error
