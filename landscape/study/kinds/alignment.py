"""How checkpoints are aligned, and on what text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from landscape.catalogue import MATCHERS
from landscape.spec import BesideStudy
from landscape.study.sections import Data
from landscape.symmetry.settings import AlignSettings

if TYPE_CHECKING:
    Symmetry = str
else:
    Symmetry = Literal["none", *MATCHERS]
ON_TEXT = tuple(name for name, member in MATCHERS.items() if "align_text" in member.reads)
"""Ways to align that need batches."""


class Alignment(AlignSettings):
    """How checkpoints are aligned, and on what text.

    Attributes:
        text: For ``activations`` and ``learned``: the text to align on, another than that of ``[data]``.
        sequences: Number of examples of it.
    """

    text: BesideStudy | None = None
    sequences: int = Field(256, ge=8)

    def aligned_on(self, data: Data) -> Data:
        """The batches to align on."""
        return data.model_copy(update={"text": self.text, "sequences": self.sequences})

    def settings(self, symmetry: str) -> dict[str, Any]:
        """What decides the numbers of one way to align, apart from the text."""
        names = {"symmetry_group", "groups", "seed", *MATCHERS.load(symmetry).SETTINGS}
        return {"symmetry": symmetry, **self.model_dump(mode="json", include=names)}
