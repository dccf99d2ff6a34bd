"""Samplers: pure steps on ``[chains, P]`` vectors with the noise passed in. A sampler is one file and one line here."""

from types import ModuleType

from landscape.llc.samplers import mala, rmsprop, sgld, sgnht
from landscape.llc.samplers.state import Dynamics, Noise, Slopes, State

KINDS: dict[str, ModuleType] = {"sgld": sgld, "rmsprop": rmsprop, "sgnht": sgnht, "mala": mala}

__all__ = ["KINDS", "Dynamics", "Noise", "Slopes", "State"]
