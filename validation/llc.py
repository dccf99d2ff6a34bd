"""The local learning coefficient: coverage of its interval where the truth is known, false warnings and misses.

python validation/llc.py
python validation/llc.py --short
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import table
import torch
from scipy import integrate
from table import COVERS_95, RARE, RECALL, Case, Hits
from torch import Tensor, nn

from landscape.llc import langevin
from landscape.llc.coefficient import coefficient
from landscape.llc.curvature import largest, step_size
from landscape.llc.estimate import Estimate, estimate, extrapolated
from landscape.llc.langevin import ValueAndGrad
from landscape.llc.run import Run
from landscape.llc.samplers import Dynamics
from landscape.llc.sampling import GLANCE, inverse_temperature
from landscape.objectives import Objective, module
from landscape.study.kinds.llc import Llc

torch.set_num_threads(1)
CHAINS = 4
AT_ONCE = 64
"""Worlds whose chains run in one batch."""
CURVATURE = torch.logspace(-2, 1, 20, dtype=torch.float64)
STEEPEST = float(CURVATURE.max())
N_BETA, LOCALISATION = 1000.0, 100.0
AUTO = step_size(STEEPEST, N_BETA, LOCALISATION)
INTERVAL, OF_STEP, WARNING = "interval", "interval, around the value of the step", "a warning"
MISS, LOST = "no warning", "neither covered nor warned of"
EITHER, HELD = "covered or warned of", "the localisation is said to decide"
BOUND = "the step's bias, taken off, leaves no more than the truth"
GOOD = {INTERVAL: COVERS_95, OF_STEP: COVERS_95, WARNING: RARE, HELD: RARE}
EXAMPLES = 128
"""Those of a command without options."""


@dataclass(frozen=True)
class Setting:
    """How chains are run on a loss.

    Attributes:
        sampler: Its name.
        step: Step size.
        burn_in: Steps to leave out.
        draws: Steps that are kept.
        n_beta: Factor on the mean loss.
        localisation: Pull to the checkpoint.
        curvature: What is taken for the largest curvature at the checkpoint; nan where it is not known. It is looked up
            where chains end.
        gradient_noise: Half of the difference of the gradients of two examples, one a step, along the top Hessian
            eigenvector.
    """

    sampler: str = "sgld"
    step: float = AUTO
    burn_in: int = math.ceil(5 / (AUTO * LOCALISATION))
    draws: int = 5000
    n_beta: float = N_BETA
    localisation: float = LOCALISATION
    curvature: float = STEEPEST
    gradient_noise: float = 0.0

    def run(self, parameters: int) -> Run:
        """What the estimate is told."""
        return Run(
            n_beta=self.n_beta, localisation=self.localisation, step_size=self.step, burn_in=self.burn_in,
            parameters=parameters, sampler=self.sampler, curvature=self.curvature, noise=self.gradient_noise**2,
            noisy=self.gradient_noise > 0,
        )  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What one world found.

    Attributes:
        estimate: Value, error and warnings.
        bias: What the step may add at most, as a factor.
    """

    estimate: Estimate
    bias: float = 1.0

    @property
    def warned(self) -> bool:
        """Whether anything is said against the value."""
        return bool(self.estimate.warnings)


def estimates(
    setting: Setting,
    centre: Tensor,
    value_and_grad: ValueAndGrad,
    baseline: float,
    worlds: int,
    random: np.random.Generator,
) -> list[Found]:
    """One estimate a world, from four chains each."""
    plan = langevin.Plan(
        sampler=setting.sampler,
        draws=setting.draws,
        burn_in=setting.burn_in,
        batch=1 if setting.gradient_noise else None,
    )
    dynamics = Dynamics(n_beta=setting.n_beta, localisation=setting.localisation, step_size=setting.step)
    told, found = setting.run(len(centre)), list[Found]()

    def gradient(point: Tensor) -> Tensor:
        return value_and_grad(point[None], torch.zeros(1, 1, dtype=torch.int64))[1][0]

    for start in range(0, worlds, AT_ONCE):
        count = CHAINS * min(AT_ONCE, worlds - start)
        seeds = [(int(seed),) for seed in random.integers(2**62, size=count)]
        traces = langevin.run(centre.repeat(count, 1), value_and_grad, 2, dynamics, plan, seeds)
        with np.errstate(over="ignore", invalid="ignore"):  # of chains that diverge
            reach = np.sqrt((traces.distances[:, setting.burn_in :] ** 2).mean(axis=1))
            for first in range(0, count, CHAINS):
                own = slice(first, first + CHAINS)
                ends = [end for end in traces.ends[own] if bool(end.isfinite().all())]
                seen = [largest(end, gradient, seed=0, tolerance=GLANCE)[0] for end in ends]
                run = replace(told, curvature=float(np.fmax.reduce([told.curvature, *seen])))
                found.append(Found(estimate(traces.losses[own], baseline, run, reach[own]), run.bias))
    return found


