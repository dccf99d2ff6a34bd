"""From traces to the local learning coefficient, its error, and whether to believe it. NumPy only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from arviz_stats.base import array_stats
from scipy import stats

from landscape.shapes import Bool, Float

MIXED = 1.05
"""R-hat above which chains disagree (Vehtari et al. 2021 ask for 1.01 of final results)."""
DRIFTED = 3.0
"""Standard errors between the halves of the draws above which they count as still moving."""


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
        alarms: What makes the value doubtful, in words; empty if nothing does.
    """

    llc: float
    error: float
    per_chain: Float[np.ndarray, " chains"]
    rhat: float
    ess: float
    diverged: int
    drift: float
    alarms: tuple[str, ...]


def estimate(
    losses: Float[np.ndarray, "chains steps"], baseline: float, n_beta: float, burn_in: int, parameters: int
) -> Estimate:
    """The coefficient from traces of the loss.

    Burn-in enters no number. A chain that diverged is left out, counted and named among the alarms.

    Args:
        losses: Of every step, burn-in among them.
        baseline: ``L(w*)``, over the whole sampling set.
        n_beta: As it was sampled with.
        burn_in: Steps to leave out.
        parameters: Coordinates that moved; their half is the coefficient of a regular minimum.

    Raises:
        ValueError: If fewer than four draws are left.
    """
    draws = losses[:, burn_in:]
    if draws.shape[1] < 4:
        raise ValueError(f"{losses.shape[1]} steps with {burn_in} of burn-in leave {draws.shape[1]} draws; give four")
    lost = ~np.isfinite(losses).all(axis=1)
    per_chain = np.where(lost, np.nan, n_beta * (draws.mean(axis=1) - baseline))
    kept = draws[~lost]
    if not len(kept):
        return Estimate(np.nan, np.nan, per_chain, np.nan, 0.0, int(lost.sum()), np.nan, ("every chain diverged",))
    rhat = float(array_stats.rhat(kept, chain_axis=0, draw_axis=1)) if len(kept) > 1 else np.nan
    ess = float(array_stats.ess(kept, chain_axis=0, draw_axis=1, method="mean"))
    error = n_beta * float(array_stats.mcse(kept, chain_axis=0, draw_axis=1, method="mean"))
    llc, drift = float(np.nanmean(per_chain)), _drift(kept)
    return Estimate(
        llc,
        error,
        per_chain,
        rhat,
        ess,
        int(lost.sum()),
        drift,
        tuple(_alarms(llc, error, rhat, drift, lost, parameters)),
    )


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
        alarms=tuple(dict.fromkeys(alarm for e in both for alarm in e.alarms)),
    )


def predicted_bias(step_size: float, n_beta: float, curvature: float, localisation: float) -> float:
    """Factor by which SGLD overstates the width of a quadratic direction of this curvature.

    ``1 / (1 - step_size kappa / 4)`` with ``kappa = n_beta curvature + localisation``; infinite where the step is
    unstable. It is an upper bound for all directions if the curvature is the largest.
    """
    share = step_size * (n_beta * curvature + localisation) / 4
    return 1 / (1 - share) if share < 1 else float("inf")


def _drift(draws: Float[np.ndarray, "chains draws"]) -> float:
    """Difference of the means of both halves over its standard error (Geweke 1992, with halves)."""
    middle = draws.shape[1] // 2
    halves = draws[:, :middle], draws[:, middle:]
    errors = [float(array_stats.mcse(half, chain_axis=0, draw_axis=1, method="mean")) for half in halves]
    rise, noise = halves[1].mean() - halves[0].mean(), math.hypot(*errors)
    return float(rise / noise) if noise > 0 else 0.0


def _alarms(
    llc: float, error: float, rhat: float, drift: float, lost: Bool[np.ndarray, " chains"], parameters: int
) -> list[str]:
    out = []
    if lost.any():
        out.append(f"{int(lost.sum())} of {len(lost)} chains diverged and are left out: take a smaller step")
    if rhat > MIXED:
        out.append(f"chains disagree (R-hat {rhat:.2f}): draw more")
    if abs(drift) > DRIFTED:
        out.append(f"the loss still {'rises' if drift > 0 else 'falls'} ({drift:+.1f} standard errors): burn in longer")
    if llc - stats.norm.ppf(0.975) * error > parameters / 2:
        out.append(f"above half of the {parameters} parameters that moved, which no minimum exceeds: not local")
    if llc + stats.norm.ppf(0.975) * error < 0:
        out.append("below zero: the checkpoint is no minimum of this loss; train further, or raise the localisation")
    return out
