"""Objectives: fixed batches, and the loss of each example on them.

:data:`landscape.catalogue.OBJECTIVES` lists the members, one a file. Every file has the same names:

- ``AUTO``: the class of transformers that makes the model.
- ``CLASS_ENDINGS`` and ``MAPPING``: endings of class names, and the mapping of transformers, for which this objective
  is the default.
- ``MODEL_KIND``: the kind of model that probes take it for.
- ``classes``: the number of classes that a prediction chooses from.
- ``encode``: text and tokenizer to a batch.
- ``build``: model and batch to an :class:`Objective`.
- ``targets``: the predictions that the loss is made of, and what is right.

``module`` takes any ``nn.Module`` with a loss of your own instead.
"""

from landscape.objectives.objective import Batch, ModelKind, Objective, Values

__all__ = ["Batch", "ModelKind", "Objective", "Values"]
