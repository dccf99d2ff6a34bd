"""The local learning coefficient."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from landscape.llc.settings import ChainSettings
from landscape.study.kinds.pairs import Steps


class Llc(ChainSettings):
    """The local learning coefficient of each checkpoint.

    Attributes:
        kind: Always ``llc``.
        among: Of the seeds, of the branches, or of both.
        at_steps: As for barriers.
        parts: Number of tasks that the chains of a checkpoint are split into, so that several workers share them.
        tile: Checkpoints whose chains may run in one batch, for small models; a tile is one task.
    """

    kind: Literal["llc"]
    among: Literal["seeds", "branches", "all"] = "seeds"
    at_steps: Steps = "all"
    parts: int = Field(1, ge=1)
    tile: int = Field(1, ge=1)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the numbers."""
        return self.model_dump(include=set(ChainSettings.model_fields))
