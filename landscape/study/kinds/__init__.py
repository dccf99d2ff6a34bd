"""What a study measures: the settings of each kind of ``[[measure]]``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from landscape.study.kinds.alignment import ON_TEXT, Alignment
from landscape.study.kinds.llc import Llc
from landscape.study.kinds.pairs import Barriers, Between, Curves, Steps
from landscape.study.kinds.probes import MOST_ITEMS, PREDICTIONS, Behaviour, Probes
from landscape.study.kinds.regions import Planes, Simplices

__all__ = [
    "MOST_ITEMS", "ON_TEXT", "PREDICTIONS", "AnyMeasure", "Barriers", "Behaviour", "Between", "Curves", "Llc",
    "Alignment", "Measure", "Planes", "Probes", "Simplices", "Steps",
]  # fmt: skip

AnyMeasure = Barriers | Curves | Simplices | Planes | Llc | Probes | Behaviour
Measure = Annotated[AnyMeasure, Field(discriminator="kind")]
