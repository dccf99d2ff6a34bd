"""Objectives: fixed batches, and the loss of each example on them.

:data:`landscape.catalogue.OBJECTIVES` lists the members, one a file. Every file has the same names:

- ``AUTO``: the class of transformers that makes the model.
- ``CLASS_ENDINGS`` and ``MAPPING``: endings of class names, and the mapping of transformers, for which this objective
  is the default.
- ``MODEL_KIND``: the kind of model that probes take it for.
- ``suits``: whether the head of a model is of this kind, by its config.
- ``classes``: the number of classes that a prediction chooses from; 0 for numbers.
- ``encode``: text and tokenizer, or images and their processor, to a batch.
- ``build``: model and batch to an :class:`Objective`.
- ``targets``, where a probe reads the predictions: those that the loss is made of, and what is right.

``module`` takes any ``nn.Module`` with a loss of your own instead; ``own`` a function of your own file.
"""

from landscape.objectives.objective import Batch, ModelKind, Objective, Values

__all__ = ["Batch", "ModelKind", "Objective", "Values"]
