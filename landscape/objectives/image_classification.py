"""Image classification: the loss of the label, in nats per example, and accuracy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from landscape.errors import InputError
from landscape.foreign import Config, Pretrained
from landscape.objectives.classification import measure, require_labels, targets
from landscape.objectives.images import Images
from landscape.objectives.labelled import SINGLE, problem, require_problem
from landscape.objectives.objective import Batch, ModelKind, Objective
from landscape.objectives.text import spread
from landscape.shapes import Float

__all__ = ["build", "classes", "encode", "measure", "suits", "targets"]

AUTO = "AutoModelForImageClassification"
CLASS_ENDINGS = ("ImageClassification",)
MAPPING = "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES"
MODEL_KIND: ModelKind = "images"


def suits(config: Config) -> bool:
    """Whether the head of a model chooses one of several classes."""
    return problem(config) == SINGLE


def classes(config: Config) -> int:
    """Number of classes.

    Raises:
        InputError: If the head does not choose one of several classes.
    """
    require_problem(config, SINGLE)
    return int(config.num_labels)


def encode(images: Images, processor: Pretrained | None, *, sequences: int, **_: object) -> Batch:
    """Images as the model's processor makes them.

    Args:
        images: Labelled images.
        processor: The image processor of the checkpoint; None if it has none, and images are pixel values already.
        sequences: Number of examples, spread evenly over the images.
        **_: Settings of other objectives.

    Raises:
        InputError: If there are fewer than ``sequences``, there is no processor and one is needed, or an image cannot
            be read.
    """
    if len(images) < sequences:
        raise InputError(f"there are {len(images)} of the {sequences} images wanted; lower sequences or give more")
    some = spread(len(images), sequences)
    labels = torch.tensor([[images.labels[n]] for n in some])
    return {"pixel_values": _pixels(images, some, processor), "labels": labels}


def _pixels(images: Images, some: list[int], processor: Pretrained | None) -> Float[Tensor, "images ..."]:
    if images.pixels is not None:
        return torch.from_numpy(images.pixels[some]).float()
    if processor is None:
        raise InputError(
            "the first checkpoint has no preprocessor_config.json, which says how images become pixel values; save the "
            "model's image processor with it, or give an .npz file of pixel_values, as the model takes them"
        )
    made: Tensor = processor([images.opened(n) for n in some], return_tensors="pt")["pixel_values"]
    return made.float()


def build(model: nn.Module, batch: Batch, *, statistics: tuple[Batch, ...] = ()) -> Objective:
    """Loss ``-ln p(label | image)`` and accuracy of each example.

    Args:
        model: An image classifier of transformers.
        batch: ``pixel_values`` and ``labels``, ``[examples, 1]``.
        statistics: For a model with BatchNorm: batches of training data.

    Raises:
        InputError: If a label is outside the classes, or the head is no softmax over classes.
    """
    require_labels(batch["labels"], classes(model.config))
    return Objective(model, batch, measure, "nats per example", statistics)
