"""What settings of chains tell before any chain runs: whether they have too few steps."""

from __future__ import annotations

from landscape.llc import samplers
from landscape.llc.curvature import SAFE
from landscape.llc.run import EQUILIBRIUM, equilibrium
from landscape.llc.sampling import inverse_temperature
from landscape.llc.settings import ChainSettings


def too_few(settings: ChainSettings, step_size: float, at_least: bool = False) -> str | None:
    """A warning if burn-in or draws are fewer than flat directions need at this step size; None if they are enough.

    Args:
        settings: Of the chains.
        step_size: Step size of the chains.
        at_least: Whether the step may turn out to be shorter, so that more steps may be needed.
    """
    needed = equilibrium(settings.sampler, step_size, settings.localisation)
    short = [f"{name} = {count}" for name, count in (("burn_in", settings.burn_in), ("draws", settings.draws))
             if count < needed]  # fmt: skip
    if not short:
        return None
    few = " and ".join(short)
    return (
        f"llc: {few} {'are' if len(short) > 1 else 'is'} too few at localisation {settings.localisation:g} and step "
        f"size {step_size:.3g}{' or less' if at_least else ''}: flat directions settle in "
        f"{needed}{' or more' if at_least else ''} steps, and fewer leave the value or its error in doubt"
    )


def foreseen(settings: ChainSettings, examples: int) -> str | None:
    """A warning on the number of steps, before the curvature is measured; None if they are enough.

    With ``auto`` the step size is at most ``0.4 / localisation``, and more steps are needed for a larger curvature.

    Args:
        settings: Of the chains.
        examples: Number of examples.
    """
    if settings.step_size != "auto":
        return too_few(settings, settings.step_size)
    longest = SAFE / settings.localisation
    if said := too_few(settings, longest, at_least=True):
        return said
    if not equilibrium(settings.sampler, longest, settings.localisation):
        return None
    pull = samplers.load(settings.sampler).pull_at(EQUILIBRIUM / min(settings.burn_in, settings.draws))
    largest = settings.localisation * (SAFE / pull - 1) / inverse_temperature(settings, examples)
    return (
        f"llc: burn_in = {settings.burn_in} and draws = {settings.draws} are enough at localisation "
        f"{settings.localisation:g} if the largest curvature, which is measured first, is below {largest:.3g}; the "
        "steps that are needed grow with it"
    )
