"""What checkpoints can do, and how differently they behave."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from landscape.spec import MOST_SEED, BesideStudy, Settings, one_or_several
from landscape.study.kinds.pairs import Between, Steps

PREDICTIONS = "predictions"
"""In place of a probe, for distances: what the models predict on the examples of the study."""
MOST_ITEMS = 1_000_000


class _Asking(Settings):
    """Probes, and what they are asked with.

    Attributes:
        names: Which probes; ``harness:TASK`` is a task of lm-evaluation-harness.
        count: Items to make or to take; left out, as many as a probe finds right.
        items: The user's own items, of one probe: a file, or a folder of them.
        train_text: What the models were trained on, or a text like it; ``ngrams`` needs it.
        labels: Classes of a classifier of sentence pairs in the order of its outputs, if its config does not name them.
        pll: Which pseudo-log-likelihood masked models are scored with.
        seed: Of what is random in the items.
        at_steps: As for barriers.
        dtype: Always float32.
    """

    names: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(one_or_several)]
    count: int | None = Field(None, ge=2, le=MOST_ITEMS)
    items: BesideStudy | None = None
    train_text: BesideStudy | None = None
    labels: tuple[str, ...] | None = None
    pll: Literal["within_word_l2r", "original"] = "within_word_l2r"
    seed: int = Field(0, ge=0, le=MOST_SEED)
    at_steps: Steps = "all"
    dtype: Literal["float32"] = "float32"

    @model_validator(mode="after")
    def _items_are_of_one_probe(self) -> _Asking:
        if self.items is not None and len(self.names) > 1:
            raise ValueError("items are those of one probe: give each probe with items a [[measure]] of its own")
        return self

    @property
    def asked(self) -> dict[str, Any]:
        """What decides the answer of any of the probes, the contents of files aside."""
        return self.model_dump(include={"count", "labels", "pll", "seed", "dtype"})


class Probes(_Asking):
    """What each checkpoint can do.

    Attributes:
        kind: Always ``probes``.
        among: As for llc.
    """

    kind: Literal["probes"]
    among: Literal["seeds", "branches", "all"] = "seeds"

    @model_validator(mode="after")
    def _predictions_are_no_probe(self) -> Probes:
        if PREDICTIONS in self.names:
            raise ValueError(f'{PREDICTIONS} are compared, pair by pair: give kind = "behaviour"')
        return self


class Behaviour(_Asking):
    """How differently the checkpoints of a pair behave.

    Attributes:
        kind: Always ``behaviour``.
        between: As for barriers.
        names: ``predictions`` on the examples of ``[data]``, or probes that ask for choices.
        tile: As for barriers.
    """

    kind: Literal["behaviour"]
    between: Between = "seeds"
    names: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(one_or_several)] = (PREDICTIONS,)
    tile: int = Field(4, ge=1)
