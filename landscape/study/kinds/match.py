"""How the symmetries of an architecture are taken out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from landscape.spec import MOST_SEED, BesideStudy, Settings, one_or_several
from landscape.study.sections import Data

Symmetry = Literal["none", "weights", "activations", "learned", "random"]
ON_TEXT = ("activations", "learned")
"""Ways to match that need batches."""


class Matching(Settings):
    """How the symmetries of an architecture are taken out.

    Attributes:
        symmetry_group: All that are exact, rotations of the stream and of heads among them, or permutations only.
        groups: Patterns of the names of groups that may change, such as ``*.ffn``, ``*.heads``, ``stream``.
        text: For ``activations`` and ``learned``: what to match on, another text than that of ``[data]``.
        sequences: Examples of it.
        starts: Starts of matching by weights; None is chosen by the size of the model.
        steps: Of ``learned``.
        rate: Of ``learned``.
        seed: Of all that is random.
    """

    symmetry_group: Literal["all", "permutations"] = "all"
    groups: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(one_or_several)] = ("*",)
    text: BesideStudy | None = None
    sequences: int = Field(256, ge=8)
    starts: int | None = Field(None, ge=1, le=1000)
    steps: int = Field(200, ge=1)
    rate: float = Field(0.3, gt=0)
    seed: int = Field(0, ge=0, le=MOST_SEED)

    def matched_on(self, data: Data) -> Data:
        """The batches that are matched on."""
        return data.model_copy(update={"text": self.text, "sequences": self.sequences})

    def settings(self, symmetry: str) -> dict[str, Any]:
        """What decides the numbers of one method, the text aside."""
        shared = {"symmetry_group", "groups", "seed"}
        own = {"weights": {"starts"}, "learned": {"starts", "steps", "rate"}}.get(symmetry, set())
        return {"symmetry": symmetry, **self.model_dump(mode="json", include=shared | own)}
