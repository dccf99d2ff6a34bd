"""Every sampler of the catalogue keeps one contract, on quadratics where its stationary distribution is known."""

from __future__ import annotations

import math
from pathlib import Path

import cases
import pytest
import torch
from torch import Tensor

from landscape.catalogue import SAMPLERS
from landscape.llc import langevin, samplers
from landscape.llc.run import Run, equilibrium
from landscape.llc.samplers import Dynamics, LossAndGradient, Noise, Sampler, State
from landscape.llc.settings import ChainSettings

N_BETA, LOCALISATION, CURVATURE = 40.0, 20.0, 2.0
KAPPA = N_BETA * CURVATURE + LOCALISATION
every = pytest.mark.parametrize("name", SAMPLERS)


def bowl(points: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
    """``3 + h w^2 / 2`` in every coordinate, whatever the examples."""
    return 3 + CURVATURE * points.square().sum(dim=1) / 2, CURVATURE * points


def flat(points: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
    return torch.zeros_like(points[:, 0]), torch.zeros_like(points)


def traces(
    name: str, step: float, steps: int, chains: int = 50, size: int = 40, function: langevin.ValueAndGrad = bowl
) -> langevin.Traces:
    """Chains from their centre, without burn-in, with the distance of each draw."""
    plan = langevin.Plan(sampler=name, draws=steps, burn_in=0, batch=None)
    dynamics = Dynamics(n_beta=N_BETA, localisation=LOCALISATION, step_size=step)
    centres = torch.zeros(chains, size, dtype=torch.float64)
    return langevin.run(centres, function, 2, dynamics, plan, [(7, n) for n in range(chains)])


def variance(name: str, step: float, steps: int) -> float:
    """Mean square of a coordinate over the later half of the draws."""
    return float((traces(name, step, steps).distances[:, steps // 2 :] ** 2).mean()) / 40


def one_step(sampler: Sampler, noise: Noise, state: State, centres: Tensor) -> tuple[LossAndGradient, State]:
    value = LossAndGradient(*bowl(state.points, torch.zeros(0)))
    dynamics = Dynamics(n_beta=N_BETA, localisation=LOCALISATION, step_size=0.004)
    return value, sampler.step(state, value, noise, centres, dynamics)


def walk(name: str, seed: int, steps: int = 6) -> tuple[list[Tensor], list[Tensor]]:
    """Draws and their losses, with the noise of a seed."""
    sampler, random = samplers.load(name), cases.generator(seed)
    centres = torch.linspace(-1, 1, 15, dtype=torch.float64).reshape(3, 5)
    state, points, losses = sampler.start(centres + 0.3), list[Tensor](), list[Tensor]()
    for _ in range(steps):
        normal = torch.randn(3, 5, generator=random, dtype=torch.float64)
        noise = Noise(normal, torch.rand(3, generator=random, dtype=torch.float64))
        value, after = one_step(sampler, noise, state, centres)
        point, loss = sampler.draw(state, value, after)
        assert any(torch.equal(point, kept) for kept in (state.points, *after.memory)), "a draw is a point of the state"
        points.append(point)
        losses.append(loss)
        state = after
    return points, losses


def test_the_catalogue_has_every_file() -> None:
    files = {file.stem for file in Path(samplers.__file__).parent.glob("*.py")} - {"__init__", "state"}
    assert {member.module.rpartition(".")[2] for member in SAMPLERS.values()} == files
    with pytest.raises(ValueError, match="no sampler is called 'sgdl'; did you mean sgld"):
        samplers.load("sgdl")


@every
def test_a_step_keeps_shapes_and_leaves_its_input_alone(name: str) -> None:
    sampler, points = samplers.load(name), torch.randn(3, 5, generator=cases.generator(1))
    state, before = sampler.start(points), points.clone()
    noise = Noise(torch.randn(3, 5, generator=cases.generator(2)), torch.rand(3, generator=cases.generator(3)))
    value, after = one_step(sampler, noise, state, torch.zeros(3, 5))
    point, loss = sampler.draw(state, value, after)
    assert torch.equal(points, before) and after.points.shape == point.shape == (3, 5) and loss.shape == (3,)
    assert {tensor.dtype for tensor in (after.points, *after.memory, point, loss)} == {torch.float32}
    assert [tensor.shape for tensor in after.memory] == [tensor.shape for tensor in state.memory]
    assert bool(torch.isfinite(point).all()) and torch.equal(point, points), "the first draw is the start"


@every
def test_the_noise_decides(name: str) -> None:
    (one, losses), (again, _), (other, _) = walk(name, 1), walk(name, 1), walk(name, 2)
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True)) and not torch.equal(one[-1], other[-1])
    for point, loss in zip(one, losses, strict=True):
        torch.testing.assert_close(loss, bowl(point, torch.zeros(0))[0], rtol=1e-12, atol=0)


@every
def test_the_stationary_variance_has_the_stated_bias(name: str) -> None:
    """No sampler is farther off than it says; the thermostat of few coordinates fluctuates and is a little cold."""
    bias = Run(
        n_beta=N_BETA, localisation=LOCALISATION, step_size=0.1 / KAPPA, burn_in=0, parameters=40, sampler=name,
        curvature=CURVATURE,
    ).bias  # fmt: skip
    found = variance(name, 0.1 / KAPPA, 3000) * KAPPA
    assert 0.95 < found < 1.015 * bias and 1 <= bias < 1.2


@every
def test_steps_are_unstable_from_where_it_is_said(name: str) -> None:
    limit = samplers.load(name).STABLE
    if not math.isfinite(limit):
        steep = traces(name, 1e3 / KAPPA, 60, chains=3, size=5)
        assert math.isinf(limit) == bool((steep.distances < 1e3).all()), "Metropolis rejects what is too long"
        return
    below, above = (traces(name, share * limit / KAPPA, 600, chains=3, size=40).distances for share in (0.6, 1.1))
    assert (below < 100).all() and not (above < 1e6).all()


@every
def test_flat_directions_are_in_equilibrium_when_it_is_said(name: str) -> None:
    """Where the loss is flat the variance goes to ``1 / localisation``; a thermostat at rest overshoots first."""
    step = 0.02 / LOCALISATION
    wanted = equilibrium(name, step, LOCALISATION)
    sampler = samplers.load(name)
    rate = sampler.relaxation_rate(0.02)
    assert wanted == math.ceil(5 / rate)
    if wanted:
        assert sampler.relaxation_rate(sampler.pull_at(rate / 3)) == pytest.approx(rate / 3)
        distances = traces(name, step, wanted + 20, chains=100, size=100, function=flat).distances ** 2
        mean = distances.mean(axis=0) / 100 * LOCALISATION
        assert mean[wanted : wanted + 20].mean() == pytest.approx(1, abs=0.12) and mean[wanted // 10] < 0.8


@every
def test_extrapolation_is_for_a_bias_in_proportion_to_the_step(name: str) -> None:
    """On a quadratic halving the step halves the bias; a sampler without bias has none to take away."""
    sampler = samplers.load(name)
    share = [sampler.step_bias(0.02 / times, 0.0, False) - 1 for times in (1, 2)]
    assert sampler.EXTRAPOLATES or share == [0, 0]
    whole, chosen = {"batch": "all", "sampler": name}, {"extrapolate": True}
    if sampler.EXTRAPOLATES:
        assert ChainSettings.model_validate(whole | chosen).extrapolate
    else:
        with pytest.raises(ValueError, match="no bias of the step"):
            ChainSettings.model_validate(whole | chosen)


@every
def test_full_batches_are_asked_for_where_they_are_needed(name: str) -> None:
    if samplers.load(name).FULL_BATCH:
        with pytest.raises(ValueError, match="exact on full batches only"):
            ChainSettings.model_validate({"sampler": name, "batch": 5})
    else:
        assert ChainSettings.model_validate({"sampler": name, "batch": 5}).sampler == name


@every
def test_a_chain_stays_where_it_is_only_if_steps_are_rejected(name: str) -> None:
    distances = traces(name, 300 / KAPPA, 30, chains=3, size=5).distances
    assert bool((distances[:, 1:] == 0).all()) == samplers.load(name).REJECTS
