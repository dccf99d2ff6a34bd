"""What is measured on several checkpoints at once: mixtures and planes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from landscape.spec import MOST_SEED, Settings
from landscape.study.kinds.pairs import Steps


class Simplices(Settings):
    """Mixtures of all checkpoints of a group: edges, centre and inside of their simplex.

    Attributes:
        kind: Always ``simplices``.
        between: As for barriers: which checkpoints make a simplex.
        at_steps: As for barriers.
        mixtures: Random mixtures, drawn evenly from the simplex.
        seed: Of these.
        dtype: As for barriers.
        keep_losses: As for barriers.
    """

    kind: Literal["simplices"]
    between: Literal["seeds", "branches", "all"] = "seeds"
    at_steps: Steps = "all"
    mixtures: int = Field(16, ge=0)
    seed: int = Field(0, ge=0, le=MOST_SEED)
    dtype: Literal["float32", "tf32", "bfloat16"] = "float32"
    keep_losses: bool = True

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the numbers."""
        return self.model_dump(include={"between", "mixtures", "seed", "dtype"})


class Planes(Settings):
    """The loss on planes.

    Attributes:
        kind: Always ``planes``.
        plane: ``through`` three checkpoints; ``random`` around each; ``trajectory``, the two principal components.
        among: ``seeds`` takes the first three seeds at each step, or for a trajectory the steps of each seed; ``all``
            takes all checkpoints.
        at_steps: As for barriers.
        resolution: Places along the longer side.
        margin: Room around the checkpoints, in widths of their extent.
        span: For ``random``: half of the width, in lengths of the directions, 1 being that of the checkpoint's filters.
        seed: For ``random``: of the directions.
        dtype: As for barriers.
        parts: Tasks that a plane is cut into.
    """

    kind: Literal["planes"]
    plane: Literal["through", "random", "trajectory"]
    among: Literal["seeds", "all"] = "seeds"
    at_steps: Steps = "all"
    resolution: int = Field(21, ge=3, le=501)
    margin: float = Field(0.3, ge=0, le=10)
    span: float = Field(1.0, gt=0)
    seed: int = Field(0, ge=0, le=MOST_SEED)
    dtype: Literal["float32", "tf32", "bfloat16"] = "float32"
    parts: int = Field(4, ge=1)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the numbers."""
        names = {"plane", "resolution", "dtype", "parts"}
        return self.model_dump(include=names | ({"span", "seed"} if self.plane == "random" else {"margin"}))
