"""From traces to the local learning coefficient, its error, and whether to believe it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from arviz_stats.base import array_stats
from scipy import stats

from landscape.llc.samplers.sgnht import FRICTION
from landscape.shapes import Float

MIXED = 1.1
"""R-hat above which chains disagree. Vehtari et al. 2021 ask for 1.01 of tails; the error of a mean says the rest."""
DRIFTED = 3.0
"""Standard errors between the halves of the draws above which they count as still moving."""
EQUILIBRIUM = 5.0
"""Relaxation times of the localisation that a burn-in is to last; what is missing then is ``exp(-5)`` of the spread."""
BIASED = 1.5
"""Bias of the step in the top Hessian eigenvector above which it is too large."""
PRECONDITIONED = 1.15
"""What RMSprop may add: the derivative of its preconditioner, left out, made 5 to 10 %."""
WANDERED = 1.25
"""Distance from the centre, in what the localisation alone would give, above which a chain is not local."""
FEW = 4
"""Chains below which their means say too little of the error."""
DECIDED = 0.8
"""Share of the coefficient that the loss must decide; the rest is decided by the localisation."""
FREE = 10.0
"""``n_beta h`` over the localisation that is proposed: the loss then decides ten elevenths."""
BELOW = 0.1
"""How far draws may lie below the checkpoint, as a share of the coefficient, or of 1 if that is larger."""
SPARSE = 1.6
"""Most that the losses of two neighbouring draws may lack of their variance: steps no larger than the automatic one."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """How traces were made, and where.

    Attributes:
        n_beta: Factor on the mean loss.
        localisation: Strength of the pull to the centre.
        step_size: As the sampler takes it.
        burn_in: Steps to leave out.
        parameters: Coordinates that moved; their half is the coefficient of a regular minimum.
        sampler: Its name.
        curvature: The largest at the checkpoint; nan if it is not known.
        noise: Variance of a minibatch's slope in that direction.
        resolution: Distance from the checkpoint that rounding of its weights can no longer tell.
        noisy: Whether the loss of a draw is that of a minibatch, or has dropout on.
        quartic: Whether the loss grows faster than a square: the curvature is larger where chains are.
    """

    n_beta: float
    localisation: float
    step_size: float
    burn_in: int
    parameters: int
    sampler: str = "sgld"
    curvature: float = math.nan
    noise: float = 0.0
    resolution: float = 0.0
    noisy: bool = True
    quartic: bool = False

    @property
    def bias(self) -> float:
        """Factor by which the step overstates the top Hessian eigenvector; nan if the curvature is not known.

        For SGLD ``(1 + step_size n_beta^2 noise / 4) / (1 - step_size kappa / 4)`` with ``kappa = n_beta curvature +
        localisation``: exact where the loss is quadratic, infinite where the step is unstable. The thermostat of SGNHT
        is one for all directions, so noise in one heats it by up to ``step_size n_beta^2 noise / (2 friction)``.
        1 for Metropolis-corrected steps; for RMSprop an allowance that held where it was measured. Where the loss is of
        fourth order, as a product of two factors, both are widened, and the factor is squared.
        """
        if self.sampler in ("mala", "rmsprop"):
            return 1.0 if self.sampler == "mala" else PRECONDITIONED
        share = self.step_size * (self.n_beta * self.curvature + self.localisation) / 4
        heat = self.step_size * self.n_beta**2 * self.noise
        widened = 1 + heat / (4 if self.sampler == "sgld" else 2 * FRICTION)
        return math.inf if share >= 1 else (widened / (1 - share)) ** (2 if self.quartic else 1)

    @property
    def settled(self) -> int:
        """Steps after which directions without curvature have spread."""
        return settled(self.sampler, self.step_size, self.localisation)


def settled(sampler: str, step_size: float, localisation: float) -> int:
    """Steps after which directions without curvature have spread to ``exp(-5)`` of their variance.

    The variance of SGLD, and of its Metropolis-corrected form, relaxes at ``step_size localisation`` a step. The
    velocity of SGNHT is damped by its friction ``a``: the variance relaxes at ``2 step_size localisation / a`` a step,
    and at most at ``a``. 0 for RMSprop, whose steps have another unit.
    """
    pace = step_size * localisation
    if sampler == "sgnht":
        pace = min(2 * pace / FRICTION, FRICTION)
    return 0 if sampler == "rmsprop" else math.ceil(EQUILIBRIUM / pace)


@dataclass(frozen=True)
class Estimate:
    """A local learning coefficient.

    Attributes:
        llc: ``n_beta (mean of L(w) over draws - L(w*))``, over the chains that did not diverge; nan if none is left.
        error: Its Monte Carlo standard error.
        per_chain: The same of each chain; nan where it diverged.
        rhat: Rank-normalised split R-hat of the loss.
        ess: Effective number of draws.
        diverged: Chains whose loss was not finite at some step.
        drift: Rise of the loss from the first half of the draws to the second, in standard errors.
        reach: Root mean square distance from the checkpoint over ``sqrt(parameters / localisation)``, which is that of
            the localisation alone; nan if the distances are not known.
        decided: Share of the value that the loss decides and not the localisation, at most 1; see :func:`_decided`.
        warnings: What makes the value unreliable, in words; empty if nothing does.
        advice: Said where the value is right, but is decided by the localisation more than by the loss.
    """

    llc: float
    error: float
    per_chain: Float[np.ndarray, " chains"]
    rhat: float
    ess: float
    diverged: int
    drift: float
    reach: float
    decided: float
    warnings: tuple[str, ...]
    advice: str = ""

    def interval(self, bias: float = 1.0) -> tuple[float, float]:
        """95 % interval, its lower end divided by a bias of the step that may be in the value."""
        margin = float(stats.norm.ppf(0.975)) * self.error
        low = self.llc - margin
        return (low / bias if bias > 1 and low > 0 else low), self.llc + margin


def estimate(
    losses: Float[np.ndarray, "chains steps"],
    baseline: float,
    run: Run,
    distances: Float[np.ndarray, " chains"] | None = None,
) -> Estimate:
    """The coefficient from traces of the loss.

    Burn-in enters no number. A chain that diverged is left out, counted and named among the warnings.

    Args:
        losses: Of every step, burn-in among them.
        baseline: ``L(w*)``, over the whole sampling set.
        run: How they were made.
        distances: Root mean square distance of each chain's draws from the checkpoint.

    Raises:
        ValueError: If fewer than four draws are left.
    """
    draws = losses[:, run.burn_in :]
    if draws.shape[1] < 4:
        raise ValueError(
            f"{losses.shape[1]} steps with {run.burn_in} of burn-in leave {draws.shape[1]} draws; give four"
        )
    lost = ~np.isfinite(losses).all(axis=1)
    per_chain = np.where(lost, np.nan, run.n_beta * (draws.mean(axis=1) - baseline))
    kept = draws[~lost]
    if not len(kept):
        return Estimate(
            np.nan, np.nan, per_chain, np.nan, 0.0, int(lost.sum()), np.nan, np.nan, np.nan, ("every chain diverged",)
        )
    if np.ptp(kept) == 0:
        stuck = ("the loss is the same at every step: nothing moves, or nothing that moves matters",)
        return Estimate(
            float(np.nanmean(per_chain)), np.nan, per_chain, np.nan, 0.0, int(lost.sum()), np.nan, np.nan, np.nan, stuck
        )
    found = Estimate(
        llc=float(np.nanmean(per_chain)),
        error=run.n_beta * _error(kept),
        per_chain=per_chain,
        rhat=float(array_stats.rhat(_several(kept), chain_axis=0, draw_axis=1)),
        ess=float(array_stats.ess(kept, chain_axis=0, draw_axis=1, method="mean")),
        diverged=int(lost.sum()),
        drift=_drift(kept),
        reach=np.nan if distances is None else _reach(distances[~lost], run),
        decided=np.nan,
        warnings=(),
    )
    decided = _decided(kept, found.llc, run)
    found = replace(found, decided=decided, advice=_advice(decided, run))
    warnings = _warnings(found, run)
    drop = run.n_beta * (baseline - float(kept.min()))
    if not run.noisy and drop > BELOW * max(found.llc, 1):
        warnings.append(
            f"draws lie up to {drop:.2g} below the checkpoint in n_beta L: it is no minimum, and the value is too small"
        )
    if distances is not None and run.resolution > float(np.sqrt(np.mean(distances[~lost] ** 2))):
        warnings.append(
            "chains stay closer to the checkpoint than rounding can tell: a weaker localisation, a larger step"
        )
    return replace(found, warnings=tuple(warnings))


def extrapolated(one: Estimate, half: Estimate) -> Estimate:
    """The coefficient at step size 0, from one step size and half of it: twice the second less the first.

    The bias of a small step is proportional to it; what is left is of second order. The error is that of the
    combination, about two to three times that of either.
    """
    both = (one, half)
    return Estimate(
        llc=2 * half.llc - one.llc,
        error=math.hypot(2 * half.error, one.error),
        per_chain=2 * half.per_chain - one.per_chain,
        rhat=max(e.rhat for e in both),
        ess=min(e.ess for e in both),
        diverged=max(e.diverged for e in both),
        drift=max((e.drift for e in both), key=abs),
        reach=max(e.reach for e in both),
        decided=min(e.decided for e in both),
        advice=half.advice or one.advice,
        warnings=tuple(dict.fromkeys(warning for e in both for warning in e.warnings)),
    )


def _several(kept: Float[np.ndarray, "chains draws"]) -> Float[np.ndarray, "some some_draws"]:
    """The chains, or the halves of a single one."""
    return kept if len(kept) > 1 else kept[:, : kept.shape[1] // 2 * 2].reshape(2, -1)


def _error(kept: Float[np.ndarray, "chains draws"]) -> float:
    """Standard error of the mean: that of correlated draws, or that of the chains' own means if it is larger.

    The first is too small where draws are skewed and mix slowly; the second needs chains, and is not taken of few.
    """
    error = float(array_stats.mcse(kept, chain_axis=0, draw_axis=1, method="mean"))
    if len(kept) < FEW:
        return error
    return max(error, float(kept.mean(axis=1).std(ddof=1)) / math.sqrt(len(kept)))


def _drift(draws: Float[np.ndarray, "chains draws"]) -> float:
    """Difference of the means of both halves over its standard error (Geweke 1992, with halves)."""
    middle = draws.shape[1] // 2
    halves = draws[:, :middle], draws[:, middle:]
    errors = [float(array_stats.mcse(half, chain_axis=0, draw_axis=1, method="mean")) for half in halves]
    rise, noise = halves[1].mean() - halves[0].mean(), math.hypot(*errors)
    return float(rise / noise) if noise > 0 else 0.0


def _reach(distances: Float[np.ndarray, " chains"], run: Run) -> float:
    return float(np.sqrt(np.mean(distances**2) * run.localisation / run.parameters))


def _decided(kept: Float[np.ndarray, "chains draws"], llc: float, run: Run) -> float:
    """Largest share of the coefficient that the loss may decide: the end of a one-sided 95 % interval.

    ``Var(n_beta L) / llc``. If the loss decides alone, ``n_beta L`` has a Gamma distribution whose shape is the
    coefficient, and the share is 1. On a quadratic with ``s = n_beta h / (n_beta h + localisation)`` it is
    ``sum s^2 / sum s``: the mean of ``s``, each direction weighted by what it adds to the coefficient. So it is at
    least ``2 llc / parameters``, and at most the ``s`` of the largest curvature. The noise of minibatches is left out:
    two neighbouring draws do not share it.
    """
    steep = run.n_beta * run.curvature / (run.n_beta * run.curvature + run.localisation)
    if llc <= 0:
        return float(np.fmin(1.0, steep))
    away = run.n_beta * (kept - kept.mean())
    squares = away**2
    if run.noisy:
        squares, next_ones = away[:, :-1] * away[:, 1:], (away[:, :-2] * away[:, 2:]).mean()
        lacking = squares.mean() / next_ones if next_ones > 0 else SPARSE
        squares = squares * np.clip(lacking, 1, SPARSE)
    error = float(array_stats.mcse(squares, chain_axis=0, draw_axis=1, method="mean"))
    share = float(squares.mean()) + float(stats.norm.ppf(0.95)) * error
    return float(np.fmin(min(max(share / llc, 2 * llc / run.parameters), 1.0), steep))


def _advice(decided: float, run: Run) -> str:
    """What to say where the localisation decides more than the loss; empty where it does not, or is not known to."""
    if not decided < DECIDED:
        return ""
    typical = run.localisation * decided / (1 - decided)
    return (
        f"localisation {run.localisation:g} holds what is measured: n_beta h is at most {typical:.2g} in the typical "
        f"direction that is seen; a localisation of {typical / FREE:.1g} or less lets the loss decide"
    )


def _warnings(found: Estimate, run: Run) -> list[str]:
    out = []
    margin = float(stats.norm.ppf(0.975)) * found.error
    if found.diverged:
        out.append(f"{found.diverged} of {len(found.per_chain)} chains diverged and are left out: take a smaller step")
    if found.rhat > MIXED:
        out.append(f"chains disagree (R-hat {found.rhat:.2f}): draw more")
    if abs(found.drift) > DRIFTED:
        way = "rises" if found.drift > 0 else "falls"
        out.append(f"the loss still {way} ({found.drift:+.1f} standard errors): burn in longer")
    if run.bias > BIASED:
        out.append(f"the step may overstate the top Hessian eigenvector {run.bias:.3g} times: take a smaller one")
    if run.burn_in < run.settled:
        out.append(f"a burn-in of {run.burn_in} is short of the {run.settled} in which flat directions settle")
    if found.interval(run.bias)[0] > run.parameters / 2:
        out.append(f"above half of the {run.parameters} parameters that moved, which no minimum exceeds: not local")
    if found.reach > WANDERED:
        out.append(f"chains are {found.reach:.1f} times as far from the checkpoint as the localisation alone would "
                   "have them: not local; take a smaller step or a stronger localisation")  # fmt: skip
    if found.llc + margin < 0:
        out.append("below zero: the checkpoint is no minimum of this loss; train further, or raise the localisation")
    return out
