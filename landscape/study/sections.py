"""The sections ``[checkpoints]`` and ``[data]`` of a study file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from landscape import catalogue
from landscape.own import is_own
from landscape.spec import MOST_SEED, BesideStudy, ChoiceOrOwn, Settings, one_or_several
from landscape.study.checkpoint import Label
from landscape.where import parse

Several = Annotated[tuple[Label, ...], BeforeValidator(one_or_several)]
"""Values of a label, or one of them."""
NO_LABELS: Mapping[str, Several] = {}
OF_TEXTS = frozenset({"where", "length", "mask", "tokenizer", "bos"})
"""Settings that the batches of a function of one's own do not read."""


def _condition(text: str) -> str:
    parse(text)
    return text


class Branches(Settings):
    """Runs that share a prefix of training up to ``branch_step`` and then see other data orders.

    Attributes:
        folder: A pattern of paths, with ``{branch_step}`` and ``{branch}``.
        seeds: Which seeds.
        branch_steps: Steps at which the branches were spawned.
        branches: Which branches.
        steps: Which steps.
        labels: Which values of any other label.
    """

    folder: BesideStudy
    seeds: Several | None = None
    branch_steps: tuple[int, ...] | None = None
    branches: Several | None = None
    steps: tuple[int, ...] | None = None
    labels: Mapping[str, Several] = NO_LABELS

    @property
    def wanted(self) -> dict[str, Several | None]:
        """Values of each label; None is all that exist."""
        return {
            "seed": self.seeds, "branch_step": self.branch_steps, "branch": self.branches, "step": self.steps,
            **self.labels,
        }  # fmt: skip


class Checkpoints(Settings):
    """Which checkpoints; a list left out takes all that exist.

    Attributes:
        family: A family of public checkpoints.
        folder: Or a pattern of paths, or of references on the hub, with ``{seed}``, ``{step}`` and any other labels.
        seeds: Which seeds.
        steps: Which steps.
        labels: Which values of any other label, as ``labels = { optimizer = ["adam", "sgd"] }``.
        config: The folder of ``config.json``, for weights that have none beside them.
        adapter: Of adapters of PEFT: ``merged`` into their base; or ``factors``, whose space is that of the adapter
            alone, and whose base is shared.
        branches: Runs that share a prefix.
    """

    family: str | None = None
    folder: BesideStudy | None = None
    seeds: Several | None = None
    steps: tuple[int, ...] | None = None
    labels: Mapping[str, Several] = NO_LABELS
    config: BesideStudy | None = None
    adapter: Literal["merged", "factors"] = "merged"
    branches: Branches | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Checkpoints:
        if (self.family is None) == (self.folder is None):
            raise ValueError("give either family or folder")
        return self

    @property
    def wanted(self) -> dict[str, Several | None]:
        """Values of each label; None is all that exist."""
        return {"seed": self.seeds, "step": self.steps, **self.labels}


class Data(Settings):
    """Fixed batches: the same tokens and masks for every point of a study.

    Attributes:
        objective: The loss; or a function of a file of your own, as ``mine.py:build``, that returns model, batches and
            loss.
        text: A text file, or the field ``text`` of JSON lines, CSV or Parquet; with labels for classification and
            regression, with ``input`` and ``target`` for seq2seq; images for image-classification: a folder with a
            folder for each class, an .npz or a Parquet file; left out, the packaged held-out text.
        where: Which records of the text, such as ``heuristic == 'lexical_overlap'``; left out, all.
        sequences: Number of examples, spread evenly over the text.
        length: Tokens of an example.
        mask: Share of tokens to predict (masked-lm only).
        seed: Chooses the masks.
        tokenizer: A folder; left out, the folder of the first checkpoint.
        bos: Whether a text begins with the start token (causal-lm only); auto does as the tokenizer does by default.
        buffers: Learned buffers between checkpoints that differ in them: those of the nearest, or their mean.
        statistics: For image models with BatchNorm: images of the training data, on which its statistics are estimated
            anew at every point.
    """

    objective: Annotated[str, AfterValidator(ChoiceOrOwn(catalogue.OBJECTIVES))]
    text: BesideStudy | None = None
    where: Annotated[str, AfterValidator(_condition)] | None = None
    sequences: int = Field(256, ge=2)
    length: int = Field(128, ge=2)
    mask: float = Field(0.15, gt=0, lt=1)
    seed: int = Field(0, ge=0, le=MOST_SEED)
    tokenizer: BesideStudy | None = None
    bos: bool | Literal["auto"] = "auto"
    buffers: Literal["nearest", "interpolated"] = "nearest"
    statistics: BesideStudy | None = None

    @property
    def own(self) -> bool:
        """Whether model, batches and loss are those of a function of the user's own."""
        return is_own(self.objective)

    @property
    def reads(self) -> tuple[str, ...]:
        """What the objective reads; see :class:`landscape.catalogue.Member`."""
        return () if self.own else catalogue.OBJECTIVES[self.objective].reads

    @model_validator(mode="after")
    def _of_an_own_function(self) -> Data:
        if self.own and (unread := sorted(self.model_fields_set & OF_TEXTS)):
            raise ValueError(f"{unread[0]} is for texts, and the batches are those of {self.objective}: leave it out")
        return self

    @model_validator(mode="after")
    def _labels_are_given(self) -> Data:
        if "labels" in self.reads and self.text is None:
            what = "a folder or file of images" if "images" in self.reads else "FILE of JSON lines"
            raise ValueError(f'{self.objective} needs labelled examples: text = "..." with {what}')
        return self

    @model_validator(mode="after")
    def _where_is_of_records(self) -> Data:
        if self.where is not None and "images" in self.reads:
            raise ValueError(f"where chooses records of a text, and {self.objective} reads images: leave it out")
        return self

    @model_validator(mode="after")
    def _statistics_are_of_images(self) -> Data:
        if self.statistics is not None and "images" not in self.reads:
            raise ValueError(f"statistics is for image models with BatchNorm, and the objective is {self.objective}")
        return self

    @model_validator(mode="after")
    def _bos_is_for_causal_models(self) -> Data:
        if self.bos != "auto" and "bos" not in self.reads:
            raise ValueError(f"bos is for causal-lm, and the objective is {self.objective}; leave it out")
        return self
