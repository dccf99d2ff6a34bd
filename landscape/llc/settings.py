"""Settings of chains. No torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from landscape.catalogue import SAMPLERS
from landscape.spec import MOST_SEED, Choice, Settings, one_or_several


class ChainSettings(Settings):
    """What decides the numbers of chains around a checkpoint.

    Attributes:
        sampler: How draws are made.
        chains: Number of independent chains.
        draws: Steps per chain that are kept.
        burn_in: Steps before them, which are discarded.
        batch: Examples per step; ``all`` for full batches, which ``mala`` needs.
        n_beta: Factor on the mean loss: a number, ``log_n`` for n / ln n of all examples, ``log_batch`` of a batch.
        localisation: Strength of the pull to the checkpoint.
        step_size: A number, or ``auto``: from the largest curvature.
        extrapolate: Whether to also run half the step size and extrapolate to 0; costs three times as much.
        parameters: What moves, the rest being frozen: names with ``*``, parts as ``NAME[0:16, :]``, or ``head 0.3``;
            all parameters if left out.
        mode: ``training`` has dropout on.
        keep_draws: Save the point of every n-th draw, in a separate file; 0 saves none.
        seed: Of noise and batches.
        dtype: Always float32.
    """

    sampler: Annotated[str, AfterValidator(Choice(SAMPLERS))] = "sgld"
    chains: int = Field(4, ge=1)
    draws: int = Field(200, ge=4)
    burn_in: int = Field(200, ge=0)
    batch: Annotated[int, Field(ge=1)] | Literal["all"] = 32
    n_beta: Annotated[float, Field(gt=0)] | Literal["log_n", "log_batch"] = "log_n"
    localisation: float = Field(100.0, gt=0)
    step_size: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
    extrapolate: bool = False
    parameters: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(one_or_several)] | None = None
    mode: Literal["evaluation", "training"] = "evaluation"
    keep_draws: int = Field(0, ge=0)
    seed: int = Field(0, ge=0, le=MOST_SEED)
    dtype: Literal["float32"] = "float32"

    @model_validator(mode="after")
    def _fit_together(self) -> ChainSettings:
        sampler = SAMPLERS.load(self.sampler)
        if sampler.FULL_BATCH and self.batch != "all":
            raise ValueError(f'sampler = "{self.sampler}" is exact on full batches only: give batch = "all"')
        if self.n_beta == "log_batch" and self.batch == "all":
            raise ValueError('n_beta = "log_batch" needs a batch; with batch = "all" it is "log_n"')
        if self.n_beta == "log_batch" and self.batch == 1:
            raise ValueError('n_beta = "log_batch" needs a batch of two or more: ln 1 is 0')
        if self.extrapolate and not sampler.EXTRAPOLATES:
            raise ValueError(f'sampler = "{self.sampler}" has no bias of the step to take away: leave out extrapolate')
        return self