def bowl(gradient_noise: float = 0.0, turned: float | None = None) -> ValueAndGrad:
    """``sum_i h_i w_i^2 / 2``; the two examples also differ by a gradient along the top Hessian eigenvector.

    Args:
        gradient_noise: Size of that gradient.
        turned: Curvature of the flattest direction, if it is another one.
    """
    h = CURVATURE.clone()
    if turned is not None:
        h[0] = turned

    def value_and_grad(points: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
        losses, gradients = (h * points**2).sum(dim=1) / 2, h * points
        if gradient_noise:
            own = gradient_noise * (2 * batches[:, 0].double() - 1)
            losses, gradients[:, -1] = losses + own * points[:, -1], gradients[:, -1] + own
        return losses, gradients

    return value_and_grad


def posterior(setting: Setting) -> float:
    """The exact coefficient of the bowl: ``1/2 sum t h / (t h + gamma)``."""
    return float((setting.n_beta * CURVATURE / (setting.n_beta * CURVATURE + setting.localisation)).sum() / 2)


def stationary(setting: Setting) -> float:
    """What SGLD of this step converges to on the bowl: each variance widened by the step and by the minibatches."""
    kappa = setting.n_beta * CURVATURE + setting.localisation
    heat = torch.zeros_like(kappa)
    heat[-1] = setting.step * (setting.n_beta * setting.gradient_noise) ** 2 / 4
    return float((setting.n_beta * CURVATURE * (1 + heat) / (kappa * (1 - setting.step * kappa / 4))).sum() / 2)


def quadratic(worlds: int, random: np.random.Generator, *, setting: Setting) -> Hits:
    """Chains as they should be: does the interval hold the exact coefficient, and does nothing warn?"""
    centre = torch.zeros(len(CURVATURE), dtype=torch.float64)
    found = estimates(setting, centre, bowl(setting.gradient_noise), 0.0, worlds, random)
    hits = {INTERVAL: covered(found, posterior(setting)), WARNING: [one.warned for one in found], HELD: held(found)}
    if setting.sampler == "sgld":
        hits[OF_STEP] = covered([replace(one, bias=1.0) for one in found], stationary(setting))
    return hits


def two_steps(worlds: int, random: np.random.Generator, *, setting: Setting) -> Hits:
    """The coefficient at step size 0 from two step sizes."""
    half = replace(setting, step=setting.step / 2, burn_in=2 * setting.burn_in, draws=2 * setting.draws)
    centre = torch.zeros(len(CURVATURE), dtype=torch.float64)
    both = [estimates(one, centre, bowl(), 0.0, worlds, random) for one in (setting, half)]
    found = [Found(extrapolated(one.estimate, two.estimate)) for one, two in zip(*both, strict=True)]
    return {INTERVAL: covered(found, posterior(setting)), WARNING: [one.warned for one in found]}


def crossing(worlds: int, random: np.random.Generator, *, setting: Setting, powers: tuple[int, int]) -> Hits:
    """``w1^a w2^b`` with a pull to the origin, against quadrature at the same temperature."""
    one, two = powers

    def value_and_grad(points: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
        x, y = points[:, 0], points[:, 1]
        gradient = torch.stack([one * x ** max(one - 1, 0) * y**two, two * x**one * y ** (two - 1)], dim=1)
        return x**one * y**two, gradient

    def density(y: float, x: float) -> float:
        return math.exp(-setting.n_beta * x**one * y**two - setting.localisation * (x * x + y * y) / 2)

    area = {"a": 0, "b": 7, "gfun": 0, "hfun": 7}
    norm = integrate.dblquad(density, **area)[0]
    mean = integrate.dblquad(lambda y, x: x**one * y**two * density(y, x), **area)[0] / norm
    found = estimates(setting, torch.zeros(2, dtype=torch.float64), value_and_grad, 0.0, worlds, random)
    return {
        INTERVAL: covered(found, setting.n_beta * mean),
        "interval widened by 3 % of the value": covered(found, setting.n_beta * mean, allowed=0.03),
        WARNING: [one.warned for one in found],
        HELD: held(found),
    }


def bad(
    worlds: int, random: np.random.Generator, *, setting: Setting, off: float = 0.0, turned: float | None = None
) -> Hits:
    """Chains with a planted defect: how often no warning says so.

    Args:
        worlds: How many.
        random: Source of randomness.
        setting: Of the chains.
        off: How far the checkpoint lies from the minimum along the direction of middle curvature, so that its loss is
            too high by so many of the coefficient.
        turned: Curvature of one direction, below 0 for a saddle.
    """
    middle, exact = len(CURVATURE) // 2, posterior(setting)
    h = float(CURVATURE[middle])
    centre = torch.zeros(len(CURVATURE), dtype=torch.float64)
    centre[middle] = math.sqrt(2 * off * exact / (setting.n_beta * h))
    baseline = h * float(centre[middle]) ** 2 / 2
    found = estimates(setting, centre, bowl(setting.gradient_noise, turned), baseline, worlds, random)
    silent = np.array([not one.warned for one in found])
    hits = {MISS: silent}
    if turned is None:
        hits[LOST] = silent & ~np.array(covered(found, exact))
    return hits


class Cross(nn.Module):
    """``w1^2 w2^2``."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def forward(self, inputs: Tensor) -> Tensor:
        """The loss, the same for every example."""
        return (self.w.prod() ** 2).expand(len(inputs))


class Rank(nn.Module):
    """``|b a^T|^2 / 2``: the population loss of a linear network of widths 3, 1, 3 whose map should be 0."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = (nn.Parameter(torch.zeros(3, dtype=torch.float64)) for _ in range(2))

    def forward(self, inputs: Tensor) -> Tensor:
        """The loss, the same for every example."""
        return (self.a.square().sum() * self.b.square().sum() / 2).expand(len(inputs))


class Line(nn.Module):
    """A regression in ten dimensions, with noise of variance 1."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(10, dtype=torch.float64))

    def forward(self, inputs: Tensor) -> Tensor:
        """Its negative log-likelihood; the last column of the inputs is the output."""
        return (inputs[:, :-1] @ self.w - inputs[:, -1]).square() / 2


class Bowl(nn.Module):
    """``sum_i h_i w_i^2 / 2``."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(len(CURVATURE), dtype=torch.float64))

    def forward(self, inputs: Tensor) -> Tensor:
        """The loss, the same for every example."""
        return ((CURVATURE * self.w.square()).sum() / 2).expand(len(inputs))


def world(model: type[nn.Module], random: np.random.Generator) -> tuple[Objective, Tensor, list[float]]:
    """A model at its minimum, and its Hessian's eigenvalues there, where the loss is quadratic."""
    inputs = torch.from_numpy(random.standard_normal((EXAMPLES, 11)))
    built = model()
    point = torch.zeros(sum(p.numel() for p in built.parameters()), dtype=torch.float64)
    h = CURVATURE.tolist()
    if model is Line:
        point = torch.linalg.lstsq(inputs[:, :-1], inputs[:, -1:]).solution.flatten()
        h = torch.linalg.eigvalsh(inputs[:, :-1].T @ inputs[:, :-1] / EXAMPLES).tolist()
    return module.build(built, {"inputs": inputs}, lambda out, _: out), point, h


def truth(model: type[nn.Module], n_beta: float, localisation: float, curvatures: Sequence[float]) -> float:
    """The coefficient at this temperature and localisation, by a sum or by an integral over the length of ``a``."""
    if model in (Line, Bowl):
        s = n_beta * np.array(curvatures) / (n_beta * np.array(curvatures) + localisation)
        return float(s.sum() / 2)
    scale = n_beta / localisation**2
    size, heat = (1, 2 * scale) if model is Cross else (3, scale)  # both are c |a|^2 |b|^2 / 2

    def density(s: float) -> float:
        return float(s ** (size - 1) * math.exp(-s * s / 2) * (1 + heat * s * s) ** (-size / 2))

    norm = integrate.quad(density, 0, 12, limit=400)[0]
    mean = integrate.quad(lambda s: size / 2 * heat * s * s / (1 + heat * s * s) * density(s), 0, 12, limit=400)[0]
    return float(mean / norm)


def known(
    worlds: int, random: np.random.Generator, *, model: type[nn.Module], limit: float, settings: Mapping[str, Any]
) -> Hits:
    """A model through the whole estimator, against the exact coefficient at its temperature and localisation."""
    covers, speaks, advises, bounded = list[bool](), list[bool](), list[bool](), list[bool]()
    for seed in random.integers(2**31, size=worlds):
        objective, point, curvatures = world(model, random)
        wanted = Llc.model_validate({"kind": "llc", **settings, "seed": int(seed)})
        found = coefficient(objective, point, wanted)
        exact = truth(model, inverse_temperature(wanted, EXAMPLES), wanted.localisation, curvatures)
        covers.append(found.low <= exact <= found.high or found.low <= limit <= found.high)
        speaks.append(bool(found.estimate.warnings))
        advises.append(bool(found.estimate.advice))
        bounded.append(found.low <= exact)
    said = np.array(speaks) | np.array(advises)
    return {EITHER: np.array(covers) | said, INTERVAL: covers, WARNING: speaks, HELD: advises, BOUND: bounded}


def held(found: Sequence[Found]) -> list[bool]:
    """Whether the localisation is said to decide."""
    return [bool(one.estimate.advice) for one in found]


def covered(found: Sequence[Found], true: float, allowed: float = 0.0) -> list[bool]:
    """Whether the interval of each estimate holds the truth, or comes so near to it."""
    ends = [one.estimate.interval(one.bias) for one in found]
    return [low - allowed * true <= true <= high + allowed * true for low, high in ends]


SLOW = Setting(n_beta=100.0, localisation=1.0, step=5e-4, burn_in=10_000, draws=5000, curvature=math.nan)
FEW = Setting(draws=800)
"""Draws for little more than one and a half correlation lengths of the flattest direction."""
MODELS = (("a quadratic", Bowl, 10.0), ("w1^2 w2^2", Cross, 0.5), ("a linear network of widths 3, 1, 3", Rank, 1.5),
          ("a regression in ten dimensions", Line, 5.0))  # fmt: skip
"""Their coefficients in the limit too."""
SHORT: dict[str, dict[str, Any]] = {
    "localisation 100": {}, "localisation 1": {"localisation": 1.0}, "step 0.01": {"step_size": 0.01, "burn_in": 1000}
}  # fmt: skip
LONG: dict[str, dict[str, Any]] = {
    "SGLD": {"localisation": 1.0, "burn_in": 4000, "draws": 6000},
}
QUADRATIC = "Quadratics with the exact law: coverage of the 95 % interval, and false warnings"
BAD = "Planted defects: how often no warning is raised"
SILENT = {MISS: RARE, LOST: RARE}
FAULTS = {101: (WARNING,), 202: (INTERVAL,), 309: (MISS,), 311: (MISS, LOST), 312: (MISS,)}
"""Known not to hold, by the number of the case; they stand in the table like any other."""
CASES = table.marked([
    Case(100, QUADRATIC, "SGLD, the automatic step", quadratic, {"setting": Setting()}, GOOD, 0.5),
    Case(101, QUADRATIC, "SGLD, the automatic step, 800 draws", quadratic, {"setting": FEW}, GOOD),
    Case(102, QUADRATIC, "SGLD, twice that step", quadratic, {"setting": Setting(step=2 * AUTO)}, GOOD, 0.5),
    Case(103, QUADRATIC, "SGLD, minibatches of one of two examples", quadratic,
         {"setting": Setting(gradient_noise=0.05)}, GOOD, 0.25),
    Case(104, QUADRATIC, "SGLD, two step sizes extrapolated", two_steps, {"setting": Setting()}, GOOD, 0.25),
    Case(105, QUADRATIC, "MALA, the automatic step", quadratic, {"setting": Setting("mala")}, GOOD, 0.5),
    Case(106, QUADRATIC, "MALA, four times that step", quadratic, {"setting": Setting("mala", step=4 * AUTO)}, GOOD,
         0.5),
    Case(107, QUADRATIC, "SGNHT, a small step", quadratic,
         {"setting": Setting("sgnht", step=2e-6, burn_in=4000)}, GOOD, 0.25),
    Case(108, QUADRATIC, "RMSprop, a small step", quadratic,
         {"setting": Setting("rmsprop", step=5e-6, burn_in=4000)}, GOOD, 0.25),
    *(
        Case(number, "Normal crossings against quadrature: coverage of the 95 % interval, and false warnings",
             f"{name}, {sampler}", crossing, {"setting": replace(SLOW, sampler=sampler), "powers": powers}, GOOD, 0.25)
        for number, (name, powers, sampler) in enumerate((
            ("w2^4", (0, 4), "sgld"), ("w2^4", (0, 4), "mala"),
            ("w1^2 w2^4", (2, 4), "sgld"), ("w1^2 w2^4", (2, 4), "mala"),
        ), start=200)
    ),
    *(
        Case(number, "Models with known coefficients through the whole estimator, at the default settings",
             f"{name}, {how}", known, {"model": model, "limit": limit, "settings": settings}, wanted, 0.1)
        for number, ((name, model, limit), (how, settings)) in enumerate(product(MODELS, SHORT.items()), start=400)
        for wanted in [{EITHER: RECALL, BOUND: RECALL, HELD: RARE if "localisation" in settings else RECALL}]
    ),
    *(
        Case(number, "The same models with a weak localisation and as many steps as it needs", f"{name}, {how}", known,
             {"model": model, "limit": limit, "settings": settings},
             {EITHER: RECALL, INTERVAL: COVERS_95, BOUND: RECALL, WARNING: RARE, HELD: RARE}, 0.05)
        for number, ((name, model, limit), (how, settings)) in enumerate(product(MODELS, LONG.items()), start=500)
        if model in (Bowl, Line)  # the others take minutes
    ),
    Case(300, BAD, "SGLD, step 8 times too large, curvature known", bad,
         {"setting": replace(FEW, step=8 * AUTO)}, SILENT),
    Case(301, BAD, "SGLD, step 8 times too large, curvature not known", bad,
         {"setting": replace(FEW, step=8 * AUTO, curvature=math.nan)}, SILENT),
    Case(302, BAD, "SGLD, unstable step, curvature not known", bad,
         {"setting": replace(FEW, step=11 * AUTO, curvature=math.nan)}, SILENT),
    Case(303, BAD, "SGLD, burn-in of a tenth", bad, {"setting": replace(FEW, burn_in=Setting().burn_in // 10)}, SILENT),
    Case(304, BAD, "SGNHT, no burn-in, 400 draws", bad,
         {"setting": Setting("sgnht", step=2e-6, burn_in=0, draws=400)}, SILENT),
    Case(305, BAD, "SGLD, 50 draws, shorter than their correlation", bad, {"setting": Setting(draws=50)},
         SILENT),
    Case(306, BAD, "MALA, 50 draws, shorter than their correlation", bad, {"setting": Setting("mala", draws=50)},
         SILENT),
    Case(307, BAD, "loss of the checkpoint too high by half of the coefficient", bad,
         {"setting": FEW, "off": 0.5}, SILENT),
    Case(308, BAD, "loss of the checkpoint too high by twice the coefficient", bad,
         {"setting": FEW, "off": 2.0}, SILENT),
    Case(309, BAD, "saddle: one direction falls, held by the localisation", bad,
         {"setting": FEW, "turned": -0.09}, SILENT),
    Case(310, BAD, "saddle: one direction falls faster than the localisation pulls", bad,
         {"setting": FEW, "turned": -0.3}, SILENT),
    Case(311, BAD, "loss of the checkpoint too high by half of the coefficient, minibatches", bad,
         {"setting": replace(FEW, gradient_noise=0.05), "off": 0.5}, SILENT, 0.5),
    Case(312, BAD, "saddle: one direction falls, held by the localisation, minibatches", bad,
         {"setting": replace(FEW, gradient_noise=0.05), "turned": -0.09}, SILENT, 0.5),
], FAULTS)  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    """Write the table."""
    table.main("Local learning coefficients", "llc", CASES, long=240, short=40, words=words)


if __name__ == "__main__":
    main()
