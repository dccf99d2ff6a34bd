"""From traces of the loss to the local learning coefficient, its error and its diagnostics."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from arviz_stats.base import array_stats
from scipy import stats

from landscape.llc.run import Run
from landscape.shapes import Bool, Float

MIXED = 1.1
"""R-hat above which chains disagree. Vehtari et al. 2021 ask for 1.01, for tails; here only the mean matters."""
DRIFTED = 3.0
"""Difference of the two halves of the draws, in standard errors, above which the loss counts as drifting."""
BIASED = 1.5
"""Bias of the step in the top Hessian eigenvector above which it is too large."""
WANDERED = 1.25
"""Distance from the centre, relative to that of the localisation alone, above which a chain is not local."""
FEW = 4
"""Number of chains below which the spread of their means is too uncertain to estimate the error."""
DECIDED = 0.8
"""Share of the coefficient that the loss, and not the localisation, must decide."""
FREE = 10.0
"""``n_beta h`` over the proposed localisation; the loss then decides ten elevenths."""
BELOW = 0.1
"""How far below the checkpoint the loss of draws may lie, as a share of the coefficient, or of 1 if larger."""
SPARSE = 1.6
"""Largest ratio of the variance of losses to the covariance of neighbouring draws, at steps up to the automatic one."""


@dataclass(frozen=True)
class Estimate:
    """A local learning coefficient.

    Attributes:
        llc: ``n_beta (mean of L(w) over draws - L(w*))``, over the chains that did not diverge. It has no unit;
            nan if no chain is left.
        error: Monte Carlo standard error of it.
        per_chain: The value of each chain; nan where it diverged.
        rhat: Rank-normalised split R-hat of the loss.
        ess: Effective sample size, a number of draws.
        diverged: Number of chains whose loss was not finite at some step.
        drift: Rise of the loss from the first half of the draws to the second, in standard errors.
        reach: Root mean square distance from the checkpoint over ``sqrt(parameters / localisation)``, the distance that
            the localisation alone would give; nan if the distances are unknown.
        decided: Share of the value that the loss and not the localisation decides, at most 1; see :func:`_decided`.
        warnings: Reasons why the value is unreliable, in words; empty if it is reliable.
        advice: A hint where the value is right, but the localisation decides more of it than the loss.
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
        """95 % interval. Its lower end is divided by the step bias that the value may have."""
        margin = float(stats.norm.ppf(0.975)) * self.error
        low = self.llc - margin
        return (low / bias if bias > 1 and low > 0 else low), self.llc + margin


def estimate(
    losses: Float[np.ndarray, "chains steps"],
    baseline: float,
    run: Run,
    distances: Float[np.ndarray, " chains"] | None = None,
) -> Estimate:
    """The coefficient from traces of the loss, without their burn-in.

    A chain that diverged is left out, counted and named among the warnings.

    Args:
        losses: Loss at every step, including the burn-in.
        baseline: ``L(w*)``, over the whole sampling set.
        run: How they were made.
        distances: Root mean square distance of each chain's draws from the checkpoint.

    Raises:
        ValueError: If fewer than four draws are left.
    """
    draws = _draws(losses, run.burn_in)
    lost = ~np.isfinite(losses).all(axis=1)
    per_chain = np.where(lost, np.nan, run.n_beta * (draws.mean(axis=1) - baseline))
    kept = draws[~lost]
    if not len(kept):
        return _without(np.nan, per_chain, lost, "every chain diverged")
    llc = float(np.nanmean(per_chain))
    if np.ptp(kept) == 0:
        stuck = "the loss is the same at every step: nothing moves, or nothing that moves matters"
        return _without(llc, per_chain, lost, stuck)
    decided = _decided(kept, llc, run)
    found = Estimate(
        llc=llc,
        error=run.n_beta * _error(kept),
        per_chain=per_chain,
        rhat=float(array_stats.rhat(_several(kept), chain_axis=0, draw_axis=1)),
        ess=float(array_stats.ess(kept, chain_axis=0, draw_axis=1, method="mean")),
        diverged=int(lost.sum()),
        drift=_drift(kept),
        reach=np.nan if distances is None else _reach(distances[~lost], run),
        decided=decided,
        warnings=(),
        advice=_advice(decided, run),
    )
    warnings = [*_warnings(found, run), *_warnings_of_draws(found, kept, baseline, run)]
    if distances is not None and run.resolution > float(np.sqrt(np.mean(distances[~lost] ** 2))):
        warnings.append(
            "chains stay closer to the checkpoint than rounding can tell: a weaker localisation, a larger step"
        )
    return replace(found, warnings=tuple(warnings))


