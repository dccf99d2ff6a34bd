"""Settings of alignment. No torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from landscape.spec import MOST_SEED, Settings, one_or_several


class AlignSettings(Settings):
    """How checkpoints are aligned.

    Attributes:
        symmetry_group: ``all`` exact symmetries, including rotations of the stream and inside heads; or permutations.
        groups: Patterns of the names of groups that may change, such as ``*.ffn``, ``*.heads``, ``stream``.
        starts: Number of starts of ``weights``; left out, it is chosen by the size of the model.
        steps: Optimizer steps of ``learned``.
        rate: Learning rate of ``learned``.
        seed: Random seed of alignment.
    """

    symmetry_group: Literal["all", "permutations"] = "all"
    groups: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(one_or_several)] = ("*",)
    starts: int | None = Field(None, ge=1, le=1000)
    steps: int = Field(200, ge=1)
    rate: float = Field(0.3, gt=0)
    seed: int = Field(0, ge=0, le=MOST_SEED)
