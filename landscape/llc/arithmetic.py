"""What settings of chains say before any chain is run: steps that are too few by arithmetic."""

from __future__ import annotations

from landscape.llc.curvature import SAFE
from landscape.llc.estimate import EQUILIBRIUM, settled
from landscape.llc.samplers.sgnht import FRICTION
from landscape.llc.sampling import inverse_temperature
from landscape.llc.settings import ChainSettings


def too_few(settings: ChainSettings, step_size: float, at_least: bool = False) -> str | None:
    """A sentence if burn-in or draws are fewer than flat directions need at this step; None if they are enough.

    Args:
        settings: Of the chains.
        step_size: Of the chains.
        at_least: Whether the step may turn out to be shorter, so that more is needed.
    """
    needed = settled(settings.sampler, step_size, settings.localisation)
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
    """What can be said of the number of steps before the curvature is measured; None if they are enough.

    With ``auto`` the step is at most ``0.4 / localisation``, and the needed steps grow with the largest curvature.

    Args:
        settings: Of the chains.
        examples: How many there are.
    """
    if settings.step_size != "auto":
        return too_few(settings, settings.step_size)
    longest = SAFE / settings.localisation
    if said := too_few(settings, longest, at_least=True):
        return said
    if not settled(settings.sampler, longest, settings.localisation):
        return None
    pace = EQUILIBRIUM / min(settings.burn_in, settings.draws)
    pace *= FRICTION / 2 if settings.sampler == "sgnht" else 1
    flattest = settings.localisation * (SAFE / pace - 1) / inverse_temperature(settings, examples)
    return (
        f"llc: burn_in = {settings.burn_in} and draws = {settings.draws} are enough at localisation "
        f"{settings.localisation:g} if the largest curvature, which is measured first, is below {flattest:.3g}; the "
        "steps that are needed grow with it"
    )
