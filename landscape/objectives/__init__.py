"""Objectives: fixed batches and the loss of each example on them.

Each file has ``encode`` (text and tokenizer to batch), ``build`` (model and batch to objective), ``AUTO``, the
transformers class that makes the model, and ``CLASSES``, by which such a class is known. ``module`` takes any
``nn.Module`` instead.
"""

from types import ModuleType

from landscape.objectives import causal_lm, classification, masked_lm, module
from landscape.objectives.objective import Batch, Objective, Values

KINDS: dict[str, ModuleType] = {"causal-lm": causal_lm, "masked-lm": masked_lm, "classification": classification}

__all__ = ["KINDS", "Batch", "Objective", "Values", "module"]