def _draws(losses: Float[np.ndarray, "chains steps"], burn_in: int) -> Float[np.ndarray, "chains draws"]:
    """Losses without the burn-in.

    Raises:
        ValueError: If fewer than four draws are left.
    """
    draws = losses[:, burn_in:]
    if draws.shape[1] < 4:
        raise ValueError(f"{losses.shape[1]} steps with {burn_in} of burn-in leave {draws.shape[1]} draws; give four")
    return draws


def _without(
    llc: float, per_chain: Float[np.ndarray, " chains"], lost: Bool[np.ndarray, " chains"], said: str
) -> Estimate:
    """An estimate without an error, with the reason as its warning."""
    return Estimate(llc, np.nan, per_chain, np.nan, 0.0, int(lost.sum()), np.nan, np.nan, np.nan, warnings=(said,))


def extrapolated(one: Estimate, half: Estimate) -> Estimate:
    """The coefficient at step size 0, extrapolated from one step size and half of it: ``2 half - one``.

    The bias of a small step is proportional to it, so what is left is of second order. The error is that of the
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
    """The chains, or the two halves of a single chain."""
    return kept if len(kept) > 1 else kept[:, : kept.shape[1] // 2 * 2].reshape(2, -1)


def _error(kept: Float[np.ndarray, "chains draws"]) -> float:
    """Standard error of the mean: that of correlated draws, or that of the means of chains if it is larger.

    The first is too small where draws are skewed and mix slowly. The second is used with enough chains only.
    """
    error = float(array_stats.mcse(kept, chain_axis=0, draw_axis=1, method="mean"))
    if len(kept) < FEW:
        return error
    return max(error, float(kept.mean(axis=1).std(ddof=1)) / math.sqrt(len(kept)))


def _drift(draws: Float[np.ndarray, "chains draws"]) -> float:
    """Difference of the means of the two halves, in its standard error (Geweke 1992, with halves)."""
    middle = draws.shape[1] // 2
    halves = draws[:, :middle], draws[:, middle:]
    errors = [float(array_stats.mcse(half, chain_axis=0, draw_axis=1, method="mean")) for half in halves]
    rise, noise = halves[1].mean() - halves[0].mean(), math.hypot(*errors)
    return float(rise / noise) if noise > 0 else 0.0


def _reach(distances: Float[np.ndarray, " chains"], run: Run) -> float:
    return float(np.sqrt(np.mean(distances**2) * run.localisation / run.parameters))


def _decided(kept: Float[np.ndarray, "chains draws"], llc: float, run: Run) -> float:
    """Upper end of a one-sided 95 % interval of the share of the coefficient that the loss decides, in [0, 1].

    The share is ``Var(n_beta L) / llc``. If the loss alone decides, ``n_beta L`` has a Gamma distribution whose shape
    is the coefficient, and the share is 1. On a quadratic with ``s = n_beta h / (n_beta h + localisation)`` it is
    ``sum s^2 / sum s``: the mean of ``s``, with each direction weighted by its part of the coefficient. So it is at
    least ``2 llc / parameters``, and at most the ``s`` of the largest curvature. Covariances of neighbouring draws
    replace the variance where losses have minibatch noise, because draws do not share that noise.
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
    """What to say where the localisation decides more than the loss; empty otherwise, or where that is unknown."""
    if not decided < DECIDED:
        return ""
    typical = run.localisation * decided / (1 - decided)
    return (
        f"localisation {run.localisation:g} holds what is measured: n_beta h is at most {typical:.2g} in the typical "
        f"direction; a localisation of {typical / FREE:.1g} or less lets the loss decide"
    )


def _warnings(found: Estimate, run: Run) -> list[str]:
    """What the diagnostics say against the value."""
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
    if run.burn_in < run.equilibrium:
        out.append(f"a burn-in of {run.burn_in} is short of the {run.equilibrium} in which flat directions settle")
    if found.interval(run.bias)[0] > run.parameters / 2:
        out.append(f"above half of the {run.parameters} parameters that moved, which no minimum exceeds: not local")
    if found.reach > WANDERED:
        out.append(f"chains are {found.reach:.1f} times as far from the checkpoint as the localisation alone would "
                   "have them: not local; take a smaller step or a stronger localisation")  # fmt: skip
    if found.llc + margin < 0:
        out.append("below zero: the checkpoint is no minimum of this loss; train further, or raise the localisation")
    return out


def _warnings_of_draws(
    found: Estimate, kept: Float[np.ndarray, "chains draws"], baseline: float, run: Run
) -> list[str]:
    """Whether draws lie too far below the checkpoint; unknown with noisy losses."""
    drop = run.n_beta * (baseline - float(kept.min()))
    if not run.noisy and drop > BELOW * max(found.llc, 1):
        return [
            f"draws lie up to {drop:.2g} below the checkpoint in n_beta L: it is no minimum, and the value is too small"
        ]
    return []
