"""What a study measures: the settings of each kind of ``[[measure]]``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from landscape.measures.llc import Llc
from landscape.measures.match import ON_TEXT, Matching
from landscape.measures.pairs import Barriers, Between, Curves, Steps
from landscape.measures.probes import MOST_ITEMS, PREDICTIONS, Behaviour, Probes
from landscape.measures.regions import Planes, Simplices

__all__ = [
    "MOST_ITEMS", "ON_TEXT", "PREDICTIONS", "AnyMeasure", "Barriers", "Behaviour", "Between", "Curves", "Llc",
    "Matching", "Measure", "Planes", "Probes", "Simplices", "Steps",
]  # fmt: skip

AnyMeasure = Barriers | Curves | Simplices | Planes | Llc | Probes | Behaviour
Measure = Annotated[AnyMeasure, Field(discriminator="kind")]
